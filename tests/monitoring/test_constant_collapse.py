from __future__ import annotations

from collections.abc import Iterable

import pytest

from mlflow_rank.monitoring.judge import Judge
from mlflow_rank.monitoring.limits import Limits
from mlflow_rank.monitoring.point import Point, Reading

HEALTHY = {"total_variance": 150.0, "normalised_std": 0.9, "mean_norm_ratio": 0.16}
ONE_WAY = {"total_variance": 0.1, "normalised_std": 0.03, "mean_norm_ratio": 0.999}
STEP = 20


def run_of(*frames: dict[str, float | None], layer: int = 2) -> list[Point]:
    return [
        Point(
            STEP * at,
            (
                Reading(0, "frame", 12_000, 160, 60.0, 55.0, **HEALTHY),
                Reading(layer, "frame", 12_000, 160, **{"rank": 60.0, "rank_uncentred": 55.0} | values),
            ),
        )
        for at, values in enumerate(frames)
    ]


def alarms(points: Iterable[Point], limits: Limits = Limits()):  # noqa: B008
    judge = Judge(limits)
    return [judge.judge(point) for point in points][-1].alarms


def test_frames_that_gather_on_one_vector_are_a_constant_collapse_after_the_persistence():
    points = run_of(*[HEALTHY] * 4, *[ONE_WAY] * 3)
    assert alarms(points[:6]) == ()
    [alarm] = alarms(points)
    assert (alarm.kind, alarm.layers, alarm.since_step, alarm.raised_step) == ("constant_collapse", (2,), 80, 120)
    assert "0.03" in alarm.saw
    assert "0.9" in alarm.saw


def test_it_works_from_the_second_point_on():
    [alarm] = alarms(run_of(HEALTHY, *[ONE_WAY] * 3))
    assert alarm.since_step == STEP


def test_rows_that_are_all_the_same_are_constant_and_not_a_divergence():
    same = {
        "rank": None,
        "total_variance": 0.0,
        "normalised_std": 0.0,
        "mean_norm_ratio": 1.0,
        "cause": "constant rows",
    }
    zero = same | {"normalised_std": None, "mean_norm_ratio": None, "cause": "every row is zero"}
    assert [alarm.kind for alarm in alarms(run_of(HEALTHY, same, same, same))] == ["constant_collapse"]
    assert [alarm.kind for alarm in alarms(run_of(HEALTHY, zero, zero, zero))] == ["constant_collapse"]


def test_activations_that_shrink_to_nothing_without_a_mean_are_one_too():
    shrunk = HEALTHY | {"total_variance": 150e-6}
    assert [alarm.kind for alarm in alarms(run_of(HEALTHY, *[shrunk] * 3))] == ["constant_collapse"]


def test_a_smaller_scale_alone_is_none():
    assert alarms(run_of(HEALTHY, *[HEALTHY | {"total_variance": 4.0}] * 5)) == ()


def test_total_variance_that_gives_way_to_the_mean_is_one_above_the_floor_of_the_std_too():
    gathered = {"total_variance": 6.0, "normalised_std": 0.15, "mean_norm_ratio": 0.97}
    [alarm] = alarms(run_of(HEALTHY, *[gathered] * 3))
    assert "gather around their mean" in alarm.saw


def test_an_encoder_that_always_had_a_strong_mean_does_not_alarm():
    strong = {"total_variance": 30.0, "normalised_std": 0.08, "mean_norm_ratio": 0.99}
    assert alarms(run_of(*[strong] * 20)) == ()


def test_nor_does_one_whose_mean_is_nearly_all_from_the_first_point_on():
    nearly_all = {"total_variance": 30.0, "normalised_std": 0.015, "mean_norm_ratio": 0.9998}
    assert alarms(run_of(*[nearly_all] * 20)) == ()


def test_frames_that_are_one_point_from_the_first_on_are_said_to_be():
    same = {"rank": None, "total_variance": 0.0, "normalised_std": 0.0, "mean_norm_ratio": 1.0, "cause": "constant"}
    [alarm] = alarms(run_of(*[same] * 3))
    assert "total variance 0, from the first point on." in alarm.saw
    assert "in layer 2." in alarm.message


def test_the_near_collapse_of_a_healthy_warm_up_does_not_alarm():
    """The deepest layer of a healthy self-distillation at steps 20, 32, 40, 60 and 80."""
    seen = [
        (120.4, 0.863, 0.246),
        (60.4, 0.611, 0.621),
        (24.8, 0.390, 0.845),
        (48.0, 0.535, 0.699),
        (139.1, 0.905, 0.127),
    ]
    names = ("total_variance", "normalised_std", "mean_norm_ratio")
    assert alarms(run_of(HEALTHY, *(dict(zip(names, values, strict=True)) for values in seen))) == ()


@pytest.mark.parametrize("gap", [1, 2])
def test_it_is_over_once_it_has_been_gone_for_the_persistence(gap):
    points = run_of(HEALTHY, *[ONE_WAY] * 3, *[HEALTHY] * gap, ONE_WAY, *[HEALTHY] * 3)
    [alarm] = alarms(points)
    assert alarm.closed_step == STEP * (5 + gap)
    assert alarms(points[:-1])[0].is_open
