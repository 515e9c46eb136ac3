"""How far a number would move with other runs, or, where there are too few, with other noise in the same runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from math import atanh, sqrt, tanh

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

LEVEL = 0.95
OVER_RUNS, BY_SHIFT = "bootstrap over runs", "circular shift"
TAILS = (0.5 - LEVEL / 2, 0.5 + LEVEL / 2)
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % interval and how it was got."""

    low: float
    high: float
    method: str

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return asdict(self)


@lru_cache(maxsize=64)
def drawn_runs(runs: int, resamples: int, seed: int) -> Array:
    """Return how often each run is in each resample of as many runs, shape (resamples, runs)."""
    return np.random.default_rng(seed).multinomial(runs, np.full(runs, 1 / runs), size=resamples).astype(np.float64)


def stretch(runs: int) -> float:
    """Return by how much percentiles of a bootstrap of few runs are moved away from the estimate.

    √(n/(n−1)) · t/z: with 4 runs percentiles alone are 1.9 times too close and hold the truth in 80 % of cases
    (Hesterberg, The American Statistician 69, 2015, section 3).
    """
    return float(sqrt(runs / (runs - 1)) * stdtrit(runs - 1, TAILS[1]) / ndtri(TAILS[1]))


def over_runs(values: Array, weights: Array, counts: Array, bounds: tuple[float, float]) -> Interval:
    """Return the interval of a weighted mean over runs: whole runs are the blocks, percentiles stretched for few runs.

    Args:
        values: one for each run.
        weights: one for each run, such as its number of checkpoints.
        counts: of `drawn_runs`.
        bounds: between which the number always lies.
    """
    drawn = counts * weights
    means = drawn @ values / drawn.sum(axis=1)
    return stretched(float(values @ weights / weights.sum()), means, len(values), bounds)


def stretched(estimate: float, means: Array, runs: int, bounds: tuple[float, float]) -> Interval:
    """Return the stretched percentiles of resampled means around an estimate."""
    low, high = np.quantile(means, TAILS)
    far = stretch(runs)
    low, high = estimate - far * max(estimate - low, 0.0), estimate + far * max(high - estimate, 0.0)
    return Interval(float(max(low, bounds[0])), float(min(high, bounds[1])), OVER_RUNS)


def by_shift(estimate: float, variance: float, freedom: int) -> Interval:
    """Return the interval of an association whose noise is that of its circular shifts, on Fisher's z.

    It says how far the association would move with other noise in these runs, and nothing about another run.

    Args:
        estimate: in [−1, 1].
        variance: of the association when one series is shifted, where the truth is 0; z carries it elsewhere.
        freedom: shifts that the variance was got from, less what was taken off.
    """
    z, half = (
        atanh(float(np.clip(estimate, -0.9999, 0.9999))),
        float(stdtrit(max(freedom, 1), TAILS[1])) * sqrt(variance),
    )
    return Interval(tanh(z - half), tanh(z + half), BY_SHIFT)
