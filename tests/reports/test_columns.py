"""Rows in columns: nothing is lost at any width, and no word is broken as long as there is another way."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_rank.reports.columns import print_columns, widths
from mlflow_rank.reports.terminal import in_width

TITLES = ("model", "target", "version", "since (UTC)", "by", "why")
ROWS = [
    ("encoder-flagged", "alias:champion", "1", "2026-11-26 06:18:12", "ann", "approved under speech-encoder r1"),
    ("encoder", "alias:champion", "2", "2026-11-26 06:18:10", "mlflow-rank-gate for emma", "calls drop; NOT REVIEWED"),
]
CELL = st.text("ab ", max_size=12)


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def printed(columns: int, monkeypatch: pytest.MonkeyPatch, rows: list[tuple[str, ...]] = ROWS) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    print_columns(TITLES, rows, stream)
    return re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())


@given(st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=5), st.integers(8, 60))
def test_columns_fit_and_hold_their_longest_word_or_are_not_offered(
    rows: list[tuple[str, str, str]], columns: int
) -> None:
    longest = [
        max(len(word) for cell in column for word in (cell.split() or [""])) for column in zip(*rows, strict=True)
    ]
    wide = widths(rows, columns)

    if sum(longest) > columns - 4:
        assert wide is None
    else:
        assert wide is not None
        assert sum(wide) <= columns - 4
        assert all(each >= least for each, least in zip(wide, longest, strict=True))
        if sum(max(map(len, column)) for column in zip(*rows, strict=True)) <= columns - 4:
            assert wide == [max(map(len, column)) for column in zip(*rows, strict=True)], "nothing is broken needlessly"


@pytest.mark.parametrize("columns", [72, 80, 100, 120, 200])
def test_no_word_is_broken_and_no_line_is_wider_than_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = printed(columns, monkeypatch)

    assert max(map(len, text.splitlines())) <= columns
    words = text.split()
    assert all(word in words for row in ROWS for cell in row for word in cell.split())


def test_the_last_column_goes_beneath_its_row_where_there_is_no_room_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "    why: approved under speech-encoder r1" in printed(80, monkeypatch)
    assert "why:" not in printed(120, monkeypatch)


def test_a_terminal_that_is_too_narrow_for_words_shows_all_of_them_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    text = printed(30, monkeypatch)

    assert max(map(len, text.splitlines())) <= 30
    assert "mlflow-rank-gate" not in text


def test_what_others_wrote_steers_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[31m" not in printed(120, monkeypatch, [("\x1b[31mred", "a", "1", "t", "b", "w\x1b[2J")])


def test_a_line_is_broken_for_a_terminal_and_left_alone_for_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    line = "!! BREAK-GLASS: emma put encoder 2 at alias:champion WITHOUT APPROVAL"

    assert in_width(line, io.StringIO()) == line
    broken = in_width(line, Terminal())
    assert max(map(len, broken.splitlines())) <= 40
    assert " ".join(broken.split()) == line
    assert all(each.startswith("   ") for each in broken.splitlines()[1:])
