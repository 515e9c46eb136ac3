"""The cases of the study of faults: a healthy beginning, and what goes wrong from one of its steps on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from recipes.pretraining.fault_injection import NONE
from recipes.pretraining.plan import OBJECTIVES, PACE, Plan

# Each fault where it belongs: the same fault under the other objective would take as long again to say as much.
OF_OBJECTIVE = {
    "clusters": (NONE, "high_lr", "constant_targets", "random_targets"),
    "self_distillation": (NONE, "no_stop_gradient"),
}


@dataclass(frozen=True, slots=True)
class Case:
    """One run of the study: a plan, and where it lies. Cases of one objective and seed share their `beginning`."""

    plan: Plan
    beginning: Path
    path: Path

    @property
    def name(self) -> str:
        """What it is called in figures and on the terminal."""
        fault = "no fault" if self.plan.fault == NONE else self.plan.fault.replace("_", " ")
        seed = f", seed {self.plan.seed}" if self.plan.seed else ""
        return f"{fault}, {self.plan.objective.replace('_', '-')}{seed}"

    @property
    def after(self) -> list[int]:
        """The checkpoints after the onset, ascending."""
        return sorted(step for step in self.plan.checkpoints if step > self.plan.onset)


def cases(output: Path, *, seeds: int, before: int, after: int, audio_minutes: float | None = None) -> Iterator[Case]:
    """Yield every case: `before` healthy steps, then `after` with the fault, of all objectives and seeds."""
    steps = before + after
    for seed in range(seeds):
        for objective in OBJECTIVES:
            healthy = Plan(steps / PACE, objective, NONE, before / steps, seed, audio_minutes)
            place = output / f"{objective}_{seed}"
            for fault in OF_OBJECTIVE[objective]:
                yield Case(replace(healthy, fault=fault), place / "beginning", place / fault)
