"""The upper triangle of a symmetric matrix as one vector, in LAPACK's packed order (column by column)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from mlflow_rank.errors import UsageError


def packed_length(dim: int) -> int:
    """Return the number of entries on and above the diagonal of a dim × dim matrix.

    >>> packed_length(3)
    6
    """
    return dim * (dim + 1) // 2


def pack(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the upper triangle of `matrix` (D, D) as a float64 vector (D(D+1)/2,).

    >>> pack(np.array([[1.0, 2.0], [2.0, 3.0]])).tolist()
    [1.0, 2.0, 3.0]
    """
    # The transpose of a C-ordered symmetric matrix is the same matrix in the order LAPACK reads without a copy.
    vector, _ = lapack.dtrttp(matrix.T, uplo="U")
    return np.asarray(vector, dtype=np.float64)


def unpack(vector: NDArray[np.float64], dim: int) -> NDArray[np.float64]:
    """Return the symmetric float64 matrix (dim, dim) whose upper triangle is `vector`; the inverse of `pack`.

    Raises:
        UsageError: the vector does not have dim(dim+1)/2 entries.

    >>> unpack(np.array([1.0, 2.0, 3.0]), 2).tolist()
    [[1.0, 2.0], [2.0, 3.0]]
    """
    return mirror(spread(vector, dim))


def spread(vector: NDArray[np.float64], dim: int) -> NDArray[np.float64]:
    """Return a Fortran-ordered float64 matrix (dim, dim) with `vector` as its upper triangle; ignore what lies below.

    Raises:
        UsageError: the vector does not have dim(dim+1)/2 entries.
    """
    if vector.shape != (packed_length(dim),):
        raise UsageError(
            "the packed triangle has the wrong size",
            got=f"shape {vector.shape}",
            expected=f"({packed_length(dim)},) for {dim} dimensions",
        )
    upper, _ = lapack.dtpttr(dim, np.asarray(vector, dtype=np.float64), uplo="U")
    return np.asarray(upper)


def mirror(upper: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the symmetric C-ordered matrix with the upper triangle of `upper` (D, D); what lies below is not read.

    >>> mirror(np.array([[1.0, 2.0], [9.0, 3.0]])).tolist()
    [[1.0, 2.0], [2.0, 3.0]]
    """
    return np.where(np.tri(len(upper), dtype=bool), upper.T, upper)
