"""How a correlation study is done: what is looked at, how often chance is asked, and how little is too little."""

from __future__ import annotations

from dataclasses import dataclass, field

from mlflow_rank.errors import UsageError
from mlflow_rank.studies.correlation.multiplicity import CORRECTIONS
from mlflow_rank.studies.correlation.run_intervals import LEVEL
from mlflow_rank.studies.enough import Minimum


@dataclass(frozen=True, slots=True)
class StudySettings:
    """Settings of a correlation study.

    Attributes:
        predictors: ranks to look at, all there are where None.
        outcomes: pilot scores to look at, all there are where None.
        correction: for the number of tests, `holm` or `bh`.
        resamples: of runs, for intervals.
        permutations: drawn where there are too many shifts or orders to count.
        random_draws: of noise in place of a rank, for what nothing at all gives.
        minimum: the least of which a number is given.
    """

    predictors: tuple[str, ...] | None = None
    outcomes: tuple[str, ...] | None = None
    correction: str = "holm"
    resamples: int = 2000
    permutations: int = 20_000
    random_draws: int = 200
    minimum: Minimum = field(default_factory=Minimum)

    def __post_init__(self) -> None:
        if self.correction not in CORRECTIONS:
            raise UsageError("no such correction", got=self.correction, expected=" or ".join(CORRECTIONS))
        counts = {name: getattr(self, name) for name in ("resamples", "permutations", "random_draws")}
        few = {name: count for name, count in counts.items() if count < 100}
        if few:
            raise UsageError(
                "too few draws for a 95 % interval or a p of .05",
                got=", ".join(f"{name} {count}" for name, count in few.items()),
                expected="at least 100 of each",
            )

    def document(self) -> dict[str, object]:
        """Return it JSON-ready, with the level of all intervals."""
        return {
            "predictors": None if self.predictors is None else list(self.predictors),
            "outcomes": None if self.outcomes is None else list(self.outcomes),
            "correction": self.correction,
            "level": LEVEL,
            "resamples": self.resamples,
            "permutations": self.permutations,
            "random_draws": self.random_draws,
            "minimum": self.minimum.document(),
        }
