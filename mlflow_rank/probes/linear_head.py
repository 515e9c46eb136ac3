"""A linear classifier in the space of the features themselves, so that it can be applied to frames as they come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.probes.training_items import Standardisation


@dataclass(frozen=True, slots=True, eq=False)
class LinearHead:
    """Decision values `features @ weights + intercept`.

    `weights` is (d, C) and `intercept` (C,), both float64; `held_out` and `penalty` are those of `FittedHead`.

    >>> LinearHead(np.eye(2), np.array([0.0, 1.0]), held_out=None, penalty=1.0).decide(np.array([[2.0, 3.0]])).tolist()
    [[2.0, 4.0]]
    """

    weights: NDArray[np.float64]
    intercept: NDArray[np.float64]
    held_out: float | None
    penalty: float | None

    @classmethod
    def of_standardised(
        cls,
        weights: NDArray[np.float64],
        intercept: NDArray[np.float64],
        standardisation: Standardisation,
        *,
        held_out: float | None,
        penalty: float,
    ) -> LinearHead:
        """Return the head whose `weights` and `intercept` were found for standardised features."""
        raw = weights / standardisation.scale[:, None]
        return cls(raw, intercept - standardisation.mean @ raw, held_out, penalty)

    def decide(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the decision values (m, C) of `features` (m, d); higher is more likely."""
        return np.asarray(np.asarray(features, dtype=np.float64) @ self.weights + self.intercept)
