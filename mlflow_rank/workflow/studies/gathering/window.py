"""From which step to which checkpoints are studied: said beforehand, never found by looking at the outcomes."""

from __future__ import annotations

from dataclasses import dataclass

from mlflow_rank.errors import UsageError
from mlflow_rank.studies.trajectories import Trajectories

AFTER_RANDOM = 1  # step 0 is random weights, which have the widest spectra and the worst pilots


@dataclass(frozen=True, slots=True)
class Window:
    """Steps that are studied, both ends included; `last` None is no end. `chosen` says that a person asked for it.

    Raises:
        UsageError: it ends before it begins.
    """

    first: int = AFTER_RANDOM
    last: int | None = None
    chosen: bool = False

    def __post_init__(self) -> None:
        if self.last is not None and self.last < self.first:
            raise UsageError(
                "this window ends before it begins", got=f"steps {self.first} to {self.last}", expected="a later end"
            )

    def __contains__(self, step: int) -> bool:
        return self.first <= step and (self.last is None or step <= self.last)

    def of(self, trajectories: Trajectories) -> Trajectories:
        """Return what lies in the window.

        Raises:
            UsageError: nothing does.
        """
        inside = trajectories.where(lambda each: each.step in self)
        if not inside.observations:
            steps = sorted({each.step for each in trajectories.observations})
            there = f"steps {steps[0]} to {steps[-1]}" if steps else "no checkpoint at all"
            raise UsageError(
                "no checkpoint lies in the window",
                got=f"{there}; the window is {self}",
                expected="checkpoints in it",
                remedy="choose another with --from-step and --to-step",
            )
        return inside

    def __str__(self) -> str:
        return f"from step {self.first} on" if self.last is None else f"steps {self.first} to {self.last}"

    def sentence(self) -> str:
        """Return how a study says what it looked at, and who chose it.

        >>> Window().sentence()
        'Window: from step 1 on; that is the default, which leaves out random weights.'
        """
        if self.chosen:
            return f"Window: {self}; that was asked for, not found by looking at the outcomes."
        return f"Window: {self}; that is the default, which leaves out random weights."

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {"from_step": self.first, "to_step": self.last, "chosen": self.chosen}
