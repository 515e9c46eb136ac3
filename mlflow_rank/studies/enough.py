"""How much is enough for a number, and what stands in its place where there is too little."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from mlflow_rank.errors import UsageError


@dataclass(frozen=True, slots=True)
class Unknown:
    """There is no number, and why."""

    cause: str

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {"unknown": self.cause}


@dataclass(frozen=True, slots=True)
class NotEnough:
    """There is no number because there is too little to take it from: `n` of `what`, where `minimum` are needed.

    >>> NotEnough("checkpoints of a run", 5, 8).cause
    'not enough: 5 checkpoints of a run, 8 needed'
    """

    what: str
    n: int
    minimum: int

    @property
    def cause(self) -> str:
        """What is missing, in words."""
        return f"not enough: {self.n} {self.what}, {self.minimum} needed"

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {"unknown": self.cause, "not_enough": {"what": self.what, "n": self.n, "minimum": self.minimum}}


@dataclass(frozen=True, slots=True)
class Minimum:
    """The least of which a number is given.

    Attributes:
        checkpoints: of one run, for an association over them; 8 leave 3 degrees of freedom beside a cubic and the loss.
        runs: for what is resampled or permuted over runs. The range of 4 runs holds the median of all runs in 7 of 8
            cases and 24 orders of them give a p of 1/24; 3 runs hold it in 3 of 4 and give 1/6.
        layers: of one checkpoint, for an association or a choice over them.
    """

    checkpoints: int = 8
    runs: int = 4
    layers: int = 4

    def __post_init__(self) -> None:
        least = {"checkpoints": 8, "runs": 3, "layers": 3}  # below these the arithmetic itself ends
        short = {name: getattr(self, name) for name, floor in least.items() if getattr(self, name) < floor}
        if short:
            raise UsageError(
                "a minimum is too small for any number",
                got=", ".join(f"{name} {value}" for name, value in short.items()),
                expected=", ".join(f"{name} at least {least[name]}" for name in short),
            )

    def document(self) -> dict[str, int]:
        """Return it JSON-ready."""
        return asdict(self)
