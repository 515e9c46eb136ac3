from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_rank.reports.bars import ASCII, UNICODE, bar
from mlflow_rank.reports.subject import summary_lines
from mlflow_rank.reports.table import print_table

Make = Callable[..., dict[str, Any]]


class Terminal(io.StringIO):
    """A terminal that takes one encoding."""

    def __init__(self, encoding: str) -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def isatty(self) -> bool:
        return True


def _printed(document: dict[str, Any], **options: Any) -> list[str]:
    stream = io.StringIO()
    print_table(document, stream=stream, **options)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_a_row_says_rank_interval_size_status_and_share(make_document: Make) -> None:
    lines = _printed(make_document())
    assert "    0 | 40.0 | [37.0, 43.0] |  90 | ok     | ##########.............." in lines
    assert any(line.startswith("    1 | 43.0 | [42.0, 48.0] | 4.5 | uncorrected | ##########") for line in lines)
    assert "frames, centred, D = 100" in lines
    assert "utterance means, centred, D = 100" in lines


def test_an_unknown_row_says_why_once(make_document: Make) -> None:
    document = make_document()
    document["ranks"].append(document["ranks"][-6] | {"layer": 4})
    text = " ".join(" ".join(_printed(document, width=120)).split())
    assert "? | | 0.6 | unknown | 60 rows for 100 dimensions: about 4 more minutes of audio are needed" in text
    assert text.count("60 rows") == 1
    assert "unknown | as layer 2" in text


def test_the_control_is_a_tick_and_the_guide_says_what_it_is(make_document: Make) -> None:
    text = "\n".join(_printed(make_document(), control=make_document(scale=1.5)))
    assert "##########....|........." in text
    assert "random weights" in text
    assert "random weights" not in "\n".join(_printed(make_document()))


def test_no_line_is_wider_than_the_terminal(make_document: Make) -> None:
    assert max(len(line) for line in _printed(make_document(), width=80)) <= 80


def test_names_that_say_more_than_the_index_are_shown(make_document: Make) -> None:
    document = make_document()
    for row in document["ranks"]:
        row["name"] = f"blocks.{row['layer']}.feed_forward.out"
    assert any("blocks.1.feed_forw" in line for line in _printed(document, width=110))


def test_what_is_not_a_unicode_terminal_gets_plain_ascii(make_document: Make) -> None:
    table = _printed(make_document(), control=make_document())
    assert "\n".join(table).isascii()
    assert not any("\x1b" in line for line in table)
    latin = Terminal("latin-1")
    print_table(make_document(spec="模型"), stream=latin, width=90, colour=False)
    assert "##" in latin.getvalue()
    latin.getvalue().encode("latin-1")


def test_a_unicode_terminal_gets_bars_and_colour_only_when_wanted(make_document: Make) -> None:
    coloured, plain = Terminal("utf-8"), Terminal("UTF-8")
    print_table(make_document(), stream=coloured, width=90, colour=True)
    print_table(make_document(), stream=plain, width=90, colour=False)
    assert "█" in coloured.getvalue()
    assert "\x1b[34m" in coloured.getvalue()
    assert "\x1b[34m" not in plain.getvalue()


def test_a_measurement_without_ranks_says_so(make_document: Make) -> None:
    assert "no rank in this measurement" in _printed(make_document() | {"ranks": []})


def test_the_summary_says_what_was_heard_left_out_and_skipped(make_document: Make) -> None:
    assert summary_lines(make_document()) == (
        "model     lab/hubert-small (hubert, 1.74 M parameters)",
        "audio     /data/dev: 12 min, 450 utterances, 1 speaker",
        "left out  3 too long",
        "skipped   3 utterances: 2 silent, 1 too short",
    )


def test_reduced_precision_is_said(make_document: Make) -> None:
    document = make_document()
    document["model"]["dtype"] = "bfloat16"
    assert "bfloat16" in summary_lines(document)[0]


@pytest.mark.parametrize("glyphs", [ASCII, UNICODE])
@given(share=st.floats(-1, 2), tick=st.none() | st.floats(-1, 2), cells=st.integers(1, 40))
def test_a_bar_has_its_length_whatever_the_share(glyphs: Any, share: float, tick: float | None, cells: int) -> None:
    drawn = bar(share, glyphs, tick=tick, cells=cells)
    assert len(drawn) == cells
    assert (glyphs.tick in drawn) == (tick is not None)


@given(shares=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_a_larger_share_never_has_a_shorter_bar(shares: tuple[float, float]) -> None:
    low, high = sorted(shares)
    assert bar(low, ASCII).count("#") <= bar(high, ASCII).count("#")
