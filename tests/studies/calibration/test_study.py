"""Floors from past versions: proposed where they tell, refused with a reason where they do not, and honest errors."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from pasts import past

from mlflow_rank.errors import UsageError
from mlflow_rank.studies.calibration.cases import Case, Cases, Quantity, cases_of
from mlflow_rank.studies.calibration.study import Calibration, Floor, NoFloor, calibrate

RANK, SCORE = Quantity("rank_frame", "rank"), Quantity("pilot_keyword", "pilot", "best", chance=0.05)


def found_of(alpha: float = 0.05, scores: tuple[str, ...] = ("pilot_keyword",), **more: Any) -> Calibration:
    table, outcomes = past(**more)
    cases = cases_of(table, outcomes, ranks=["rank_frame"], scores=scores, chance={"pilot_keyword": 0.05})
    return calibrate(cases, alpha)


def by_name(found: Calibration) -> dict[str, Floor | NoFloor]:
    return {floor.quantity.name: floor for floor in found.floors}


def test_twenty_bad_trainings_give_a_guaranteed_floor_above_all_of_them() -> None:
    found = found_of()
    floor = by_name(found)["pilot_keyword"]
    assert isinstance(floor, Floor)
    bad = [case.numbers["pilot_keyword"] for case in floor.cases if not case.good]
    assert floor.threshold.guaranteed
    assert floor.threshold.value == max(bad)
    assert floor.limit > max(bad)
    assert floor.limit - max(bad) <= 1e-4
    assert found.proposed == found.floors
    assert found.together is not None
    assert found.together.refused.count == 0


def test_few_bad_trainings_give_a_floor_that_is_called_not_guaranteed() -> None:
    floor = by_name(found_of(bad=4, good=4))["pilot_keyword"]
    assert isinstance(floor, Floor)
    assert floor.proposed
    assert not floor.threshold.guaranteed
    assert floor.threshold.holds_at == 0.2


@pytest.mark.parametrize(("bad", "good"), [(3, 9), (9, 3), (2, 9), (9, 2), (0, 9), (9, 0)])
def test_below_four_trainings_of_a_kind_there_is_no_number(bad: int, good: int) -> None:
    found = found_of(bad=bad, good=good)
    assert not found.proposed
    assert found.together is None
    for floor in found.floors:
        assert isinstance(floor, NoFloor)
        assert (
            floor.because == f"not enough: {min(bad, good)} training runs with a {'bad' if bad < good else 'good'} "
            "version, and 4 are the least"
        )


def test_bad_versions_that_outrank_good_ones_give_no_rank_floor() -> None:
    found = found_of(bad_rank=80.0)
    rank = by_name(found)["rank_frame"]
    assert not rank.proposed
    assert "bad versions have the higher numbers" in rank.because
    assert [floor.quantity.name for floor in found.proposed] == ["pilot_keyword"]


def test_a_rank_that_tells_nothing_gives_no_floor() -> None:
    rank = by_name(found_of(bad_rank=40.0, noise=0.1))["rank_frame"]
    assert not rank.proposed
    assert "does not tell" in rank.because


def test_a_veto_that_would_refuse_too_many_good_versions_is_left_out() -> None:
    rank = by_name(found_of(bad_rank=31.0, noise=0.1, seed=4))["rank_frame"]
    assert isinstance(rank, Floor)
    assert rank.separation.says == "separates"
    assert not rank.proposed
    assert "as a veto it would refuse" in rank.because


def test_ranks_alone_propose_nothing() -> None:
    found = found_of(bad_score=0.8)
    assert by_name(found)["rank_frame"].proposed
    assert not by_name(found)["pilot_keyword"].proposed
    assert found.proposed == ()
    assert found.together is None


def test_error_rates_are_limited_from_above() -> None:
    floor = by_name(found_of(scores=("pilot_phone",)))["pilot_phone"]
    assert isinstance(floor, Floor)
    bad = [-case.numbers["pilot_phone"] for case in floor.cases if not case.good]
    assert 0 < min(bad) - floor.limit <= 1e-4


@pytest.mark.parametrize("of_a_hundred", [57, 69, 29, 30])
def test_a_bad_version_at_the_threshold_does_not_pass_its_limit(of_a_hundred: int) -> None:
    best = of_a_hundred / 100
    cases = tuple(
        Case(f"{run}", f"{run}", run >= 20, {"pilot_keyword": 0.9 if run >= 20 else best - 0.01 * (run > 0)})
        for run in range(32)
    )
    floor = by_name(calibrate(Cases(cases, (SCORE,)), 0.05))["pilot_keyword"]
    assert isinstance(floor, Floor)
    assert floor.threshold.value == best
    assert best < floor.limit <= best + 2e-4


def test_a_limit_that_guessing_reaches_is_not_proposed() -> None:
    score = by_name(found_of(bad_score=0.0, noise=0.0))["pilot_keyword"]
    assert not score.proposed
    assert "guessing reaches" in score.because


def test_a_version_whose_number_is_unknown_is_refused_by_all_together() -> None:
    cases = [
        Case(
            f"{run}",
            f"run {run}",
            run % 2 == 0,
            {"rank_frame": 40.0 + run, "pilot_keyword": 0.3 + 0.4 * (run % 2 == 0)},
        )
        for run in range(12)
    ]
    lacking = Case("lacking", "run 12", True, {"rank_frame": 45.0})
    found = calibrate(Cases((*cases, lacking), (SCORE,)), 0.25)
    assert found.together is not None
    assert (found.together.refused.count, found.together.refused.n) == (1, 7)


def test_held_out_errors_of_floors_that_mean_nothing_are_as_bad_as_they_are() -> None:
    """Where score and outcome are independent, what is promoted is about what was asked for, and hardly a good one."""
    rng = np.random.default_rng(6)
    cases = tuple(
        Case(f"{run}", f"run {run}", bool(rng.integers(2)), {"pilot_keyword": float(rng.uniform(0.1, 0.9))})
        for run in range(120)
    )
    found = by_name(calibrate(Cases(cases, (SCORE,)), 0.2))["pilot_keyword"]
    assert isinstance(found, Floor)
    assert found.errors.promoted.low <= 0.2 <= found.errors.promoted.high
    assert found.errors.refused.share > 0.65
    assert not found.proposed


def test_the_curve_asks_less_of_bad_versions_the_more_may_pass() -> None:
    floor = by_name(found_of(bad_score=0.72, noise=0.06))["pilot_keyword"]
    assert isinstance(floor, Floor)
    refused = [point.refused for point in floor.curve]
    assert refused == sorted(refused, reverse=True)
    assert [point.guaranteed for point in floor.curve] == [point.alpha >= 0.05 for point in floor.curve]


def test_the_document_is_json_and_the_same_each_time() -> None:
    first, again = (json.dumps(found_of().document(), allow_nan=False) for _ in range(2))
    assert first == again
    assert json.loads(first)["kind"] == "Calibration"


def test_a_bad_rate_is_refused() -> None:
    with pytest.raises(UsageError, match="false-promotion rate"):
        found_of(alpha=0.9)
