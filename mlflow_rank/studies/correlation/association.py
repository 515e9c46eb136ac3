"""How far two series go together: Pearson's r, Spearman's rho and Kendall's tau-b, one cosine of three kinds of marks.

Daniels (Biometrika 33, 1944): each is the cosine of two vectors of marks, which are the values, their ranks, or the
signs of their differences. So one product serves all three, for many series at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

STATISTICS = ("pearson", "spearman", "kendall")
Array = NDArray[np.float64]


def marks(series: Array, statistic: str) -> Array:
    """Return vectors of length one whose cosine is the statistic.

    Args:
        series: shape (…, n); ties are taken as scipy takes them (mean ranks, tau-b).
        statistic: one of `STATISTICS`.

    Returns:
        Shape (…, n), for Kendall (…, n(n−1)/2). NaN where a series never changes or has a NaN.
    """
    changes = np.ptp(series, axis=-1, keepdims=True) > 0
    if statistic == "kendall":
        upper, lower = np.triu_indices(series.shape[-1], k=1)
        with np.errstate(invalid="ignore"):
            found = np.sign(series[..., upper] - series[..., lower])
    else:
        values = rankdata(series, axis=-1) if statistic == "spearman" else series
        found = values - values.mean(axis=-1, keepdims=True)
    length = np.linalg.norm(found, axis=-1, keepdims=True)
    usable = changes & (length > 0)
    return np.where(usable, found / np.where(usable, length, 1.0), np.nan)


def association(left: Array, right: Array, statistic: str) -> float:
    """Return the association of two series, in [−1, 1]; NaN where one never changes.

    >>> import numpy as np
    >>> round(association(np.array([1.0, 2, 3, 4]), np.array([1.0, 3, 2, 4]), "kendall"), 3)
    0.667
    """
    return float(np.clip(marks(left, statistic) @ marks(right, statistic), -1.0, 1.0))
