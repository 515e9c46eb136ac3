"""Rows that are fewer than half their dimensions: smaller as they are than as moments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.errors import UsageError
from mlflow_rank.spectra.moments import Moments, merge


def most_rows(dim: int) -> int:
    """Return up to how many rows of `dim` dimensions take no more room than their packed moments.

    >>> most_rows(768)
    384
    """
    return dim // 2


@dataclass(frozen=True, slots=True, eq=False)
class FewRows:
    """Rows as they came, (N, D) in float32 or float64, which have the moments of `Moments.of(rows)`.

    >>> FewRows(np.array([[0.0, 1.0], [2.0, 1.0]])).moments().mean.tolist()
    [1.0, 1.0]
    """

    rows: NDArray[np.floating]

    def __post_init__(self) -> None:
        if self.rows.ndim != 2:
            raise UsageError("rows must be a matrix", got=f"shape {self.rows.shape}", expected="(N, D)")
        self.rows.flags.writeable = False

    @property
    def count(self) -> int:
        """The number of rows N."""
        return len(self.rows)

    def moments(self) -> Moments:
        """Return the moments of the rows."""
        return Moments.of(self.rows)

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return what `state_from_arrays` restores bit by bit."""
        return {"rows": self.rows}


State = Moments | FewRows
"""What rows leave behind, whichever is smaller."""


def moments_of(state: State) -> Moments:
    """Return the moments of a state."""
    return state.moments() if isinstance(state, FewRows) else state


def merge_states(a: State, b: State) -> State:
    """Return the state of the rows of `a` and `b` together; few rows stay as they are while they are few.

    Raises:
        UsageError: the dimensions differ.
    """
    if isinstance(a, FewRows) and isinstance(b, FewRows):
        dim = a.rows.shape[1]
        if b.rows.shape[1] == dim and a.count + b.count <= most_rows(dim):
            return FewRows(np.concatenate([a.rows, b.rows]))
    return merge(moments_of(a), moments_of(b))


def state_from_arrays(arrays: Mapping[str, NDArray[np.generic]]) -> State:
    """Return the state that `to_arrays` of `Moments` or `FewRows` stored.

    Raises:
        UsageError: an array is missing or has the wrong shape.
        MeasurementError: a value is not finite.
    """
    if "rows" in arrays:
        return FewRows(np.asarray(arrays["rows"]))  # float32 and float64 as they are
    return Moments.from_arrays(arrays)
