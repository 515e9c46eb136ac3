"""Count, mean and centred scatter of rows: the mergeable state that every rank is read from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlflow_rank.errors import MeasurementError, UsageError
from mlflow_rank.spectra.triangle import pack, unpack


def frozen(values: ArrayLike) -> NDArray[np.float64]:
    """Return `values` as a read-only, C-ordered float64 array (a view where it already is one)."""
    array = np.ascontiguousarray(values, dtype=np.float64).view()
    array.flags.writeable = False
    return array


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """How many rows there were, where their centre is, and how they scatter around it.

    `count` is N ≥ 0, `mean` is (D,) and `scatter` is Σ (x − mean)(x − mean)ᵀ, (D, D), both float64 and read-only.
    Moments of disjoint sets of rows merge exactly (up to rounding), in any order.

    Raises:
        UsageError: the shapes do not fit, the count is negative, or an empty set has a mean or a scatter.
        MeasurementError: a value is not finite.

    >>> Moments.of(np.array([[0.0, 1.0], [2.0, 1.0]])).scatter.tolist()
    [[2.0, 0.0], [0.0, 0.0]]
    """

    count: int
    mean: NDArray[np.float64]
    scatter: NDArray[np.float64]

    def __post_init__(self) -> None:
        mean, scatter = frozen(self.mean), frozen(self.scatter)
        if mean.ndim != 1 or mean.size == 0 or scatter.shape != (mean.size, mean.size):
            raise UsageError(
                "mean and scatter do not fit together",
                got=f"mean {mean.shape}, scatter {scatter.shape}",
                expected="mean (D,) and scatter (D, D), D ≥ 1",
            )
        if self.count < 0 or (self.count == 0 and (mean.any() or scatter.any())):
            raise UsageError(
                "moments of no rows are all zero", got=f"count {self.count}", expected="count ≥ 1, or zeros throughout"
            )
        # One sum over the mean and the diagonal finds every overflow: a diagonal entry bounds its row and column.
        if not np.isfinite(mean).all() or not np.isfinite(scatter.diagonal()).all():
            raise MeasurementError(
                "the moments are not finite",
                got="NaN or infinity in the mean or the scatter",
                expected="rows whose squares fit into float64",
                remedy="find the rows that hold NaN, infinity or values beyond 1e150",
            )
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "scatter", scatter)

    @property
    def dim(self) -> int:
        """The number of dimensions D."""
        return self.mean.size

    @property
    def diagonal(self) -> NDArray[np.float64]:
        """The diagonal of the scatter, (D,)."""
        return self.scatter.diagonal()

    @classmethod
    def zero(cls, dim: int) -> Moments:
        """Return the moments of no rows of `dim` dimensions: the identity of `merge`."""
        return cls(0, np.zeros(dim), np.zeros((dim, dim)))

    @classmethod
    def of(cls, rows: NDArray[np.floating]) -> Moments:
        """Return the moments of `rows` (N, D), computed in float64 in two passes.

        Raises:
            UsageError: the rows are not a matrix.
            MeasurementError: a value is not finite.
        """
        if rows.ndim != 2:
            raise UsageError("rows must be a matrix", got=f"shape {rows.shape}", expected="(N, D)")
        if rows.shape[0] == 0:
            return cls.zero(rows.shape[1])
        values = np.asarray(rows, dtype=np.float64)
        with np.errstate(over="ignore", invalid="ignore"):  # the constructor says it in words
            first = values[0]
            # Relative to the first row, equal rows give a mean that is exact and a scatter that is exactly zero.
            mean = first + (values - first).mean(axis=0)
            deviations = values - mean
            return cls(values.shape[0], mean, deviations.T @ deviations)

    def __add__(self, other: Moments) -> Moments:
        return merge(self, other)

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return what `from_arrays` restores bit by bit: `count` (), `mean` (D,), `triangle` (D(D+1)/2,)."""
        return {"count": np.array(self.count, dtype=np.int64), "mean": self.mean, "triangle": pack(self.scatter)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Moments:
        """Return the moments that `to_arrays` stored.

        Raises:
            UsageError: an array is missing or has the wrong shape.
            MeasurementError: a value is not finite.
        """
        missing = {"count", "mean", "triangle"} - set(arrays)
        if missing:
            raise UsageError("stored moments are incomplete", got=f"without {', '.join(sorted(missing))}")
        mean = np.asarray(arrays["mean"], dtype=np.float64)
        scatter = unpack(np.asarray(arrays["triangle"], dtype=np.float64), mean.size)
        return cls(int(np.asarray(arrays["count"]).item()), mean, scatter)


def merge(a: Moments, b: Moments) -> Moments:
    """Return the moments of the rows of `a` and `b` together.

    Exactly commutative, associative up to rounding, `Moments.zero` is the identity, and equal means stay as they are.

    Source: Chan, Golub & LeVeque (1979), Updating formulae and a pairwise algorithm for computing sample variances.

    Raises:
        UsageError: the dimensions differ.

    >>> both = merge(Moments.of(np.array([[0.0], [2.0]])), Moments.of(np.array([[4.0], [6.0]])))
    >>> both.count, both.mean.item(), both.scatter.item()
    (4, 3.0, 20.0)
    """
    if a.dim != b.dim:
        raise UsageError("moments of different dimensions cannot be merged", got=f"{a.dim} and {b.dim} dimensions")
    if a.count == 0 or b.count == 0:
        return b if a.count == 0 else a
    larger, smaller = (a, b) if a.count >= b.count else (b, a)
    count = a.count + b.count
    difference = smaller.mean - larger.mean
    mean = larger.mean + difference * (smaller.count / count)
    if a.count == b.count:  # neither is larger: the same rounding whichever comes first
        mean = 0.5 * (a.mean + b.mean)
    between = difference * math.sqrt(a.count * b.count / count)
    with np.errstate(over="ignore", invalid="ignore"):  # the constructor says it in words
        return Moments(count, mean, (a.scatter + b.scatter) + np.outer(between, between))


def merge_all(parts: Iterable[Moments]) -> Moments:
    """Return the moments of the rows of all `parts`, merged in the order given.

    Raises:
        UsageError: there are no parts, or their dimensions differ.
    """
    total: Moments | None = None
    for part in parts:
        total = part if total is None else merge(total, part)
    if total is None:
        raise UsageError(
            "there are no moments to merge", expected="at least one", remedy="start from Moments.zero(dim)"
        )
    return total
