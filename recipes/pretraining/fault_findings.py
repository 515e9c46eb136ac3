"""What came of one case of the study: which alarms, when, and what the pilot says of the same steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlflow_rank.monitoring.journal import read_points
from mlflow_rank.monitoring.judge import Judge
from recipes.pretraining.fault_cases import Case
from recipes.pretraining.fault_injection import NONE
from recipes.pretraining.piloting import Pilot, read_pilots
from recipes.pretraining.run_directory import MONITOR


@dataclass(frozen=True, slots=True)
class Fall:
    """The pilot at one layer: at the onset, its lowest afterwards and where, and from which step it fell clearly.

    `lowest` is None where an encoder returned nothing to pilot; that is a clear fall.
    """

    before: Pilot
    lowest: Pilot | None
    lowest_step: int
    fell_at: int | None

    @classmethod
    def of(cls, pilots: Mapping[int, Mapping[str, Pilot]], layer: str, onset: int) -> Fall:
        """Return the fall at the `best` or the `last` layer after an onset."""
        before = pilots[onset][layer]
        after = {step: at.get(layer) for step, at in sorted(pilots.items()) if step > onset}
        lowest = min(after, key=lambda step: -1.0 if (found := after[step]) is None else found.score)
        fell = [step for step, found in after.items() if found is None or found.fell_clearly(before)]
        return cls(before, after[lowest], lowest, fell[0] if fell else None)


@dataclass(frozen=True, slots=True)
class Finding:
    """One case: `alarms` are those raised after the onset, `false_alarms` those at or before it, as documents.

    `points` is how many the chart has, `delay` how many of them lie from the onset to the first alarm's, that one
    included.
    """

    fault: str
    objective: str
    seed: int
    onset: int
    points: int
    points_before: int
    alarms: tuple[Mapping[str, Any], ...]
    false_alarms: tuple[Mapping[str, Any], ...]
    delay: int | None
    best: Fall
    last: Fall

    @property
    def is_healthy(self) -> bool:
        """Whether nothing was made to go wrong."""
        return self.fault == NONE

    @property
    def raised(self) -> int | None:
        """The step of the first alarm after the onset."""
        return min((int(alarm["raised_step"]) for alarm in self.alarms), default=None)

    @property
    def fell_at(self) -> int | None:
        """The first step at which the pilot had clearly fallen at either layer."""
        return min((fall.fell_at for fall in (self.best, self.last) if fall.fell_at is not None), default=None)

    @property
    def missed(self) -> str:
        """What the monitor missed, or said without need."""
        if self.is_healthy:
            return "a false alarm" if self.alarms else ""
        if self.raised is None:
            return "no alarm" if self.fell_at is not None else "no alarm; nor did the pilot fall clearly"
        if self.fell_at is None:
            return "the pilot did not fall clearly"
        return "" if self.raised <= self.fell_at else f"{self.raised - self.fell_at} steps after the fall"


def finding_of(case: Case) -> Finding:
    """Read what a case has left: its points are judged again, by the judge as it is now, and nothing is trained.

    Raises:
        UsageError: it has no points yet.
    """
    onset, judge = case.plan.onset, Judge()
    verdicts = [judge.judge(point) for point in read_points(case.path / MONITOR)]
    steps = [verdict.point.step for verdict in verdicts]
    alarms: list[dict[str, Any]] = [dict(alarm.document()) for alarm in verdicts[-1].alarms]
    late = tuple(alarm for alarm in alarms if alarm["raised_step"] > onset)
    first = min((alarm["raised_step"] for alarm in late), default=None)
    pilots = {onset: read_pilots(case.beginning)[onset], **read_pilots(case.path)}
    return Finding(
        fault=case.plan.fault,
        objective=case.plan.objective,
        seed=case.plan.seed,
        onset=onset,
        points=len(steps),
        points_before=sum(step <= onset for step in steps),
        alarms=late,
        false_alarms=tuple(alarm for alarm in alarms if alarm["raised_step"] <= onset),
        delay=None if first is None else sum(onset < step <= first for step in steps),
        best=Fall.of(pilots, "best", onset),
        last=Fall.of(pilots, "last", onset),
    )
