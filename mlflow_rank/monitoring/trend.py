"""What a chart expects next: the level of the last while, and the best level that was held for long."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, median

WINDOW = 9  # points: the median of nine stays where it is while four of them are off
GAP = 2  # points left out before the one judged, so that a fall over several points does not pull its own reference
SMOOTHING = 0.5  # of an EWMA: two points in a row below a limit cross it, one alone does not
HELD = 20  # points in which a level neither rises nor falls by LEVEL: held for long
LEVEL = 0.08  # in logarithms, between the two halves of HELD
NOW = 5  # points whose median is where a chart is now


def local_trend(values: Sequence[float]) -> float | None:
    """Return the level before the next value: the median of `WINDOW` values that ended `GAP` ago, None if too few.

    >>> local_trend([1.0] * 9 + [0.0, 0.0])
    1.0
    """
    end = len(values) - GAP
    return median(values[end - WINDOW : end]) if end >= WINDOW else None


def local_rise(values: Sequence[float]) -> float:
    """Return by how much the next value will be above the trend if the window's own slope goes on; below 0: it falls.

    >>> round(local_rise([0.1 * at for at in range(11)]), 6)
    0.7
    """
    window = values[len(values) - GAP - WINDOW : len(values) - GAP]
    half = WINDOW // 2
    slope = (median(window[-half:]) - median(window[:half])) / (WINDOW - half)
    return slope * (half + GAP + 1)


class HeldLevel:
    """The highest level that a series held for `HELD` values, and how far below it the series is now.

    A local trend follows a fall that is slow enough; this does not.
    """

    def __init__(self) -> None:
        self.best = -math.inf

    def below(self, values: Sequence[float]) -> float | None:
        """Return by how much the median of the last values is below the best level, None while there was none."""
        if len(values) >= HELD:
            early, late = fmean(values[-HELD : -HELD // 2]), fmean(values[-HELD // 2 :])
            if abs(early - late) < LEVEL:
                self.best = max(self.best, (early + late) / 2)
        if self.best == -math.inf:
            return None
        return median(values[-NOW:]) - self.best
