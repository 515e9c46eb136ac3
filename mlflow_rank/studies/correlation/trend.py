"""What every checkpoint of a run shares, its step and its loss, and what is left of a series without it.

A trend alone makes any two series go together: Spearman's rho of two series that only rise is near .85. So what counts
as tracking is what is left when a smooth curve over the logarithm of the step, and the training loss, are taken off
both. The curve is a polynomial of degree 3, of degree 5 from 16 checkpoints on. An odd degree leaves ends that meet,
which the circular shift of `shifts` needs; degree 2 does not do it. What that bends to and what not is said there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

VIEWS = ("raw", "partial", "differences")
MANY = 16  # checkpoints from which on a curve of degree 5 still leaves most of them free (measured: see `shifts`)
NOTHING_LEFT, ROUNDING = 1e-8, 1e-13  # of how much a series varies, and of its size; below, what is left is rounding
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Controls:
    """What is taken off a series, by name: the columns of a regression, shape (checkpoints, columns), orthonormal."""

    names: tuple[str, ...]
    columns: Array

    def off(self, series: Array) -> Array:
        """Return what is left of series (…, n) without the controls; NaN where nothing is left."""
        if self.columns.shape[1] == 0:
            return series
        left = series - (series @ self.columns) @ self.columns.T
        centred = np.linalg.norm(series - series.mean(axis=-1, keepdims=True), axis=-1, keepdims=True)
        least = np.maximum(NOTHING_LEFT * centred, ROUNDING * np.linalg.norm(series, axis=-1, keepdims=True))
        something = (np.linalg.norm(left, axis=-1, keepdims=True) > least) & (
            np.ptp(series, axis=-1, keepdims=True) > 0
        )
        return np.where(something, left, np.nan)


def controls(view: str, steps: Array, loss: Array | None) -> Controls:
    """Return what a view takes off.

    `raw` takes off nothing. `partial` takes off a curve over the logarithm of step + 1, and the loss where it is known
    at every checkpoint. `differences` are changes between neighbouring checkpoints (`seen`), from which the changes of
    that curve and of the loss are taken off, as checkpoints are seldom evenly spaced.
    """
    if view == "raw":
        return Controls((), np.zeros((len(steps), 0)))
    degree = 3 if len(steps) < MANY else 5
    time = np.log1p(steps)
    time = 2 * (time - time.min()) / (time.max() - time.min()) - 1
    columns, names = [legendre.legvander(time, degree)], ["log_step", *(f"log_step_{d}" for d in range(2, degree + 1))]
    if loss is not None and np.isfinite(loss).all() and np.ptp(loss) > 0:
        columns.append(((loss - loss.mean()) / np.ptp(loss))[:, None])
        names.append("loss")
    table = np.hstack(columns)
    if view == "differences":
        table = np.diff(table, axis=0)[:, 1:]
    base, sizes, _ = np.linalg.svd(table, full_matrices=False)
    return Controls(tuple(names), base[:, sizes > NOTHING_LEFT * sizes[0]])


def seen(view: str, series: Array) -> Array:
    """Return series (…, n) as a view sees them: themselves, or the n − 1 changes between neighbours."""
    return np.diff(series, axis=-1) if view == "differences" else series
