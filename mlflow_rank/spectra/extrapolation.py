"""What a metric would read with endless rows, from what it reads with all of them and with half."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Extrapolation:
    """Half-split extrapolation on the scale on which a metric's bias is closest to c/N.

    Where g(R) has the bias c/N, the mean over two halves, weighted by their rows, has the bias 2c/N, and
    2·g(R(all)) − mean g(R(halves)) has none. `forth` is g and `back` its inverse; both also take D.

    Source: Quenouille (1949), Approximate tests of correlation in time-series; Richardson's limit at N = ∞.

    >>> LINEAR.limit(10.0, [9.0, 9.2], [50, 50], dim=768)
    10.9
    """

    forth: Callable[[float, int], float]
    back: Callable[[float, int], float]

    def limit(self, whole: float, halves: Sequence[float], counts: Sequence[int], *, dim: int) -> float:
        """Return the extrapolated value; `counts` are the rows of the `halves`, `dim` is D. It may leave the bounds."""
        mean = float(np.average([self.forth(half, dim) for half in halves], weights=counts))
        return self.back(2.0 * self.forth(whole, dim) - mean, dim)


def _reciprocal(value: float, _: int) -> float:
    return 1.0 / value if value > 0.0 else math.inf


def _isoscore_to_reciprocal(value: float, dim: int) -> float:
    return 1.0 / (1.0 + value * (dim - 1))


def _reciprocal_to_isoscore(value: float, dim: int) -> float:
    return (_reciprocal(value, dim) - 1.0) / (dim - 1)


LINEAR = Extrapolation(lambda value, _: value, lambda value, _: value)
# E[tr S²] / E[tr S]² = 1/PR + 1/N + O(1/ND) for Gaussian rows: the bias of 1/PR is c/N with nothing of order 1/N² to
# speak of, while extrapolating PR itself leaves −2(PR/N)² of it, 1.2 % of a flat spectrum at N/D = 8.
RECIPROCAL = Extrapolation(_reciprocal, _reciprocal)
RECIPROCAL_ISOSCORE = Extrapolation(_isoscore_to_reciprocal, _reciprocal_to_isoscore)
