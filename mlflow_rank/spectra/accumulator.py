"""Moments from a stream of rows: the hot path, a symmetric rank-k update in place."""

from __future__ import annotations

import math
import threading

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas

from mlflow_rank.errors import MeasurementError, UsageError
from mlflow_rank.spectra.few_rows import FewRows, State, most_rows
from mlflow_rank.spectra.moments import Moments
from mlflow_rank.spectra.triangle import mirror

CHUNK_ROWS = 256  # 1.5 MB of float64 at D = 768; measured from 64 to 512 rows, the speed is the same
GATHER_ROWS = 64  # rows kept back once the matrix exists: dsyrk is at full speed from 32 on (measured at D = 768)


class _Scratch(threading.local):
    """One float64 chunk per thread and dimension, shared by all accumulators: hundreds of them live at once."""

    def __init__(self) -> None:
        self.chunks: dict[int, NDArray[np.float64]] = {}

    def chunk(self, dim: int) -> NDArray[np.float64]:
        """Return the (CHUNK_ROWS, dim) buffer; its content is undefined."""
        if dim not in self.chunks:
            self.chunks[dim] = np.empty((CHUNK_ROWS, dim))
        return self.chunks[dim]


_scratch = _Scratch()


class MomentsAccumulator:
    """Collects rows of `dim` dimensions and gives their `Moments`.

    Sums of squares are taken around the mean of the first rows, so a large mean costs no precision. Few rows are kept
    as they came; the dim × dim matrix is allocated only once more than dim/2 rows arrived, when it becomes the
    smaller of the two.

    >>> accumulator = MomentsAccumulator(2)
    >>> accumulator.update(np.array([[0.0, 1.0]], dtype=np.float32))
    >>> accumulator.update(np.array([[2.0, 1.0], [4.0, 1.0]]))
    >>> accumulator.moments().mean.tolist()
    [2.0, 1.0]
    """

    def __init__(self, dim: int) -> None:
        if dim < 1:
            raise UsageError("rows need at least one dimension", got=str(dim), expected="dim ≥ 1")
        self.dim = dim
        # Rows not yet in the sums, in the precision they came in; one piece of memory, as many small ones between the
        # large ones of a forward pass would keep the C library from giving memory back.
        self._pending: NDArray[np.floating] | None = None
        self._pending_rows = 0
        self._summed_rows = 0
        self._shift = np.zeros(dim)
        self._sum = np.zeros(dim)
        self._squares: NDArray[np.float64] | None = None  # Fortran order, upper triangle

    @property
    def count(self) -> int:
        """How many rows have arrived."""
        return self._pending_rows + self._summed_rows

    def update(self, rows: NDArray[np.floating]) -> None:
        """Add `rows`, float32 or float64, shape (N, dim); N may be 0. Any strides; C order is fastest.

        Raises:
            UsageError: the shape or the type is another.
            MeasurementError: a value is NaN or infinite; then none of the rows were added.
        """
        if rows.ndim != 2 or rows.shape[1] != self.dim or rows.dtype not in (np.float32, np.float64):
            raise UsageError(
                "these rows do not belong here",
                got=f"{rows.dtype} of shape {rows.shape}",
                expected=f"float32 or float64 of shape (N, {self.dim})",
            )
        _check_finite(rows)
        enough = GATHER_ROWS if self._squares is not None else most_rows(self.dim) + 1
        if self._pending_rows + len(rows) < enough:
            self._keep(rows)
        else:
            self._absorb([self._kept(), rows])
            self._pending_rows = 0

    def moments(self) -> Moments:
        """Return the moments of all rows so far; more may follow.

        Raises:
            MeasurementError: squares of the rows do not fit into float64.
        """
        pending = self._few_rows().moments()
        if self._squares is None:
            return pending
        scatter = mirror(self._squares)
        offset = self._sum / math.sqrt(self._summed_rows)
        scatter -= np.outer(offset, offset)
        return Moments(self._summed_rows, self._shift + self._sum / self._summed_rows, scatter) + pending

    def state(self) -> State:
        """Return what stands for all rows so far: the rows themselves while they are few, else their moments."""
        return self._few_rows() if self._squares is None else self.moments()

    def _few_rows(self) -> FewRows:
        return FewRows(self._kept().copy())

    def _kept(self) -> NDArray[np.floating]:
        return np.empty((0, self.dim)) if self._pending is None else self._pending[: self._pending_rows]

    def _keep(self, rows: NDArray[np.floating]) -> None:
        """Put `rows` aside; there are never more than the place made for them."""
        if self._pending is None:
            place = most_rows(self.dim) if self._squares is None else GATHER_ROWS
            self._pending = np.empty((place, self.dim), dtype=rows.dtype)
        elif self._pending.dtype != rows.dtype:
            self._pending = self._pending.astype(np.float64)
        self._pending[self._pending_rows : self._pending_rows + len(rows)] = rows
        self._pending_rows += len(rows)

    def _absorb(self, pieces: list[NDArray[np.floating]]) -> None:
        """Add all rows of `pieces` to the sums, through the scratch chunk."""
        if self._squares is None:
            self._pending = None  # from now on at most GATHER_ROWS are kept
            self._shift = np.concatenate([piece[:CHUNK_ROWS] for piece in pieces]).mean(axis=0, dtype=np.float64)
            self._squares = np.zeros((self.dim, self.dim), order="F")
        chunk, filled = _scratch.chunk(self.dim), 0
        for piece in pieces:
            taken = 0
            while taken < len(piece):
                step = min(len(piece) - taken, CHUNK_ROWS - filled)
                chunk[filled : filled + step] = piece[taken : taken + step]
                taken, filled = taken + step, filled + step
                if filled == CHUNK_ROWS:
                    self._add(chunk)
                    filled = 0
        if filled:
            self._add(chunk[:filled])

    def _add(self, chunk: NDArray[np.float64]) -> None:
        """Add the rows of `chunk`, which is overwritten, to the shifted sums."""
        chunk -= self._shift
        self._sum += chunk.sum(axis=0)
        # The transpose of C-ordered rows is a Fortran matrix, so BLAS reads the chunk and writes the sums in place.
        self._squares = blas.dsyrk(1.0, chunk.T, beta=1.0, c=self._squares, overwrite_c=1)
        self._summed_rows += len(chunk)


def _check_finite(rows: NDArray[np.floating]) -> None:
    """Raise a MeasurementError if a value of `rows` is not finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        # The sum is NaN or infinite if a value is, and seldom otherwise: a third of the price of looking at each.
        if np.isfinite(rows.sum()):
            return
    finite = np.isfinite(rows)
    if not finite.all():
        bad, first = int((~finite).sum()), int(finite.all(axis=1).argmin())
        raise MeasurementError(
            "the rows hold values that are not finite",
            got=f"{bad} of {rows.size} values are NaN or infinite, the first in row {first}",
            expected="finite activations",
            remedy="check the encoder's weights and this input; none of these rows were counted",
        )
