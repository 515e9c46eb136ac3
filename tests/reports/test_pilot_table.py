from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

from mlflow_rank.errors import UsageError
from mlflow_rank.reports.pilot_table import print_pilot

Make = Callable[..., dict[str, Any]]


class Terminal(io.StringIO):
    """A terminal that takes UTF-8."""

    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


def _printed(document: dict[str, Any], **options: Any) -> list[str]:
    stream = io.StringIO()
    print_pilot(document, stream=stream, **options)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def _said(document: dict[str, Any], **options: Any) -> str:
    return " ".join(" ".join(_printed(document, **options)).split())


def test_a_row_says_score_interval_difference_references_worst_group_and_share(make_pilot: Make) -> None:
    assert (
        "       3  87.4 [82.8, 92.0]  +69.6 [+65.0, +74.1]    17.8     53.5  70.4 spk_0417_f  #:|##########.."
        in _printed(make_pilot())
    )


def test_the_heading_says_classes_chance_audio_protocol_and_what_is_compared(make_pilot: Make) -> None:
    lines = _printed(make_pilot())
    assert "keyword: 12 classes (down, go, left, no, ...), chance 8.3 %" in lines
    assert "  in domain      keywords.jsonl: 960 items of 24 speakers, 16 min" in lines
    assert any(
        line.startswith("  protocol       480 training and 480 test items, no speaker in both") for line in lines
    )
    assert "  compared with  random weights, on the same test items" in lines


@pytest.mark.parametrize("width", [100, 80])
@pytest.mark.parametrize("champion", [None, "models:/speech-encoders-of-the-lab@champion"])
def test_nothing_is_wider_than_the_terminal(make_pilot: Make, width: int, champion: str | None) -> None:
    document = make_pilot(tasks=("keyword", "speaker"), champion=champion, layers=13, unknown_layers=(2,))
    assert max(map(len, _printed(document, width=width))) <= width


def test_a_file_or_pipe_gets_plain_ascii_of_a_hundred_columns(make_pilot: Make) -> None:
    lines = _printed(make_pilot(unknown_layers=(1,)))
    assert "\n".join(lines).isascii()
    assert max(map(len, lines)) <= 100


def test_a_unicode_terminal_gets_bars(make_pilot: Make) -> None:
    terminal = Terminal()
    print_pilot(make_pilot(), stream=terminal, width=100, colour=False)
    assert "█╎┃███" in terminal.getvalue()


def test_out_of_domain_stands_beneath_with_its_loss(make_pilot: Make) -> None:
    lines = _printed(make_pilot())
    title = "balanced accuracy in %, out of domain, all labels (480), ridge"
    (row,) = [line for line in lines[lines.index(title) :][:8] if line.startswith("       3 ")]
    assert row.startswith("       3  71.7 [67.1, 76.2]  +15.7 [+11.1, +20.3]")
    assert "out of domain" not in _said(make_pilot(outside=False))


def test_the_summaries_are_the_last_rows(make_pilot: Make) -> None:
    lines = _printed(make_pilot(outside=False))
    at = next(index for index, line in enumerate(lines) if line.startswith("       4 "))
    assert [line.split()[0] for line in lines[at : at + 3]] == ["4", "weighted", "best"]


def test_the_curve_has_a_column_per_number_of_labels(make_pilot: Make) -> None:
    lines = _printed(make_pilot())
    assert "   layer     1     5     10     20    all  95 % with" in lines
    assert "(labels)  (12)  (60)  (120)  (240)  (480)" in lines
    assert "       3  61.3  73.5   79.2   84.0   87.4         10" in lines


def test_sentences_say_labels_saved_layers_resolution_and_the_second_opinion(make_pilot: Make) -> None:
    said = _said(make_pilot())
    assert "Layer 3 reaches 95 % of its full-label score with 10 labels per class (120 of 480)." in said
    assert (
        "The pilot's best is layer 3, the layer of highest rank is 4: 87.4 against 83.4 %, intervals overlap." in said
    )
    assert "Against random weights: better: layers 0-4." in said
    assert "This test set (480 items of 12 speakers) can resolve differences of 6.1 points" in said
    assert "Second opinion: centroid finds layer 1 best (75.4 %, 67.4 % in layer 3, intervals overlap)" in said
    assert "Layer 3 in other metrics, in %: macro F1 87.4 [82.8, 92.0]." in said


def test_a_layer_below_log_mel_and_one_not_told_from_the_champion_are_named(make_pilot: Make) -> None:
    document = make_pilot(champion="models:/hubert@champion", outside=False)
    for row in document["rows"]:
        if row["layer"] == 0:
            row["logmel"] = 0.99
    said = _said(document)
    assert "Against models:/hubert@champion: not told apart: layers 0-4." in said
    assert "- champion [low, high]" in said
    assert "No better than log-mel features: layer 0." in said


def test_for_an_error_rate_lower_is_better(make_pilot: Make) -> None:
    document = make_pilot(tasks=("phone",))
    document["tasks"][0]["metrics"] = ["per", "balanced_frame_accuracy"]
    said = _said(document)
    assert "PER in %, lower is better, in domain" in said
    assert "Against random weights: better: layers 0-4." in said
    assert "centroid finds layer 1 best" in said


def test_without_a_control_it_says_what_is_not_known(make_pilot: Make) -> None:
    said = _said(make_pilot(control=False, outside=False))
    assert "No control with random weights" in said
    assert "- random [low, high]" not in said
    assert "In bars : is chance." in said


def test_unknown_rows_are_marked_and_their_cause_is_said_once(make_pilot: Make) -> None:
    document = make_pilot(unknown_layers=(2,), unknown_shots=(1,))
    said = _said(document)
    assert "2 ? unknown" in said
    assert said.count("class 'up' has 3 training labels") == 1
    assert (
        "unknown: all layers with 1 label per class; layer 2 with 5, 10, 20, all labels per class: class 'up'" in said
    )


def test_a_task_without_any_number_shows_no_table_but_cause_and_remedy(make_pilot: Make) -> None:
    document = make_pilot(tasks=("keyword", "speaker"), unknown_layers=(*range(5), "weighted_sum", "pilot_best"))
    document["rows"] = [row | {"cause": "one speaker only", "remedy": "add speakers."} for row in document["rows"]]
    for task in document["tasks"]:
        task |= {"labels_saved": [], "layer_choice": {}}
    said = _said(document)
    assert said.count("unknown: all layers: one speaker only Next: add speakers.") == 2
    assert "score [low, high]" not in said
    assert "%" not in said


def test_scores_without_an_interval_say_so(make_pilot: Make) -> None:
    assert "3 87.4 no interval +69.6 no interval" in _said(make_pilot(interval=False, outside=False))


def test_a_measurement_is_refused(make_document: Make) -> None:
    with pytest.raises(UsageError, match="this is not a pilot"):
        print_pilot(make_document(), stream=io.StringIO())
