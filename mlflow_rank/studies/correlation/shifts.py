"""What association chance alone gives: one series of a run is shifted against the other, end joined to start.

A circular shift keeps how a series hangs together over time and breaks what it has to do with the other, which a
shuffle of single checkpoints does not. After each shift the controls are taken off again and lengths are taken anew
(as Freedman and Lane, J. Bus. Econ. Stat. 1, 1983, do for shuffles): the shifted series has the same freedom as the
unshifted one. Runs are shifted independently; the p counts all combinations of their shifts.

How far p is uniform was measured as the share of p ≤ .05 over .05 (one run: p ≤ 1/10 or the next that n can give),
Spearman, 8 to 40 log-spaced checkpoints, 1 and 4 runs, 800 to 1500 simulations each. No control: white noise .8–1.2
(one case of 16 at 1.4), AR(1) .5 .9–1.2, AR(1) .8 1.0–1.45, random walks 1.6–2.7. Partial: white noise .85–1.2,
AR(1) .5 .9–1.4, AR(1) .8 .9–1.4, random walks 1.0–1.7. So slow series are called tracking up to 1.4 times too often,
and random walks up to 1.7 times. Differences: white noise .8–1.1, AR(1) .8 .8–1.2, random walks .9–1.1, white noise
under a trend of 10 times its size .8–1.4: where numbers wander, look there too.

A shared trend (linear in step, in its logarithm, saturating) of 4 and 10 times the noise: .8–1.4 by a cubic. At 30
times the noise a cubic bends too little (up to 10 times too often at 14 checkpoints of 4 runs where the curve
saturates early), degree 5 from 16 checkpoints on does it (.8–1.3): with fewer, look at `between_runs`, which no trend
can fool. Without controls a shared trend is always "significant": a raw p never speaks of tracking.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.studies.correlation.association import marks
from mlflow_rank.studies.correlation.trend import Controls

WORTH_LISTING = 20_000  # sums on each side of a meeting in the middle; beyond it shifts are sampled
ROUNDING = 1e-12
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Chance:
    """A two-sided p, the smallest that the data could give, and of how many shifts it is (None: of all there are)."""

    p: float
    smallest: float
    sampled: int | None = None


def shifted_associations(left: Array, right: Array, controls: Controls, statistic: str) -> Array:
    """Return the associations of left series with right ones, under every circular shift of the right ones.

    Args:
        left: shape (…, n); all axes but the last are broadcast against those of `right`.
        right: shape (…, n).
        controls: what is taken off both.
        statistic: one of `association.STATISTICS`.

    Returns:
        Shape (…, n); [..., 0] are the unshifted. NaN where a series never changes or nothing of it is left.
    """
    n = left.shape[-1]
    turns = (np.arange(n)[:, None] + np.arange(n)[None, :]) % n
    shifted = controls.off(controls.off(right)[..., turns])
    left_marks = marks(controls.off(left), statistic)
    found: Array = np.clip(np.einsum("...m,...km->...k", left_marks, marks(shifted, statistic)), -1.0, 1.0)
    return found


def chance(runs: list[Array], permutations: int, seed: int) -> Chance:
    """Return how often independent shifts of all runs give a sum at least as far from 0 as the unshifted one.

    Args:
        runs: for each run its (weighted) association under every shift, the unshifted one first.
        permutations: how many combinations are drawn where there are too many to count; p is then
            (1 + as extreme) / (1 + drawn).
        seed: of those draws.
    """
    observed = abs(sum(float(each[0]) for each in runs)) - ROUNDING
    halves = runs[::2], runs[1::2]
    total = prod(len(each) for each in runs)
    if max(prod(len(each) for each in half) for half in halves) <= WORTH_LISTING:
        first, second = (_sums(half) for half in halves)
        second.sort()
        above = len(second) - np.searchsorted(second, observed - first, side="left")
        below = np.searchsorted(second, -observed - first, side="right")
        extreme = int((above + below).sum()) if observed > 0 else total
        return Chance(extreme / total, 1 / total)
    generator = np.random.default_rng(seed)
    drawn = sum((each[generator.integers(len(each), size=permutations)] for each in runs), np.zeros(permutations))
    return Chance(
        (1 + int((np.abs(drawn) >= observed).sum())) / (1 + permutations), 1 / (1 + permutations), permutations
    )


def _sums(runs: list[Array]) -> Array:
    found = np.zeros(1)
    for each in runs:
        found = np.add.outer(found, each).ravel()
    return found
