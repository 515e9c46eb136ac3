"""What many tests at once cost: the p of each test of a family after correction for their number.

A family is every (predictor, outcome, layer) that one question asks in one view with one statistic. Views and
statistics are not multiplied in: which of them is the headline is fixed beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import false_discovery_control

from mlflow_rank.errors import UsageError

CORRECTIONS = ("holm", "bh")


def adjusted(ps: Sequence[float], correction: str) -> tuple[float, ...]:
    """Return the p-values of a family after correction, in their order.

    Args:
        ps: raw p-values.
        correction: `holm` (Holm, Scand. J. Stat. 6, 1979: the chance of any false finding) or `bh` (Benjamini and
            Hochberg, JRSS B 57, 1995: the share of false ones among the findings).

    Raises:
        UsageError: there is no such correction.

    >>> adjusted([0.01, 0.04, 0.03], "holm")
    (0.03, 0.06, 0.06)
    """
    if correction not in CORRECTIONS:
        raise UsageError("no such correction", got=correction, expected=" or ".join(CORRECTIONS))
    if not ps:
        return ()
    values = np.asarray(ps, dtype=np.float64)
    if correction == "bh":
        return tuple(float(each) for each in false_discovery_control(values, method="bh"))
    order = np.argsort(values)
    steps = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    found = np.empty_like(values)
    found[order] = np.minimum(steps, 1.0)
    return tuple(float(each) for each in found)
