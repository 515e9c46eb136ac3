"""Runs of training that nobody trained: log-ranks of several layers with a shape, a noise, and perhaps a fall."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.monitoring.point import Point, Reading

COUNT, DIM = 12_000, 160  # 64 utterances of 4 s at 50 Hz; the small HuBERT of facts and recipes
EVERY = 20  # steps
RANDOM_WEIGHTS = np.log(118.0)  # the small HuBERT before its first step

Series = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Noise:
    """AR(1) noise of a log-rank: marginal standard deviation, autocorrelation, Gaussian or Student's t of 4."""

    sd: float
    autocorrelation: float = 0.0
    heavy: bool = False
    together: bool = False

    def draw(self, points: int, layers: int, rng: np.random.Generator) -> Series:
        """Return (points, layers); the same in all layers where `together`."""
        shape = (points, 1 if self.together else layers)
        steps = rng.standard_t(4, shape) / np.sqrt(2) if self.heavy else rng.standard_normal(shape)
        series = np.empty(shape)
        series[0] = steps[0]
        keep = self.autocorrelation
        for at in range(1, points):
            series[at] = keep * series[at - 1] + np.sqrt(1 - keep**2) * steps[at]
        return np.broadcast_to(self.sd * series, (points, layers)).copy()

    def __str__(self) -> str:
        """Name it as the table does."""
        kind = ", t(4)" if self.heavy else ""
        return f"sd {self.sd:g}, φ {self.autocorrelation:g}{kind}{', all layers alike' if self.together else ''}"


def flat(at: Series) -> Series:
    """Go on from trained weights: nothing moves."""
    return np.zeros_like(at)


def fall_and_recovery(at: Series) -> Series:
    """Fall by two thirds within ten points, then come back by half of it over a hundred."""
    return -1.1 / (1 + np.exp(-(at - 10) / 1.5)) + 0.5 * (1 - np.exp(-np.maximum(0, at - 16) / 40))


def late_compression(at: Series) -> Series:
    """Fall, recover, and lose 40 % slowly over the last hundred points and more."""
    return fall_and_recovery(at) + np.log(0.6) * np.clip((at - 60) / 140, 0, 1)


def slow_start(at: Series) -> Series:
    """Stay at the random weights' rank for twenty points of warm-up, fall over thirty, stay there."""
    return -0.9 / (1 + np.exp(-(at - 35) / 5.0))


def recovery_and_plateau(at: Series) -> Series:
    """Fall, double within thirty points, then stay."""
    return -1.1 / (1 + np.exp(-(at - 8) / 1.0)) + 0.7 * np.clip((at - 14) / 30, 0, 1)


SHAPES: Mapping[str, Callable[[Series], Series]] = {
    "flat": flat,
    "fall and recovery": fall_and_recovery,
    "late compression": late_compression,
    "slow start": slow_start,
    "recovery and plateau": recovery_and_plateau,
}


def sudden(share: float, first: int) -> Callable[[Series], Series]:
    """Return a fall by `share` from the point `first` on."""
    return lambda at: np.log(1 - share) * (at >= first)


def ramp(share: float, first: int, length: int = 5) -> Callable[[Series], Series]:
    """Return a fall by `share` that takes `length` points, the first of them `first`; straight in the logarithm."""
    return lambda at: np.log(1 - share) * np.clip((at - first + 1) / length, 0, 1)


def points_of(log_ranks: Series, *, every: int = EVERY, levels: Sequence[str] = ("frame",)) -> list[Point]:
    """Return the points of a run whose charts have these log-ranks (points, layers × levels); all else is healthy."""
    ranks = np.exp(np.minimum(log_ranks, np.log(DIM)))
    return [Point(every * at, tuple(_readings(row, levels))) for at, row in enumerate(ranks.tolist())]


def _readings(ranks: Sequence[float], levels: Sequence[str]) -> Iterator[Reading]:
    for number, rank in enumerate(ranks):
        layer, level = divmod(number, len(levels))
        yield Reading(layer, levels[level], COUNT, DIM, rank, 0.97 * rank, 150.0, 0.9, 0.1)
