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
    """Return how well a number separates good versions from bad ones.

    The variance counts every training run as one observation, however many versions it left (Obuchowski, Biometrics
    53, 1997, 567-578); ties count half.

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
    return Separation(area, max(0.0, area - half), min(1.0, area + half))


def _runs(cases: Sequence[Case]) -> int:
    return len({case.group for case in cases})
