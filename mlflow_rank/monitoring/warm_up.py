"""When a run has settled: after the early fall from random weights, before which no fall means anything.

Random weights have the highest rank of all, and healthy training first loses up to four fifths of it within some
hundred steps. So a chart waits until its rank has left its first value and stopped falling. One that stays near it is
settled when half of the run's layers are, or after a while (a run that goes on from trained weights). After twice that
while the early fall is over, whatever the rank does: what still falls is no longer excused.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

MOVED = 0.3  # in logarithms: the falls that we saw were 0.2 to 1.55; less, and it counts as unmoved
SETTLED = 8  # points, in two halves that are compared
STILL_FALLING = 0.03  # in logarithms from half to half: under 1 % a point


class WarmUp:
    """Whether one series has settled yet; once it has, it stays so."""

    def __init__(self, unmoved: int) -> None:
        self._unmoved = unmoved
        self._moved = False
        self.over = False

    def take(self, values: Sequence[float], *, run_settled: bool = False) -> bool:
        """Take the series up to now (its last value is new) and return whether it has settled."""
        if not self.over and len(values) >= SETTLED:
            half = SETTLED // 2
            first, before, now = fmean(values[:half]), fmean(values[-SETTLED:-half]), fmean(values[-half:])
            self._moved = self._moved or abs(now - first) > MOVED
            left = self._moved or run_settled or len(values) >= self._unmoved
            self.over = (left and now - before > -STILL_FALLING) or len(values) >= 2 * self._unmoved
        return self.over
