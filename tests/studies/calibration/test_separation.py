"""Whether a number tells good versions from bad ones: against scikit-learn, by simulation, and backwards."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from mlflow_rank.errors import UsageError
from mlflow_rank.studies.calibration.cases import Case
from mlflow_rank.studies.calibration.separation import separation_of


def drawn(rng: np.random.Generator, *, runs: int, shift: float, each: int = 4) -> list[Case]:
    """Runs of good and of bad versions, which share most of what they are within a run."""
    return [
        Case(f"{run} {at}", f"run {run}", run % 2 == 0, {"rank": float(number)})
        for run, level in enumerate(rng.normal(size=runs))
        for at, number in enumerate(level + shift * (run % 2 == 0) + 0.2 * rng.normal(size=each))
    ]


def test_the_area_is_that_of_scikit_learn_ties_and_all() -> None:
    rng = np.random.default_rng(1)
    cases = [Case(str(at), str(at), bool(rng.integers(2)), {"rank": float(rng.integers(5))}) for at in range(60)]
    theirs = roc_auc_score([case.good for case in cases], [case.numbers["rank"] for case in cases])
    assert separation_of(cases, "rank").area == pytest.approx(theirs)


def test_numbers_that_tell_nothing_are_seldom_said_to_although_versions_of_a_run_are_alike() -> None:
    rng = np.random.default_rng(5)
    said = [separation_of(drawn(rng, runs=16, shift=0.0), "rank").says for _ in range(250)]
    assert said.count("separates") / 250 < 0.06  # 2.5 % asked for; few runs make the normal interval too short
    assert said.count("reversed") / 250 < 0.06


def test_versions_of_a_run_make_it_no_surer() -> None:
    rng = np.random.default_rng(2)
    few = drawn(rng, runs=12, shift=0.5, each=1)
    many = [Case(f"{case.name} {copy}", case.group, case.good, case.numbers) for case in few for copy in range(20)]
    assert separation_of(many, "rank").low == pytest.approx(separation_of(few, "rank").low)


def test_what_separates_is_said_to_and_turned_round_is_reversed() -> None:
    cases = drawn(np.random.default_rng(3), runs=16, shift=4.0)
    turned = [Case(case.name, case.group, case.good, {"rank": -case.numbers["rank"]}) for case in cases]
    found, back = separation_of(cases, "rank"), separation_of(turned, "rank")
    assert (found.says, back.says) == ("separates", "reversed")
    assert found.area == pytest.approx(1 - back.area)


@pytest.mark.parametrize(("good", "bad"), [(3, 3), (8, 8)])
def test_the_interval_of_few_runs_holds_the_truth(good: int, bad: int) -> None:
    rng, held, shift = np.random.default_rng(7), 0, 1.0
    for _ in range(300):
        cases = [
            Case(f"{kind} {at}", f"{kind} {at}", kind, {"rank": float(number)})
            for kind, count in ((True, good), (False, bad))
            for at, number in enumerate(rng.normal(shift * kind, 1.0, count))
        ]
        found = separation_of(cases, "rank")
        held += found.low <= norm.cdf(shift / 2**0.5) <= found.high
    assert held / 300 > 0.92


def test_few_runs_that_lie_wholly_apart_leave_the_area_open() -> None:
    cases = [Case(str(at), str(at), at > 3, {"rank": float(at)}) for at in range(8)]
    found = separation_of(cases, "rank")
    assert (found.area, found.high) == (1.0, 1.0)
    assert 0.5 < found.low < 0.7


def test_one_run_of_a_kind_says_nothing() -> None:
    cases = [Case("a", "a", True, {"rank": 2.0}), Case("b", "b", False, {"rank": 1.0})]
    assert separation_of(cases, "rank").says == "nothing"


def test_good_ones_alone_are_refused() -> None:
    with pytest.raises(UsageError, match="nothing to tell apart"):
        separation_of([Case("a", "a", True, {"rank": 1.0})], "rank")
