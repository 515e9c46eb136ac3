"""What a run will do, step by step, from a few numbers: the same on every machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from mlflow_rank.errors import UsageError
from recipes.pretraining.fault_injection import NONE, check_fault
from recipes.starter_encoder.schedule import Schedule

PACE = 100  # steps a minute: what one to two slow cores do (measured: 80 to 140), so that a run is as long everywhere
OBJECTIVES = ("clusters", "self_distillation")
MFCC_CLUSTERS, LAYER_CLUSTERS = 100, 200  # as the starter recipe has them, see there
MIDDLE_LAYER = 2  # of 0 … 5: what the second iteration clusters
SECOND_FROM = 2_000  # steps from which a run has a second iteration: shorter ones have learnt nothing worth clustering
FIRST_SHARE = 0.7  # of the steps, as in the starter recipe
FIRST_CHECKPOINT = 25  # step of the first of the log-spaced ones


@dataclass(frozen=True, slots=True)
class Stretch:
    """An iteration: the steps before it, its schedule, and how many clusters it names."""

    before: int
    schedule: Schedule
    clusters: int

    @property
    def end(self) -> int:
        """The steps that are behind the run at its end."""
        return self.before + self.schedule.steps


@dataclass(frozen=True, slots=True)
class Plan:
    """A run: `minutes` times the pace are its steps, and after the share `fault_at` of them the fault begins.

    `audio_minutes` is how much of the corpus it hears, None for all. `per_doubling` checkpoints lie in each doubling
    of the steps.

    Raises:
        UsageError: no such objective or fault, a fault that the objective cannot have, no step to take, ….
    """

    minutes: float = 8.0
    objective: str = "clusters"
    fault: str = NONE
    fault_at: float = 0.6
    seed: int = 0
    audio_minutes: float | None = None
    per_doubling: int = 1

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise UsageError("no such objective", got=self.objective, expected=" or ".join(OBJECTIVES))
        check_fault(self.fault, self.objective)
        if not 0.0 <= self.fault_at <= 1.0:
            raise UsageError("no such share of the run", got=f"fault_at {self.fault_at:g}", expected="0 to 1")
        if self.per_doubling < 1:
            raise UsageError(
                "no such spacing of checkpoints", got=f"{self.per_doubling} a doubling", expected="at least 1"
            )
        if self.steps < 1:
            raise UsageError(
                "too short to take one step",
                got=f"{self.minutes:g} minutes",
                expected=f"at least {1 / PACE:g}: {PACE} steps a minute",
            )

    @property
    def steps(self) -> int:
        """All steps of the run."""
        return round(self.minutes * PACE)

    @property
    def onset(self) -> int:
        """The last step without the fault."""
        return round(self.fault_at * self.steps)

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        """One iteration, or where a run of clusters is long enough HuBERT's two, each with a warm-up of its own."""
        two = self.objective == "clusters" and self.steps >= SECOND_FROM
        first = round(FIRST_SHARE * self.steps) if two else self.steps
        stretches = (Stretch(0, _schedule(first, 1e-3), MFCC_CLUSTERS),)
        return (*stretches, Stretch(first, _schedule(self.steps - first, 5e-4), LAYER_CLUSTERS)) if two else stretches

    @property
    def checkpoints(self) -> frozenset[int]:
        """Steps 0, 25, 50, 100, … or closer, as close after the fault's onset, and the end of each iteration."""
        spaced = [0, FIRST_CHECKPOINT]
        while spaced[-1] < self.steps:
            spaced.append(round(FIRST_CHECKPOINT * 2 ** ((len(spaced) - 1) / self.per_doubling)))
        ends = {stretch.end for stretch in self.stretches}
        return (
            frozenset(step for step in {*spaced, *(self.onset + each for each in spaced)} if step < self.steps) | ends
        )

    def document(self) -> dict[str, object]:
        """Return the plan, JSON-ready."""
        return asdict(self)

    def check_continues(self, kept: Mapping[str, object], step: int) -> None:
        """Refuse to go on from `step` of a run that was planned otherwise; a fault that begins later may be another.

        Raises:
            UsageError: a setting differs; it names which.
        """
        own = (replace(self, fault=NONE) if step <= self.onset else self).document()
        theirs = {**kept, "fault": NONE} if step <= self.onset else kept
        differing = sorted(name for name in {*own, *theirs} if own.get(name) != theirs.get(name))
        if differing:
            raise UsageError(
                "this run was begun with other settings: " + ", ".join(differing),
                got="; ".join(f"{name} {own.get(name)}" for name in differing),
                expected="; ".join(f"{name} {theirs.get(name)}" for name in differing),
                remedy="resume with the settings of its beginning; only a fault that has not begun may be another",
            )


def _schedule(steps: int, learning_rate: float) -> Schedule:
    """Return the starter recipe's schedule; a short run warms up for a fifth of it."""
    return Schedule(steps=steps, learning_rate=learning_rate, warmup=min(Schedule.warmup, steps // 5))
