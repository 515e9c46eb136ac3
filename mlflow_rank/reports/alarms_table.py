"""The alarms of a monitored run for the terminal: what is open first, each with what it saw and what to do."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO

from mlflow_rank.monitoring.alarm import Alarm
from mlflow_rank.reports.columns import print_columns
from mlflow_rank.reports.terminal import encodable
from mlflow_rank.reports.timeline_series import kind_name, layers_named

_TITLES = ("alarm", "steps", "layers", "what it saw")


def print_alarms(alarms: Sequence[Alarm], stream: TextIO | None = None) -> None:
    """Print alarms, open ones first, each in the order they were raised.

    Args:
        alarms: of the run until now.
        stream: where to; None for stdout.
    """
    stream = stream or sys.stdout
    if not alarms:
        stream.write("no alarm was raised\n")
        return
    rows = [
        (
            kind_name(alarm),
            _state(alarm),
            layers_named(alarm.layers).removeprefix("layers ").removeprefix("layer ").replace("–", "-"),
            f"{alarm.saw} {alarm.sure}" + (f" Next: {alarm.next}" if alarm.is_open else ""),
        )
        for alarm in sorted(alarms, key=lambda each: not each.is_open)
    ]
    print_columns(_TITLES, [tuple(encodable(cell, stream) for cell in row) for row in rows], stream)


def _state(alarm: Alarm) -> str:
    if alarm.closed_step is None:
        return f"OPEN since {alarm.since_step:,}"
    return f"{alarm.since_step:,} to {alarm.closed_step:,}"
