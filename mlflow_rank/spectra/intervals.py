"""Standard error, interval and balanced halves of rows that come in blocks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

CONFIDENCE = 0.95  # of every interval the product reports


def jackknife_error(value: float, replicates: Sequence[float], counts: Sequence[int]) -> float:
    """Return the delete-a-block jackknife standard error of `value`, for blocks of any sizes.

    `replicates` are the values without each block, `counts` the rows of each; two blocks or more, none with all rows.

    Source: Busing, Meijer & van der Leeden (1999), Delete-m jackknife for unequal m, Statistics and Computing 9.

    >>> rows = [1.0, 2.0, 4.0, 5.0]
    >>> round(jackknife_error(3.0, [(12.0 - row) / 3 for row in rows], [1, 1, 1, 1]), 6)  # that of a mean, s/√n
    0.912871
    """
    left_out = np.asarray(replicates, dtype=np.float64)
    inverse_share = sum(counts) / np.asarray(counts, dtype=np.float64)  # h_j = n / m_j
    pseudovalues = inverse_share * value - (inverse_share - 1.0) * left_out
    centre = len(left_out) * value - float(((1.0 - 1.0 / inverse_share) * left_out).sum())
    return float(np.sqrt((((pseudovalues - centre) ** 2) / (inverse_share - 1.0)).mean()))


def half_width(error: float, blocks: int) -> float:
    """Return how far the 95 % interval reaches to either side: Student's t with blocks − 1 degrees of freedom.

    >>> round(half_width(1.0, 10), 3)
    2.262
    """
    return float(special.stdtrit(blocks - 1, 0.5 + CONFIDENCE / 2)) * error


def balanced_halves(counts: Sequence[int]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the indices of the blocks of two halves of about as many rows each; two blocks or more.

    Blocks go, from the largest on, to the half that is smaller so far.

    >>> [half.tolist() for half in balanced_halves([5, 9, 3, 1])]
    [[1], [0, 2, 3]]
    """
    halves: tuple[list[int], list[int]] = ([], [])
    rows = [0, 0]
    for block in np.argsort(-np.asarray(counts), kind="stable"):
        side = int(rows[1] < rows[0])
        halves[side].append(int(block))
        rows[side] += counts[block]
    return np.sort(np.array(halves[0], dtype=np.intp)), np.sort(np.array(halves[1], dtype=np.intp))
