"""One number over training runs: their mean, with an interval in which each run counts as one observation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from mlflow_rank.studies.enough import NotEnough

LEAST_RUNS = 3  # two runs leave one degree of freedom: 95 % is then 12.7 standard errors wide and says nothing
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class OverRuns:
    """A mean over runs with its 95 % interval, and how many runs it is over."""

    value: float
    low: float
    high: float
    runs: int

    def document(self) -> dict[str, float | int]:
        """Return it JSON-ready."""
        return {"value": self.value, "low": self.low, "high": self.high, "runs": self.runs}


def over_runs(
    of_run: Mapping[str, float], what: str, *, between: tuple[float, float] = (-math.inf, math.inf)
) -> OverRuns | NotEnough:
    """Return the mean over runs with Student's interval on one degree of freedom fewer than there are runs.

    Rows of one run move together, so they are no observations of their own: a run gives one number. A bootstrap over
    three or four runs draws the same few again and again and is too narrow; Student's factor (4.3 at three runs, 3.2 at
    four) is what so few are worth. Runs that were trained with other data, and held-out errors whose training runs
    overlap, are not quite independent: the interval is about these runs and others like them.

    Args:
        of_run: number by run; a run whose number is not finite has none.
        what: what was counted, for where there are too few.
        between: ends of the scale; the interval is cut there.

    """
    values = np.array([value for value in of_run.values() if math.isfinite(value)])
    if len(values) < LEAST_RUNS:
        return NotEnough(what, len(values), LEAST_RUNS)
    mean = float(values.mean())
    factor = float(student.ppf((1 + LEVEL) / 2, len(values) - 1))
    half = factor * float(values.std(ddof=1)) / math.sqrt(len(values))
    return OverRuns(mean, max(mean - half, between[0]), min(mean + half, between[1]), len(values))
