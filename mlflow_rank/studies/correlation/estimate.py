"""A number of a study with its interval, its p, and what each run says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlflow_rank.studies.correlation.run_intervals import Interval
from mlflow_rank.studies.correlation.shifts import Chance
from mlflow_rank.studies.enough import NotEnough, Unknown

Missing = Unknown | NotEnough


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number over runs.

    Attributes:
        value: the weighted mean over runs.
        interval: 95 %, or why there is none.
        per_run: the number of each run alone, by its name.
        chance: how often chance alone gives as much; None where nobody asks (a score that was lost).
        adjusted: the p after correction for the number of tests of its family; None outside of a family.
    """

    value: float
    interval: Interval | Missing
    per_run: Mapping[str, float]
    chance: Chance | None = None
    adjusted: float | None = None

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        found: dict[str, object] = {"value": self.value, "interval": self.interval.document()}
        if self.chance is not None:
            found |= {"p": self.chance.p, "p_adjusted": self.adjusted, "smallest_p": self.chance.smallest}
            found |= {"permutations": "all" if self.chance.sampled is None else self.chance.sampled}
        return found | {"per_run": dict(self.per_run)}


Found = Estimate | Missing
