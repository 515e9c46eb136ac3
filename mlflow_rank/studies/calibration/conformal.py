"""How high a floor must be so that a new bad version seldom passes it: a quantile of past bad ones, with a guarantee.

Split-conformal with one class (Vovk, Gammerman & Shafer, Algorithmic Learning in a Random World, 2005, ch. 2): where
past and new bad trainings are exchangeable, the ⌈(n + 1)(1 - α)⌉-th smallest of n is passed with probability ≤ α.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlflow_rank.errors import UsageError

_ROUNDING = 1e-9  # 20 times .95 is 19, whatever floating point makes of it


@dataclass(frozen=True, slots=True)
class Threshold:
    """A floor: what is above `value` passes.

    Of `runs` past bad trainings the highest number of each counts, as versions of one training are not exchangeable.
    `guaranteed` says whether a new bad training passes with probability `asked` at most; else `allowed` is the
    smallest rate that so few can promise, and the value lies half-way to the lowest good version above them.
    """

    value: float
    asked: float
    runs: int
    guaranteed: bool
    allowed: float

    @property
    def holds_at(self) -> float:
        """The rate at which it does hold: as asked, or the smallest that so few runs allow."""
        return self.asked if self.guaranteed else self.allowed

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {
            "value": self.value,
            "asked": self.asked,
            "runs": self.runs,
            "guaranteed": self.guaranteed,
            "holds_at": self.holds_at,
        }


def least_runs(alpha: float) -> int:
    """Return how many bad trainings a guarantee at a rate takes: 1/α - 1, rounded up.

    >>> least_runs(0.05), least_runs(0.1), least_runs(0.5)
    (19, 9, 1)
    """
    return math.ceil(1.0 / _rate(alpha) - 1.0 - _ROUNDING)


def threshold_of(bad: Mapping[str, Sequence[float]], good: Sequence[float], alpha: float) -> Threshold:
    """Return the floor at a false-promotion rate.

    Args:
        bad: numbers of bad versions, by training run; more is better.
        good: numbers of good versions, only used where there are too few bad trainings for a guarantee.
        alpha: how often a new bad training may pass, above 0 and at most .5.

    Raises:
        UsageError: there is no bad version, or no such rate.

    >>> threshold_of({"one": [0.2, 0.4], "two": [0.3]}, [0.3, 0.9, 0.6], 0.05)
    Threshold(value=0.5, asked=0.05, runs=2, guaranteed=False, allowed=0.3333333333333333)
    """
    highest = sorted(max(numbers) for numbers in bad.values() if numbers)
    count = len(highest)
    if not count:
        raise UsageError("no floor without a bad version", got="0 bad versions", expected="past versions that were bad")
    allowed = 1.0 / (count + 1)
    place = math.ceil((count + 1) * (1.0 - _rate(alpha)) - _ROUNDING)
    if place <= count:
        return Threshold(highest[place - 1], alpha, count, guaranteed=True, allowed=allowed)
    above = [number for number in good if number > highest[-1]]
    value = (highest[-1] + min(above)) / 2 if above else highest[-1]
    return Threshold(value, alpha, count, guaranteed=False, allowed=allowed)


def _rate(alpha: float) -> float:
    if not 0.0 < alpha <= 0.5:
        raise UsageError("bad false-promotion rate", got=str(alpha), expected="above 0 and at most 0.5, such as 0.05")
    return alpha
