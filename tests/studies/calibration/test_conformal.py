"""Floors that bad versions seldom pass: by hand, by simulation, and where there are too few to promise anything."""

from __future__ import annotations

import numpy as np
import pytest

from mlflow_rank.errors import UsageError
from mlflow_rank.studies.calibration.conformal import least_runs, threshold_of


def alone(numbers: list[float]) -> dict[str, list[float]]:
    return {f"run {at}": [number] for at, number in enumerate(numbers)}


def test_with_nineteen_bad_runs_five_percent_is_their_maximum() -> None:
    found = threshold_of(alone([float(number) for number in range(19)]), [], 0.05)
    assert (found.value, found.guaranteed, found.holds_at) == (18.0, True, 0.05)


def test_with_thirty_nine_it_is_the_second_largest() -> None:
    assert threshold_of(alone([float(number) for number in range(39)]), [], 0.05).value == 37.0


def test_one_too_few_promises_less_and_says_what_it_does_promise() -> None:
    found = threshold_of(alone([float(number) for number in range(18)]), [30.0, 18.0, 5.0], 0.05)
    assert not found.guaranteed
    assert found.holds_at == pytest.approx(1 / 19)
    assert found.value == 17.5  # half-way from the highest bad one to the lowest good one above it


def test_without_a_good_version_above_it_is_the_highest_bad_one() -> None:
    assert threshold_of(alone([1.0, 2.0]), [0.5], 0.05).value == 2.0


def test_versions_of_one_training_count_once_by_the_best_of_them() -> None:
    many = {"one": [0.1, 0.2, 0.3], "two": [0.25] * 50}
    assert threshold_of(many, [], 0.5) == threshold_of({"one": [0.3], "two": [0.25]}, [], 0.5)


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.1, 0.2, 0.25, 0.3, 0.5])
def test_the_least_number_of_runs_is_where_the_guarantee_begins(alpha: float) -> None:
    least = least_runs(alpha)
    assert threshold_of(alone([0.0] * least), [], alpha).guaranteed
    assert least == 1 or not threshold_of(alone([0.0] * (least - 1)), [], alpha).guaranteed


@pytest.mark.parametrize(("runs", "alpha"), [(19, 0.05), (25, 0.1), (60, 0.05)])
def test_a_new_bad_run_passes_as_often_as_promised_and_hardly_less(runs: int, alpha: float) -> None:
    draws, rng = 2000, np.random.default_rng(8)
    passed = 0
    for numbers in rng.gamma(2.0, size=(draws, runs + 1)):
        passed += numbers[-1] > threshold_of(alone(numbers[:-1].tolist()), [], alpha).value
    error = 3 * np.sqrt(alpha * (1 - alpha) / draws)
    assert alpha - 1 / (runs + 1) - error <= passed / draws <= alpha + error


def test_checkpoints_of_one_run_that_go_together_do_not_break_the_promise() -> None:
    draws, rng, passed = 800, np.random.default_rng(3), 0
    for _ in range(draws):
        runs = rng.normal(size=(20, 1)) + 0.3 * rng.normal(size=(20, 6))
        bad = {f"run {at}": run.tolist() for at, run in enumerate(runs[:-1])}
        passed += bool((runs[-1] > threshold_of(bad, [], 0.05).value).any())
    assert passed / draws <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / draws)


def test_no_bad_version_gives_no_floor() -> None:
    with pytest.raises(UsageError, match="without a bad version"):
        threshold_of({}, [1.0], 0.05)


@pytest.mark.parametrize("alpha", [0.0, -0.1, 0.51, 1.0, float("nan")])
def test_a_rate_that_is_none_is_refused(alpha: float) -> None:
    with pytest.raises(UsageError, match="false-promotion rate"):
        threshold_of({"one": [0.0]}, [], alpha)
