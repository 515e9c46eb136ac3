"""What past healthy runs of a recipe teach: their noise, their lowest rank at each step, how low charts come."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field

from mlflow_rank.monitoring.calibration import Noise


@dataclass(frozen=True, slots=True)
class PastRuns:
    """Past healthy runs, or none.

    `noises` is by level; `ranks` has, for each run, step and log-rank of the frames of each layer, ascending; `stretch`
    is by how much the limits of charts are widened: beyond the lowest that theirs came, smoothed, while they watched.
    """

    noises: Mapping[str, Noise] = field(default_factory=dict)
    ranks: tuple[Mapping[int, tuple[tuple[int, float], ...]], ...] = ()
    stretch: float = 1.0

    def __len__(self) -> int:
        """Return how many runs."""
        return len(self.ranks)

    def noise(self, level: str) -> Noise:
        """Return how much their charts of a level move by themselves."""
        return self.noises.get(level, Noise())

    def floor(self, layer: int, step: int) -> float | None:
        """Return the lowest log-rank that a layer had near a step, None where no run reached it."""
        lows = [_low(run[layer], step) for run in self.ranks if layer in run]
        return min((low for low in lows if low is not None), default=None)


def _low(series: tuple[tuple[int, float], ...], step: int) -> float | None:
    """Return the lowest of the neighbours of a step, within a quarter of it: runs do not fall at the same step."""
    if not series or step > series[-1][0]:
        return None
    first = bisect_left(series, (math.floor(0.8 * step), -math.inf))
    last = bisect_left(series, (math.ceil(1.25 * step), -math.inf))
    return min(rank for _, rank in series[max(0, first - 1) : last + 1])
