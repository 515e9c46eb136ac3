"""How much a healthy chart moves by itself, and how far it must fall to be wrong about once in so many points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from scipy.special import stdtr, stdtrit

LAG = 4  # points: what moves over as long as a fall that must be found within five
GUARD = 4  # the newest points are not calibrated on, so that a fall does not widen its own limits
REACH = 2 * LAG + GUARD + 1  # points back that a new difference looks
AUTOCORRELATION = 0.8  # assumed: twenty points cannot tell it, and a lower one only makes limits wider than needed
# Standard deviation of a smoothed AR(1) of that autocorrelation about its local trend, over that of its second
# difference at LAG: 1.43 by simulation (white noise: 1.02).
INFLATION = 1.43
POOL = 20  # points that the other layers' noise counts for
FREEDOM = 3.0  # points per degree of freedom


@dataclass(frozen=True, slots=True)
class Noise:
    """A sum of squared second differences of the smoothed logarithm of a rank, and how many."""

    total: float = 0.0
    count: int = 0

    @property
    def variance(self) -> float:
        """Their mean, 0 without any."""
        return self.total / self.count if self.count else 0.0

    def __add__(self, other: Noise) -> Noise:
        """Return both."""
        return Noise(self.total + other.total, self.count + other.count)

    def extended(self, smoothed: Sequence[float]) -> Noise:
        """Return it with the difference that has just left the guard; a straight line has none."""
        end = len(smoothed) - GUARD
        if end < 2 * LAG + 1:
            return self
        left, middle, right = smoothed[end - 2 * LAG - 1], smoothed[end - LAG - 1], smoothed[end - 1]
        return Noise(self.total + (middle - (left + right) / 2) ** 2, self.count + 1)


@dataclass(frozen=True, slots=True)
class Spread:
    """The standard deviation of a chart about its trend, as far as `count` healthy points tell it."""

    value: float
    count: int

    @classmethod
    def of(cls, own: Noise, others: Noise) -> Spread:
        """Return the spread of a chart: its own, held towards that of all charts of its level."""
        held = min(POOL, others.count)
        if own.count + held == 0:
            return cls(0.0, 0)
        variance = (own.total + held * others.variance) / (own.count + held)
        return cls(INFLATION * math.sqrt(variance), own.count + held)

    @property
    def freedom(self) -> float:
        """Degrees of freedom of Student's t: few, since neighbouring points repeat each other."""
        return 3 + self.count / FREEDOM

    def fall(self, probability: float) -> float:
        """Return the fall that a healthy chart exceeds with `probability` at one point, in logarithms.

        >>> round(Spread(0.01, 300).fall(1e-3), 3)
        0.032
        """
        return _deviations(self.freedom, probability) * self.value

    def probability(self, fall: float) -> float:
        """Return how probable a fall of that size or more is at one point of a healthy chart."""
        return float(stdtr(self.freedom, -fall / self.value)) if self.value > 0 else 0.0


@lru_cache(maxsize=1024)  # every chart of a point asks the same
def _deviations(freedom: float, probability: float) -> float:
    return -float(stdtrit(freedom, probability))
