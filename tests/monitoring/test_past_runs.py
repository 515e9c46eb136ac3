"""What a judge does with past healthy runs."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.simulated_runs import RANDOM_WEIGHTS, SHAPES, Noise, points_of, sudden
from mlflow_rank.monitoring.judge import Judge
from mlflow_rank.monitoring.past_runs import PastRuns

LAYERS = 3


def run_of(seed, *, shape="fall and recovery", fall=None, points=100, sd=0.02):
    at = np.arange(points, dtype=float)
    noise = Noise(sd, 0.5).draw(points, LAYERS, np.random.default_rng(seed))
    ranks = RANDOM_WEIGHTS + SHAPES[shape](at)[:, None] + noise
    if fall is not None:
        ranks[:, 0] += fall(at)
    return points_of(ranks)


@pytest.fixture(scope="module")
def past():
    return [run_of(seed) for seed in range(3)]


def alarms(points, past=()):
    judge = Judge(baseline=past)
    return [judge.judge(point) for point in points][-1].alarms


def test_another_healthy_run_raises_nothing(past):
    assert [alarms(run_of(seed), past) for seed in range(10, 14)] == [()] * 4


def test_a_fall_is_found_before_the_run_has_calibrated_on_itself(past):
    points = run_of(20, fall=sudden(0.4, 30), points=40)
    assert [alarm.raised_step for alarm in alarms(points) if alarm.raised_step < points[34].step] == []
    [alarm] = alarms(points, past)
    assert points[30].step <= alarm.raised_step < points[34].step
    assert alarm.layers == (0,)


def test_a_run_that_is_lower_than_all_of_them_from_the_start_is_found(past):
    points = run_of(21, fall=sudden(0.5, 3), points=9)
    assert alarms(points) == ()
    [alarm] = alarms(points, past)
    assert points[3].step == alarm.since_step
    assert "below all past runs" in alarm.saw
    assert "3 past runs" in alarm.sure


def test_a_past_run_that_would_have_alarmed_widens_the_limits(past):
    dip = lambda at: sudden(0.3, 60)(at) - sudden(0.3, 66)(at)  # noqa: E731
    again = run_of(22, fall=dip)
    assert len(alarms(again, past)) == 1
    assert alarms(again, [*past, run_of(23, fall=dip)]) == ()


def test_a_layer_or_step_that_no_past_run_has_is_not_held_against_them():
    runs = PastRuns(ranks=({0: ((0, 4.0), (20, 3.0), (40, 3.5))},))
    assert runs.floor(0, 20) == 3.0
    assert runs.floor(1, 20) is None
    assert runs.floor(0, 60) is None
    assert PastRuns().floor(0, 0) is None
