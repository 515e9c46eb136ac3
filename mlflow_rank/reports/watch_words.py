"""What a watch says as it goes: a line for each point, for what was passed over, and for alarms.

Names and causes stand in them as they came: print them through `untrusted_text`.
"""

from __future__ import annotations

from collections.abc import Sequence

from mlflow_rank.monitoring.alarm import Alarm
from mlflow_rank.monitoring.arrivals import PassedOver
from mlflow_rank.monitoring.point import Reading
from mlflow_rank.monitoring.verdict import Verdict


def point_line(verdict: Verdict, name: str) -> str:
    """Return one point in one line: its step, the ranks of its frames, what the charts do, which alarms are open.

    Args:
        verdict: on the point.
        name: of the checkpoint.
    """
    frames = [reading for reading in verdict.point.readings if reading.level == "frame"]
    opened = [alarm for alarm in verdict.alarms if alarm.is_open]
    phases = {chart.phase for chart in verdict.charts if chart.level == "frame"}
    phase = next((each for each in ("warming up", "calibrating", "watching") if each in phases), "warming up")
    alarms = ", ".join(f"{_named(alarm)} since step {alarm.since_step}" for alarm in opened)
    state = f"open alarms: {alarms}" if alarms else f"no open alarm ({phase})"
    return f"step {verdict.point.step}: {_ranks(frames)}; {state}  [{name}, {verdict.point.seconds:.1f} s]"


def alarm_lines(verdict: Verdict) -> list[str]:
    """Return what is new of alarms at a point, each in one line."""
    raised = [f"ALARM {_named(alarm)}: {alarm.message}" for alarm in verdict.raised]
    closed = [
        f"over since step {alarm.closed_step}: {_named(alarm)} of step {alarm.since_step}" for alarm in verdict.closed
    ]
    return [*raised, *closed]


def passed_line(passed: PassedOver) -> str:
    """Return what was passed over, and why, in one line."""
    return f"passed over: {passed.name}: {passed.cause}"


def _named(alarm: Alarm) -> str:
    return alarm.kind.replace("_", " ")


def _ranks(frames: Sequence[Reading]) -> str:
    known = sorted((reading.rank, reading.layer) for reading in frames if reading.rank is not None)
    unknown = [reading for reading in frames if reading.rank is None]
    parts = []
    if known:
        (low, lowest), (high, _) = known[0], known[-1]
        parts.append(f"rank {low:.1f} (layer {lowest}) to {high:.1f}" if len(known) > 1 else f"rank {low:.1f}")
    if unknown:
        layers = ", ".join(str(reading.layer) for reading in unknown)
        parts.append(f"unknown in layers {layers}: {unknown[0].cause or 'no cause is known'}")
    return ", ".join(parts) or "no layer"
