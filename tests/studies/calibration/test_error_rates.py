"""Shares with exact intervals, and errors about runs that a decision had not seen."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest

from mlflow_rank.errors import UsageError
from mlflow_rank.studies.calibration.cases import Case
from mlflow_rank.studies.calibration.error_rates import held_out_errors, rate_of


@pytest.mark.parametrize(("count", "n"), [(0, 1), (1, 1), (0, 12), (3, 12), (12, 12), (40, 400)])
def test_intervals_are_those_of_clopper_and_pearson(count: int, n: int) -> None:
    found, theirs = rate_of(count, n), binomtest(count, n).proportion_ci(0.95, method="exact")
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)
    assert found.share == count / n


@pytest.mark.parametrize(("count", "n"), [(0, 0), (2, 1), (-1, 3)])
def test_a_share_of_nothing_is_refused(count: int, n: int) -> None:
    with pytest.raises(UsageError, match="no share"):
        rate_of(count, n)


def cases(*numbers: tuple[str, bool, float]) -> list[Case]:
    return [Case(f"{run} {at}", run, good, {"score": number}) for at, (run, good, number) in enumerate(numbers)]


def test_each_run_is_judged_by_the_others_only() -> None:
    seen: list[set[str]] = []
    three = cases(("a", True, 1.0), ("b", False, 0.0), ("b", True, 1.0), ("c", False, 0.0))

    def learn(some: list[Case]) -> object:
        seen.append({case.group for case in some})
        return lambda case: case.numbers["score"] > 0.5

    errors = held_out_errors(three, learn)  # type: ignore[arg-type]
    assert seen == [{"b", "c"}, {"a", "c"}, {"a", "b"}]
    assert (errors.promoted.count, errors.refused.count) == (0, 0)


def test_errors_are_counted_by_version_and_by_run() -> None:
    some = cases(("a", False, 1.0), ("a", False, 1.0), ("a", True, 1.0), ("b", False, 0.0), ("b", True, 0.0))
    errors = held_out_errors(some, lambda _: lambda case: case.numbers["score"] > 0.5)
    assert (errors.promoted.count, errors.promoted.n) == (2, 3)
    assert (errors.promoted_runs.count, errors.promoted_runs.n) == (1, 2)
    assert (errors.refused.count, errors.refused.n) == (1, 2)
    assert (errors.refused_runs.count, errors.refused_runs.n) == (1, 2)


def test_an_error_about_nobody_is_refused() -> None:
    with pytest.raises(UsageError, match="no share"):
        held_out_errors(cases(("a", True, 1.0)), lambda _: lambda case: True)
