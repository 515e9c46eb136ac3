"""Sums of labelled frames around one point: they add and subtract like sets of frames, and determine a ridge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg


@dataclass(frozen=True, slots=True, eq=False)
class CentredSums:
    """Weighted sums of deviations x from a centre, for C classes and D dimensions, all float64.

    `class_weights` (C,) is Σ w per class, `class_sums` (C, D) is Σ w x per class, `scatter` (D, D) is Σ w x xᵀ.
    """

    class_weights: NDArray[np.float64]
    class_sums: NDArray[np.float64]
    scatter: NDArray[np.float64]

    def __add__(self, other: CentredSums) -> CentredSums:
        return CentredSums(
            self.class_weights + other.class_weights, self.class_sums + other.class_sums, self.scatter + other.scatter
        )

    def __sub__(self, other: CentredSums) -> CentredSums:
        return CentredSums(
            self.class_weights - other.class_weights, self.class_sums - other.class_sums, self.scatter - other.scatter
        )

    def moved(self, by: NDArray[np.float64]) -> CentredSums:
        """Return the sums of x + `by` (D,): those around a centre that lies `by` lower."""
        cross = np.outer(self.class_sums.sum(axis=0), by)
        scatter = self.scatter + cross + cross.T + self.class_weights.sum() * np.outer(by, by)
        return CentredSums(self.class_weights, self.class_sums + np.outer(self.class_weights, by), scatter)

    def scaled(self, scale: NDArray[np.float64], weight: float) -> CentredSums:
        """Return the sums of x / `scale` (D,) with every weight divided by `weight`."""
        scatter = self.scatter / scale[:, None] / (scale * weight)
        return CentredSums(self.class_weights / weight, self.class_sums / (scale * weight), scatter)

    def ridge(self, penalties: NDArray[np.float64]) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Return weights (D, C) and intercept (C,) of least squares on class indicators, for every penalty λ > 0."""
        total = self.class_weights.sum()
        mean, shares = self.class_sums.sum(axis=0) / total, self.class_weights / total
        gram = self.scatter - total * np.outer(mean, mean)
        cross = self.class_sums.T - np.outer(mean, self.class_weights)
        found = []
        for penalty in penalties:
            system = gram.copy()
            system[np.diag_indices_from(system)] += penalty
            weights = linalg.solve(system, cross, assume_a="pos", overwrite_a=True, check_finite=False)
            found.append((weights, shares - mean @ weights))
        return found

    def squared_error(self, weights: NDArray[np.float64], intercept: NDArray[np.float64]) -> float:
        """Return Σ w ‖indicator − (weightsᵀ x + intercept)‖² of these frames, `weights` (D, C), `intercept` (C,)."""
        hit = np.sum(weights.T * self.class_sums) + intercept @ self.class_weights
        squared = np.sum(weights * (self.scatter @ weights))
        squared += 2 * (self.class_sums.sum(axis=0) @ weights) @ intercept
        return float(self.class_weights.sum() * (1 + intercept @ intercept) - 2 * hit + squared)
