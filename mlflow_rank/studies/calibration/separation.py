"""Whether a number tells good versions from bad ones at all: the area under the curve, runs counted as runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mlflow_rank.errors import UsageError
from mlflow_rank.studies.calibration.cases import Case

NORMAL = 1.959964  # the 97.5 % quantile of the normal distribution
_ROUNDING = 1e-9  # an area nearer to 0 or 1 is 0 or 1


@dataclass(frozen=True, slots=True)
class Separation:
    """The chance that a good version has the higher number than a bad one (.5: no telling), with a 95 % interval."""

    area: float
    low: float
    high: float

    @property
    def says(self) -> Literal["separates", "reversed", "nothing"]:
        """Whether good ones are above, bad ones are, or neither is shown."""
        return "separates" if self.low > 0.5 else "reversed" if self.high < 0.5 else "nothing"

    def __str__(self) -> str:
        return f"{self.area:.2f} [{self.low:.2f}, {self.high:.2f}]"

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {"area": self.area, "low": self.low, "high": self.high, "says": self.says}


def separation_of(cases: Sequence[Case], name: str) -> Separation:
    """Return how well a number separates good versions from bad ones; ties count half.

    The interval is the wider of two. One counts every training run as one observation, however many versions it left
    (Obuchowski, Biometrics 53, 1997, 567-578); with few runs it is much too short, and nothing at all where all good
    versions are above all bad ones. The other asks which areas so many runs are not too far from (Newcombe, Statistics
    in Medicine 25, 2006, 559-573, method 5): from 3 runs against 3 on it held the truth in 87 to 98 % of 600
    simulations, mostly in 95 %, where the first did in 36 to 80.

    Args:
        cases: all of which have the number.
        name: of the number.

    Raises:
        UsageError: none of the cases is good, or none bad.
    """
    good, bad = ([case for case in cases if case.good is wanted] for wanted in (True, False))
    if not good or not bad:
        raise UsageError(
            "nothing to tell apart", got=f"{len(good)} good and {len(bad)} bad versions", expected="some of both"
        )
    ours, theirs = (np.array([case.numbers[name] for case in some]) for some in (good, bad))
    above = np.greater.outer(ours, theirs) + 0.5 * np.equal.outer(ours, theirs)  # (good, bad)
    area = float(above.mean())
    if min(_runs(good), _runs(bad)) < 2:  # one training says nothing of how much trainings differ
        return Separation(area, 0.0, 1.0)
    groups = {group: at for at, group in enumerate(sorted({case.group for case in cases}))}
    pulls_good, pulls_bad = np.zeros(len(groups)), np.zeros(len(groups))
    for pulls, some, parts in ((pulls_good, good, above.mean(axis=1)), (pulls_bad, bad, above.mean(axis=0))):
        np.add.at(pulls, [groups[case.group] for case in some], parts - area)
    of_good, of_bad, of_all = (count / (count - 1) for count in (_runs(good), _runs(bad), len(groups)))
    variance = (
        of_good * float(pulls_good @ pulls_good) / len(good) ** 2
        + of_bad * float(pulls_bad @ pulls_bad) / len(bad) ** 2
        + 2.0 * of_all * float(pulls_good @ pulls_bad) / (len(good) * len(bad))
    )
    half = NORMAL * math.sqrt(max(variance, 0.0))
    low, high = _not_too_far(area, _runs(good), _runs(bad))
    return Separation(area, max(0.0, min(low, area - half)), min(1.0, max(high, area + half)))


def _not_too_far(area: float, good: int, bad: int) -> tuple[float, float]:
    """Return the ends of the areas from which the observed one is no more than so many standard errors away.

    >>> [round(end, 2) for end in _not_too_far(1.0, 4, 4)]
    [0.58, 1.0]
    """
    from scipy.optimize import brentq

    more = (good + bad) / 2 - 1

    def beyond(other: float) -> float:
        variance = other * (1 - other) * (1 + more * ((1 - other) / (2 - other) + other / (1 + other))) / (good * bad)
        return (area - other) ** 2 - NORMAL**2 * variance

    low = float(brentq(beyond, 0.0, min(area, 1.0 - _ROUNDING))) if area > 0.0 else 0.0
    high = float(brentq(beyond, max(area, _ROUNDING), 1.0)) if area < 1.0 else 1.0
    return low, high


def _runs(cases: Sequence[Case]) -> int:
    return len({case.group for case in cases})
