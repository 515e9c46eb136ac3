from __future__ import annotations

import math
from dataclasses import replace

import pytest

from mlflow_rank.monitoring.judge import Judge
from mlflow_rank.monitoring.point import Point, Reading

NOT_FINITE = "NaN or infinity in 12 frames of 3 of 64 utterances"


def run_of(*variances: float | None, layers: int = 3, loss: float | None = 2.0) -> list[Point]:
    """Return points whose layer 1 has these total variances; None: no numbers at all."""
    points = []
    for at, variance in enumerate(variances):
        readings = [Reading(layer, "frame", 12_000, 160, 60.0, 55.0, 150.0, 0.9, 0.16) for layer in range(layers)]
        readings[1] = (
            Reading(1, "frame", 0, 160, cause=NOT_FINITE)
            if variance is None
            else replace(readings[1], total_variance=variance)
        )
        points.append(Point(20 * at, tuple(readings), loss=loss))
    return points


def verdicts(points):
    judge = Judge()
    return [judge.judge(point) for point in points]


def test_a_layer_without_numbers_alarms_at_once_and_says_what_was_found():
    points = run_of(150.0, None)
    [alarm] = verdicts(points)[-1].alarms
    assert (alarm.kind, alarm.layers, alarm.since_step, alarm.raised_step) == ("divergence", (1,), 20, 20)
    assert NOT_FINITE in alarm.saw


def test_the_other_layers_are_judged_on():
    last = verdicts(run_of(*[150.0] * 60, None))[-1]
    assert [chart.phase for chart in last.charts] == ["watching"] * 3
    assert [chart.residual is None for chart in last.charts] == [False, True, False]


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_a_divergence_of_all_layers(loss):
    points = [*run_of(150.0), replace(run_of(150.0, 150.0)[1], loss=loss)]
    [alarm] = verdicts(points)[-1].alarms
    assert alarm.layers == (0, 1, 2)
    assert str(loss) in alarm.saw


def test_a_hundredfold_total_variance_is_an_explosion():
    [alarm] = verdicts(run_of(*[150.0] * 10, 3e4))[-1].alarms
    assert (alarm.kind, alarm.layers) == ("divergence", (1,))
    assert "200 times" in alarm.saw


def test_growth_by_a_third_at_every_point_is_none():
    assert verdicts(run_of(*(150.0 * 1.33**at for at in range(40))))[-1].alarms == ()


@pytest.mark.parametrize("growth", [1.2, 2.0, 10.0])
def test_a_growing_explosion_is_found_against_what_was_long_ago_and_dated_to_where_it_left_the_healthy(growth):
    points = run_of(*[150.0] * 60, *(150.0 * growth**at for at in range(1, 41)))
    [alarm] = verdicts(points)[-1].alarms
    assert (alarm.kind, alarm.layers) == ("divergence", (1,))
    assert 20 * 60 <= alarm.since_step <= 20 * 64
    if growth < 10:
        assert alarm.since_step < alarm.raised_step


def test_total_variance_that_grows_a_hundredfold_over_a_hundred_points_is_none():
    points = run_of(*[150.0] * 60, *(150.0 * 1.05**at for at in range(100)))
    assert verdicts(points)[-1].alarms == ()


def test_an_explosion_that_goes_on_is_told_again_but_not_at_every_point():
    seen = verdicts(run_of(*[150.0] * 60, *(150.0 * 2.0**at for at in range(1, 61))))
    told = [alarm for verdict in seen for alarm in verdict.raised]
    assert 3 <= len(told) <= 8
    assert len({alarm.id for alarm in told}) == 1


def test_a_layer_that_comes_back_closes_its_alarm():
    points = run_of(150.0, None, 150.0, 150.0, 150.0)
    seen = verdicts(points)
    [alarm] = seen[-1].closed
    assert alarm.closed_step == 40
    assert alarm.kind == "divergence"
