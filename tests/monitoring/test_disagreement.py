from __future__ import annotations

import numpy as np

from mlflow_rank.monitoring.judge import Judge
from mlflow_rank.monitoring.point import Point, Reading

CALM = 50  # points: settled, with a history


def run_of(centred, uncentred):
    return [
        Point(20 * at, tuple(Reading(layer, "frame", 12_000, 768, *ranks, 150.0, 0.9, 0.16) for layer in range(2)))
        for at, ranks in enumerate(zip(centred, uncentred, strict=True))
    ]


def alarms(points):
    judge = Judge()
    return [judge.judge(point) for point in points][-1].alarms


def test_uncentred_rank_that_falls_while_centred_rank_rises_is_a_disagreement():
    """74 → 124 and 71 → 20, a failure that was seen, within fifteen points."""
    centred = np.concatenate([np.full(CALM, 74.0), np.geomspace(74, 124, 15)])
    uncentred = np.concatenate([np.full(CALM, 71.0), np.geomspace(71, 20, 15)])
    [alarm] = alarms(run_of(centred, uncentred))
    assert alarm.kind == "disagreement"
    assert alarm.layers == (0, 1)
    assert alarm.since_step >= 20 * CALM
    assert "ratio" in alarm.saw


def test_a_drift_apart_over_hundreds_of_points_is_one_too():
    """A median that went on learning would follow it until a ratio of three."""
    centred, uncentred = np.full(600, 74.0), np.concatenate([np.full(CALM, 71.0), np.geomspace(71, 24, 550)])
    [alarm] = alarms(run_of(centred, uncentred))
    assert alarm.kind == "disagreement"
    assert "first 40 points" in alarm.sure
    halved = 20 * int(np.argmax(uncentred < 71 / 2))
    assert halved <= alarm.since_step <= halved + 20 * 15


def test_both_moving_alike_is_none():
    rise = np.concatenate([np.full(CALM, 40.0), np.geomspace(40, 120, 30)])
    assert alarms(run_of(rise, 0.95 * rise)) == ()


def test_apart_from_the_beginning_is_none():
    assert alarms(run_of(np.full(90, 74.0), np.full(90, 12.0))) == ()


def test_apart_while_the_run_warms_up_is_none():
    """Random weights and the steps after: 115 and 72 in a healthy self-distillation, then 77 and 76."""
    centred = np.concatenate([np.full(12, 121.0), np.full(4, 115.0), np.full(40, 74.0)])
    uncentred = np.concatenate([np.full(12, 116.0), np.full(4, 40.0), np.full(40, 73.0)])
    assert alarms(run_of(centred, uncentred)) == ()
