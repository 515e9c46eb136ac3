"""Phone error rates of what heads spelled, and which layer each head would have chosen."""

from __future__ import annotations

import pytest

from mlflow_rank.evidence.pilot_scores import Cell
from mlflow_rank.evidence.sequence_scores import SequenceTest, Spelled, score_spelled
from mlflow_rank.probes.predictions import PILOT_BEST

RIGHT, WRONG, NOTHING = [0, 1, 2, 0], [1, 1, 2, 0], []
REFERENCES = [RIGHT, RIGHT]
TEST = SequenceTest({"in_domain": REFERENCES}, {"in_domain": ["ann", "bob"]}, ("a", "b", "c"), "none was given")


def layer(*said: list[list[int]], held_out: tuple[float | None, ...]) -> Spelled:
    return Spelled({"in_domain": said}, held_out)


def test_each_head_is_a_draw_and_the_layer_with_the_fewest_held_out_errors_is_its_choice() -> None:
    layers = {
        3: layer([RIGHT, WRONG], [NOTHING, NOTHING], held_out=(0.3, 0.9)),
        5: layer([WRONG, WRONG], [RIGHT, RIGHT], held_out=(0.3, 0.1)),  # of equals the lower layer
    }
    predicted, scored = score_spelled(layers, TEST, labels=7)
    rates = {cell.layer: each.found["in_domain"].full.tolist() for cell, each in scored.items()}
    assert rates == {3: [1 / 8, 1.0], 5: [2 / 8, 0.0], PILOT_BEST: [1 / 8, 0.0]}
    assert {each.layer: each.chosen for each in predicted} == {3: (), 5: (), PILOT_BEST: (3, 5)}
    assert all(each.labels == 7 for each in scored.values())
    assert all(each.causes == {"out_of_domain": "none was given"} for each in scored.values())
    assert set(scored) == {Cell(name, "ctc", "all", "per") for name in (3, 5, PILOT_BEST)}


@pytest.mark.parametrize(
    "layers",
    [
        {1: layer([RIGHT, RIGHT], held_out=(0.1,))},
        {1: layer([RIGHT, RIGHT], held_out=(None,)), 2: layer([WRONG, RIGHT], held_out=(None,))},
    ],
)
def test_where_there_is_nothing_to_choose_by_no_layer_is_chosen(layers: dict[int, Spelled]) -> None:
    predicted, _ = score_spelled(layers, TEST, labels=1)
    assert [each.layer for each in predicted] == list(layers)


def test_a_phone_nobody_learned_is_an_error_however_it_is_spelled() -> None:
    test = SequenceTest({"in_domain": [[0, -1], [0]]}, {"in_domain": ["ann", "bob"]}, ("a", "b"), "")
    _, scored = score_spelled({0: layer([[0, 1], [0]], held_out=(None,))}, test, labels=1)
    (found,) = scored.values()
    assert found.found["in_domain"].full.tolist() == [pytest.approx(1 / 3)]
