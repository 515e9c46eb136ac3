"""The monitor: points when they are due, alarms that stop on request, and never a training that it stops by failing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from mlflow_rank.monitoring.cadence import Cadence
from mlflow_rank.monitoring.journal import Journal, read_points
from mlflow_rank.monitoring.judge import Judge
from mlflow_rank.monitoring.monitor import FAILURES_TO_GIVE_UP, Monitor
from mlflow_rank.monitoring.point import Point, Reading
from mlflow_rank.monitoring.team import Team
from mlflow_rank.monitoring.verdict import Keeper, Verdict


def healthy(step: int, loss: float | None) -> Point:
    return Point(step, (Reading(0, "frame", 200, 8, 7.0, 6.5, 3.0, 0.9, 0.1),), loss=loss)


def gone(step: int, loss: float | None) -> Point:
    if step < 20:
        return healthy(step, loss)
    return Point(step, (Reading(0, "frame", 200, 8, cause="all frames hold NaN"),), loss=loss)


class Kept:
    def __init__(self) -> None:
        self.steps: list[int] = []
        self.closed = 0

    def keep(self, verdict: Verdict) -> None:
        self.steps.append(verdict.point.step)

    def resume(self, verdicts: Sequence[Verdict]) -> None:
        self.steps += [verdict.point.step for verdict in verdicts]

    def close(self, verdicts: Sequence[Verdict]) -> None:
        self.closed += 1


class Broken(Kept):
    def keep(self, verdict: Verdict) -> None:
        raise OSError("no space left on device")


class Scene:
    """A monitor with a journal of its own, and what it said."""

    def __init__(
        self,
        directory: Path,
        take: Callable[[int, float | None], Point] = healthy,
        keepers: Sequence[Keeper] = (),
        stop_on: Sequence[str] = (),
    ) -> None:
        self.said: list[str] = []
        self.monitor = Monitor(
            take=take,
            convention={"probe": "one"},
            journal=Journal(directory),
            judge=Judge(),
            cadence=Cadence(4, None),
            team=Team.alone(),
            open_keepers=lambda n: keepers,
            stop_on=stop_on,  # type: ignore[arg-type]
            say=self.said.append,
        )

    def train(self, steps: range, loss: float = 1.0) -> Scene:
        for step in steps:
            self.monitor.step(step, loss)
        self.monitor.close()
        return self


def test_points_are_taken_when_they_are_due_and_kept_by_everyone(tmp_path: Path) -> None:
    kept = Kept()
    scene = Scene(tmp_path, keepers=[kept]).train(range(14))
    assert kept.steps == [0, 1, 2, 4, 8, 12]
    assert [point.step for point in read_points(tmp_path)] == kept.steps
    assert kept.closed == 1
    assert scene.said == []


def test_the_loss_of_a_point_is_the_mean_since_the_point_before(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    for step in range(9):
        scene.monitor.step(step, float(step))
    scene.monitor.close()
    assert [point.loss for point in read_points(tmp_path)] == [0.0, 1.0, 2.0, 3.5, 6.5]


def test_a_run_that_goes_on_gives_keepers_what_they_may_lack_and_takes_no_point_twice(tmp_path: Path) -> None:
    Scene(tmp_path).train(range(10))
    taken: list[int] = []

    def take(step: int, loss: float | None) -> Point:
        taken.append(step)
        return healthy(step, loss)

    kept = Kept()
    Scene(tmp_path, take, [kept]).train(range(8, 17))
    assert taken == [12, 16]
    assert kept.steps == [0, 1, 2, 4, 8, 12, 16]


def test_an_alarm_that_training_is_to_stop_on_stops_it_and_says_what_to_do(tmp_path: Path) -> None:
    scene = Scene(tmp_path, gone, stop_on=["divergence"]).train(range(40))
    assert scene.monitor.should_stop
    [alarm] = scene.monitor.alarms
    assert (alarm.kind, alarm.since_step) == ("divergence", 20)
    assert any("ALARM divergence" in text and alarm.next in text for text in scene.said)


def test_an_alarm_that_nobody_asked_to_stop_on_does_not_stop(tmp_path: Path) -> None:
    scene = Scene(tmp_path, gone, stop_on=["disagreement"]).train(range(40))
    assert scene.monitor.alarms
    assert not scene.monitor.should_stop


def test_a_run_that_goes_on_still_asks_to_stop(tmp_path: Path) -> None:
    Scene(tmp_path, gone).train(range(25))
    scene = Scene(tmp_path, gone, stop_on=["divergence"])
    scene.monitor.step(25)
    assert scene.monitor.should_stop
    scene.monitor.close()


def test_what_fails_once_is_said_once_and_tried_again(tmp_path: Path) -> None:
    def take(step: int, loss: float | None) -> Point:
        if step in (4, 12):
            raise RuntimeError("out of memory")
        return healthy(step, loss)

    scene = Scene(tmp_path, take).train(range(21))
    assert [point.step for point in read_points(tmp_path)] == [0, 1, 2, 8, 16, 20]
    assert sum("out of memory" in text for text in scene.said) == 1
    assert "MONITOR FAILED" in scene.said[0]


def test_what_fails_every_time_turns_the_monitor_off_and_not_the_training(tmp_path: Path) -> None:
    tried: list[int] = []

    def take(step: int, loss: float | None) -> Point:
        tried.append(step)
        raise RuntimeError("out of memory")

    scene = Scene(tmp_path, take).train(range(100))
    assert len(tried) == FAILURES_TO_GIVE_UP
    assert sum("out of memory" in text for text in scene.said) == 1
    assert "OFF" in scene.said[-1]


def test_a_keeper_that_fails_takes_nothing_from_the_others(tmp_path: Path) -> None:
    kept = Kept()
    scene = Scene(tmp_path, keepers=[Broken(), kept]).train(range(9))
    assert kept.steps == [0, 1, 2, 4, 8]
    assert sum("no space left" in text for text in scene.said) == 1


def test_keepers_that_cannot_be_opened_leave_the_points_on_disk(tmp_path: Path) -> None:
    scene = Scene(tmp_path)

    def refuse(n: int) -> Sequence[Keeper]:
        raise OSError("no MLflow here")

    scene.monitor.open_keepers = refuse
    scene.train(range(5))
    assert [point.step for point in read_points(tmp_path)] == [0, 1, 2, 4]
    assert sum("no MLflow here" in text for text in scene.said) == 1


def test_a_chart_of_another_convention_is_not_gone_on_with(tmp_path: Path) -> None:
    Scene(tmp_path).train(range(10))
    scene = Scene(tmp_path)
    scene.monitor.convention = {"probe": "another"}
    scene.train(range(10, 20))
    assert "another convention" in scene.said[0]
    assert [point.step for point in read_points(tmp_path)] == [0, 1, 2, 4, 8]


@pytest.mark.parametrize("lost", [math.nan, math.inf])
def test_a_loss_that_is_lost_is_looked_into_at_once(tmp_path: Path, lost: float) -> None:
    scene = Scene(tmp_path)
    for step in range(9):
        scene.monitor.step(step, 1.0)
    for step in (9, 10, 11):
        scene.monitor.step(step, lost)
    scene.monitor.close()
    assert [point.step for point in read_points(tmp_path)] == [0, 1, 2, 4, 8, 9]


def test_a_monitor_that_is_closed_lets_another_open_its_journal_even_if_it_never_began(tmp_path: Path) -> None:
    Scene(tmp_path).monitor.close()
    scene = Scene(tmp_path)
    scene.monitor.close()
    scene.monitor.close()
    assert scene.said == []


def test_a_loss_may_be_any_number_and_what_is_none_is_left_out_and_said_once(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    for step, loss in enumerate([np.float32(2.0), 4, "five", object(), 6.0]):
        scene.monitor.step(step, loss)  # type: ignore[arg-type]
    scene.monitor.close()
    assert [point.loss for point in read_points(tmp_path)] == [2.0, 4.0, None, 6.0]
    assert len(scene.said) == 1
    assert "a loss could not be read" in scene.said[0]


def test_a_log_that_is_gone_stops_neither_monitor_nor_training(tmp_path: Path) -> None:
    def take(step: int, loss: float | None) -> Point:
        if step == 4:
            raise RuntimeError("out of memory")
        return gone(step, loss)

    def broken(text: str) -> None:
        raise BrokenPipeError

    scene = Scene(tmp_path, take, [Broken()])
    scene.monitor.say = broken
    scene.train(range(30))
    assert [alarm.kind for alarm in scene.monitor.alarms] == ["divergence"]
