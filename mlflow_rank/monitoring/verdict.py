"""What a judge says of one point: where every chart stands, and which alarms there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from mlflow_rank.monitoring.alarm import Alarm
from mlflow_rank.monitoring.point import Point

Phase = Literal["warming up", "calibrating", "watching"]


@dataclass(frozen=True, slots=True)
class ChartValue:
    """Where one layer at one level stands in its control chart.

    `residual` is the natural logarithm of the rank over what the local trend expected (−0.36: 30 % below), `lower` and
    `upper` the limits that it is held against, in the same unit. None while there is nothing to compare with. Nothing
    alarms above `upper`: a rise is no collapse, and the chart follows it.
    """

    layer: int
    level: str
    phase: Phase
    residual: float | None = None
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A point judged: every chart, all alarms of the run until now in the order they were raised, and what is new.

    `raised` has the alarms that began at this point, and those that were open and became much worse: these keep their
    id, `since_step` and `raised_step`, and have new words.
    """

    point: Point
    charts: tuple[ChartValue, ...]
    alarms: tuple[Alarm, ...]
    raised: tuple[Alarm, ...] = ()
    closed: tuple[Alarm, ...] = ()


class Keeper(Protocol):
    """Whoever keeps what a monitor says: MLflow, a page, evidence. It may be slow or fail; training goes on."""

    def resume(self, verdicts: Sequence[Verdict]) -> None:
        """Take the verdicts of a run that goes on, before any other; what is known of them already is passed over."""
        ...

    def keep(self, verdict: Verdict) -> None:
        """Take one verdict; called in the order of the steps."""
        ...

    def close(self, verdicts: Sequence[Verdict]) -> None:
        """Take all verdicts of the run, once, at its end."""
        ...
