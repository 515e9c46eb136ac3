from __future__ import annotations

from mlflow_rank.monitoring.alarm import Alarm
from mlflow_rank.monitoring.point import Point
from mlflow_rank.monitoring.verdict import Verdict
from mlflow_rank.reports.watch_words import alarm_lines


def test_an_alarm_that_is_over_is_told_with_its_end_and_its_beginning() -> None:
    alarm = Alarm("d@1500", "dimensional_collapse", 1500, 1540, (3,), "It fell.", "Sure.", "Stop.", closed_step=1640)

    lines = alarm_lines(Verdict(Point(1660, ()), (), (alarm,), closed=(alarm,)))

    assert lines == ["over since step 1640: dimensional collapse of step 1500"]
