"""From frames that were called to scores, against the same counted by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlflow_rank.encoders.phone_answers import Answers
from mlflow_rank.evidence.phone_scores import PhoneTest, predictions, score_sequences
from mlflow_rank.evidence.pilot_scores import Cell, score_classes
from mlflow_rank.probes.predictions import PILOT_BEST
from mlflow_rank.probes.tasks import parse_task

SIL = 2  # after the phones a and b
TASK = parse_task("phone")
GROUPS = {"u": "ann", "v": "bob", "w": "zoe"}
TRUTH = {"u": [0, 0, -1, 1], "v": [-1, 1, 1, 0, 0], "w": [0, -1, 1]}
REFERENCES = {"u": [0, 1], "v": [1, 0], "w": [0, -1, 1]}


def answers(called: dict[str, list[list[int]]]) -> Answers:
    """What each head called each frame, by utterance; silence counts only in decoding."""
    keys = ("u", "v", "w")
    decoded = np.concatenate([np.array(called[key], dtype=np.uint16).T for key in keys])
    return Answers(
        keys,
        np.array([len(TRUTH[key]) for key in keys]),
        np.concatenate([TRUTH[key] for key in keys]),
        np.where(decoded == SIL, 0, decoded).astype(np.uint16),
        decoded,
    )


PERFECT = {"u": [[0, 0, SIL, 1]], "v": [[SIL, 1, 1, 0, 0]], "w": [[0, SIL, 1]]}
ALWAYS_A = {"u": [[0, 0, 0, 0]], "v": [[0, 0, 0, 0, 0]], "w": [[0, 0, 0]]}


def a_test(found: Answers, **more: Any) -> PhoneTest:
    given: dict[str, Any] = {
        "sides": {"in_domain": ("u", "v"), "out_of_domain": ("w",)}, "groups": GROUPS, "references": REFERENCES,
        "classes": ("a", "b"), "outside_cause": "",
    }  # fmt: skip
    return PhoneTest.of(found, **(given | more))


def scored(called: dict[str, list[list[int]]], test: PhoneTest | None = None) -> dict[str, Any]:
    found = answers(called)
    test = test or a_test(found)
    predicted, spelt = predictions({0: found}, {0: [None]}, {("ridge", "all"): [0]}, test, labels=[7])
    cells = score_classes(TASK, test.tested, predicted) | score_sequences(TASK, test, spelt)
    return {cell.metric: each for cell, each in cells.items()}


def test_perfect_answers_score_one_and_no_phone_errors() -> None:
    found = scored(PERFECT)
    for domain in ("in_domain", "out_of_domain"):
        assert found["balanced_frame_accuracy"].found[domain].full.tolist() == [1.0]
    assert found["per"].found["in_domain"].full.tolist() == [0.0]
    assert found["per"].found["out_of_domain"].full.tolist() == [pytest.approx(1 / 3)]  # nobody can guess the unknown
    assert found["per"].labels == 7


def test_one_answer_for_all_scores_chance_and_misses_every_other_phone() -> None:
    found = scored(ALWAYS_A)
    assert found["balanced_frame_accuracy"].found["in_domain"].full.tolist() == [0.5]
    assert found["per"].found["in_domain"].full.tolist() == [0.5]  # in each utterance one of two phones


def test_only_frames_whose_truth_is_a_phone_are_counted_and_each_for_its_speaker() -> None:
    found = answers(PERFECT)
    test = a_test(found)
    assert test.frames["in_domain"].tolist() == [0, 1, 3, 5, 6, 7, 8]
    assert test.tested.groups["in_domain"] == ["ann"] * 3 + ["bob"] * 4
    assert test.frames["out_of_domain"].tolist() == [9, 11]
    assert test.spans["in_domain"] == [(0, 4), (4, 9)]
    assert scored(PERFECT)["balanced_frame_accuracy"].found["in_domain"].items == (3, 4)
    assert scored(PERFECT)["per"].found["in_domain"].items == (2, 2)


def test_utterances_that_could_not_be_heard_are_left_out() -> None:
    test = a_test(answers(PERFECT), sides={"in_domain": ("u", "unheard", "v"), "out_of_domain": ("gone",)})
    assert test.speakers["in_domain"] == ["ann", "bob"]
    assert test.frames["out_of_domain"].tolist() == []
    found = scored(PERFECT, test)
    for metric in ("balanced_frame_accuracy", "per"):
        assert list(found[metric].found) == ["in_domain"]
        assert found[metric].causes == {
            "out_of_domain": "no out-of-domain frame is of a phone that is trained in domain"
        }


def test_phones_that_are_all_unknown_give_a_cause_and_no_number() -> None:
    found = answers(PERFECT)
    found.truth[9:] = -1
    test = a_test(found, references={**REFERENCES, "w": [-1, -1]})
    both = scored(PERFECT, test)
    for metric in ("balanced_frame_accuracy", "per"):
        assert "out_of_domain" not in both[metric].found
        assert both[metric].causes["out_of_domain"] == "no out-of-domain frame is of a phone that is trained in domain"


def two_layers(held_out: dict[int, list[float | None]]) -> dict[Cell, list[float]]:
    """Layer 0 is perfect on the test frames, layer 4 always says a; each with two draws."""
    found = {
        layer: answers({key: rows * 2 for key, rows in called.items()})
        for layer, called in ((0, PERFECT), (4, ALWAYS_A))
    }
    test = a_test(found[0])
    predicted, spelt = predictions(found, held_out, {("ridge", 5): [0, 1]}, test, labels=[3, 4])
    assert {each.labels for each in predicted} == {3.5}
    cells = score_classes(TASK, test.tested, predicted) | score_sequences(TASK, test, spelt)
    return {cell: each.found["in_domain"].full.tolist() for cell, each in cells.items()}


def test_the_best_layer_is_chosen_by_what_was_held_out_in_training_whatever_the_test_says() -> None:
    cells = two_layers({0: [0.1, 0.9], 4: [0.8, 0.2]})
    assert cells[Cell(PILOT_BEST, "ridge", 5, "balanced_frame_accuracy")] == [0.5, 1.0]
    assert cells[Cell(PILOT_BEST, "ridge", 5, "per")] == [0.5, 0.0]
    assert cells[Cell(0, "ridge", 5, "per")] == [0.0, 0.0]
    assert cells[Cell(4, "ridge", 5, "per")] == [0.5, 0.5]


def test_of_layers_that_are_equally_good_the_lower_is_chosen() -> None:
    cells = two_layers({0: [0.5, 0.5], 4: [0.5, 0.5]})
    assert cells[Cell(PILOT_BEST, "ridge", 5, "per")] == [0.0, 0.0]


def test_where_nothing_was_held_out_no_layer_is_chosen() -> None:
    assert {cell.layer for cell in two_layers({0: [None, None], 4: [None, None]})} == {0, 4}
