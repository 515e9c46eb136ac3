import numpy as np
import pytest
from told_by_rank import trainings

from mlflow_rank.studies.enough import NotEnough
from mlflow_rank.studies.prediction.over_runs import OverRuns
from mlflow_rank.studies.prediction.rows import Rows, rows_of
from mlflow_rank.studies.prediction.triage import Triage, ordered_at_one_step, share_in_order, triage_of, verdict_of

NOT = NotEnough("runs", 2, 3)


def rows(**how: object) -> Rows:
    found = rows_of(trainings(0, layers=1, **how), "pilot_keyword", ("rank_frame",))  # type: ignore[arg-type]
    assert isinstance(found, Rows)
    return found


def about(value: float, half: float = 0.01) -> OverRuns:
    return OverRuns(value, value - half, value + half, 4)


def test_only_pairs_that_differ_clearly_count_and_equal_predictions_are_half_right():
    score = np.array([0.10, 0.12, 0.50, 0.60])
    assert share_in_order(score, np.array([1.0, 9.0, 2.0, 3.0]), 0.05) == (3.0, 5)
    assert share_in_order(score, np.zeros(4), 0.05) == (2.5, 5)


def test_a_perfect_prediction_orders_all_and_loses_nothing():
    table = rows()
    found = triage_of(table, table.score, 0.05)
    assert isinstance(found.ordered, OverRuns)
    assert isinstance(found.lost, OverRuns)
    assert isinstance(found.skippable, OverRuns)
    assert (found.ordered.value, found.lost.value, found.skippable.value) == (1.0, 0.0, 7 / 8)


def test_a_reversed_prediction_keeps_the_worse_half_and_loses_what_lies_between():
    table = rows()
    found = triage_of(table, -table.score, 0.05)
    lost = []
    for run in table.runs:
        score = np.sort(table.score[table.run == run])
        lost.append(score[-1] - score[3])  # the best of the worse four of eight
    assert isinstance(found.lost, OverRuns)
    assert isinstance(found.ordered, OverRuns)
    assert (found.lost.value, found.ordered.value) == pytest.approx((np.mean(lost), 0.0))


@pytest.mark.parametrize(
    ("gain", "ordered", "lost", "verdict"),
    [
        (about(0.3), about(0.9), about(0.01), "good_enough"),
        (about(0.3), about(0.7), about(0.01), "not_good_enough"),  # too few in order
        (about(0.3), about(0.8, half=0.4), about(0.01), "not_good_enough"),  # in order, but that may be chance
        (about(0.3), about(0.9), about(0.045), "not_good_enough"),  # may lose five points
        (about(0.3, half=0.4), about(0.9), about(0.01), "may_be_luck"),
        (about(-0.1), about(0.9), about(0.01), "step_does_as_well"),
        (about(0.3), NOT, about(0.01), "not_enough"),
        (NOT, about(0.9), about(0.01), "not_enough"),
    ],
)
def test_the_rule_is_as_it_is_written(gain, ordered, lost, verdict):
    assert verdict_of({"step": about(0.5), "curve": gain}, Triage(ordered, lost, about(0.5)), 0.05) == verdict


def test_nothing_that_had_to_be_beaten_is_not_enough():
    assert verdict_of({}, Triage(about(0.9), about(0.0), about(0.5)), 0.05) == "not_enough"


def pairs(table: Rows, predicted: np.ndarray) -> list[tuple[str, str, np.ndarray, np.ndarray]]:
    names = table.runs
    out = [(a, b, np.flatnonzero(np.isin(table.run, [a, b]))) for i, a in enumerate(names) for b in names[i + 1 :]]
    return [(a, b, test, predicted[test]) for a, b, test in out]


def test_at_one_step_a_perfect_prediction_orders_all_and_the_step_none():
    table = rows()
    perfect = ordered_at_one_step(table, pairs(table, table.score), 0.05)
    by_step = ordered_at_one_step(table, pairs(table, table.log_step), 0.05)
    assert isinstance(perfect, OverRuns)
    assert isinstance(by_step, OverRuns)
    assert (perfect.value, perfect.low, by_step.value) == (1.0, 1.0, 0.5)


def test_at_one_step_too_few_runs_or_clear_pairs_are_not_enough():
    few, table = rows(runs=3), rows()
    assert ordered_at_one_step(few, [], 0.05) == NotEnough("runs, of which two can be left out", 3, 4)
    unclear = ordered_at_one_step(table, pairs(table, table.score), 5.0)
    assert unclear == NotEnough("clear pairs of two runs at one step", 0, 10)
