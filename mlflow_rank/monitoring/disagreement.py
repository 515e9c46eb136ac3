"""Centred and uncentred rank moving apart: the mean of the frames takes over, or stops to.

One real failure read 124 centred (it was 74) and 20 uncentred (it was 71), with the pilot unchanged: either number
alone tells half of it.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Sequence

from mlflow_rank.monitoring.limits import Limits
from mlflow_rank.monitoring.point import Point
from mlflow_rank.monitoring.signs import Sign

ADVICE = (
    "Look at the mean-norm ratio: a shared vector grows or shrinks. Compare the pilot scores of a checkpoint before "
    "and after; do not read either rank alone until then."
)
LEAST_POINTS = 8  # of a settled chart: a median that two strange points do not move
MOST_POINTS = 40  # then the median stands still: one that goes on learning follows a slow drift
SPREADS = 5.0  # standard deviations, where the ratio is so restless that the factor is not enough


class Disagreement:
    """Holds the ratio of centred to uncentred rank of each layer's frames against its first median since it settled."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._history: dict[int, list[float]] = {}  # ascending

    def look(self, point: Point, settled: frozenset[int]) -> tuple[Sign, ...]:
        """Return a sign for every layer, of those settled, whose two ranks are further apart than they were."""
        signs = []
        for reading in point.readings:
            known = reading.rank is not None and reading.rank_uncentred is not None
            if reading.level != "frame" or not known or reading.layer not in settled:
                continue
            rank, uncentred = reading.rank or 1.0, reading.rank_uncentred or 1.0
            history = self._history.setdefault(reading.layer, [])
            gap = math.log(rank / uncentred)
            if len(history) >= LEAST_POINTS:
                usual, spread = _middle(history)
                if abs(gap - usual) > max(math.log(self._limits.disagreement), SPREADS * spread):
                    signs.append(
                        Sign(
                            reading.layer,
                            f"Centred and uncentred rank of layer {reading.layer} moved apart: {rank:.1f} and "
                            f"{uncentred:.1f}, a ratio of {math.exp(gap):.2f} that was {math.exp(usual):.2f}.",
                            f"Held against the first {len(history)} points of this run since it settled.",
                            size=abs(gap - usual),
                        )
                    )
                    continue
            if len(history) < MOST_POINTS:
                insort(history, gap)
        return tuple(signs)


def _middle(ascending: Sequence[float]) -> tuple[float, float]:
    """Return the median and the standard deviation that a normal distribution of those quartiles has."""
    quarter, half = len(ascending) // 4, len(ascending) // 2
    return ascending[half], (ascending[-1 - quarter] - ascending[quarter]) / 1.349
