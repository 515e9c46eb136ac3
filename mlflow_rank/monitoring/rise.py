"""Sudden rises of a rank, and their end.

A chart follows a rise, so that the end of it looks like a fall. It is none: a spike that is over leaves a layer where
it was. A rank that came up slowly, as after the early fall, has no level to come back to and must not use this excuse.
"""

from __future__ import annotations

from dataclasses import dataclass

REMEMBERED = 40  # points: what has been up for longer is where the layer lives


@dataclass(frozen=True, slots=True)
class _Rise:
    at: int  # number of its first value
    level: float  # before it
    best: float  # the best level held before it


class Rises:
    """The last sudden rise of one chart, as long as it is remembered."""

    def __init__(self) -> None:
        self._rise: _Rise | None = None
        self._row: _Rise | None = None  # points above half of a limit, in a row

    def take(self, residual: float, smooth: float, limit: float, *, at: int, level: float, best: float) -> None:
        """Take a point: a sudden rise is what would be a fall, upside down."""
        if self._rise is not None and at - self._rise.at > REMEMBERED:
            self._rise = None
        if residual < limit / 2:
            self._row = None
            return
        if self._row is None:
            self._row = _Rise(at, level, best)
        elif smooth > limit and self._rise is None:
            self._rise = self._row

    def undone(self, value: float, at: int, limit: float) -> bool:
        """Whether a value is back at the level before the rise, or above."""
        rise = self._rise
        return rise is not None and at - rise.at <= REMEMBERED and value >= rise.level - limit / 2

    def forgotten(self) -> tuple[int, float]:
        """Forget the rise and return the number of its first value and the best level held before it."""
        rise = self._rise
        if rise is None:
            raise AssertionError("no rise to forget")
        self._rise = self._row = None
        return rise.at, rise.best
