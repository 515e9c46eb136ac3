"""The same ridge for frames that stream: what one fold of them adds up to, and the head read from all folds.

A fold's count, mean, scatter and class sums are all that its least squares need; leaving a fold out subtracts its sums
from the total. Memory does not grow with the frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse
from scipy.linalg import blas

from mlflow_rank.errors import MeasurementError, UsageError
from mlflow_rank.probes.centred_sums import CentredSums
from mlflow_rank.probes.centroid import CentroidHead
from mlflow_rank.probes.linear_head import LinearHead
from mlflow_rank.probes.penalties import PENALTIES, choose, mean_eigenvalue
from mlflow_rank.probes.training_items import Standardisation, check_classes, check_finite
from mlflow_rank.spectra.triangle import mirror, pack, unpack

CHUNK_ROWS = 256  # 1.5 MB of float64 at D = 768, as in spectra.accumulator


class FoldSums:
    """Weighted sums of labelled frames of `dim` dimensions in `classes` classes; mergeable like sets of frames.

    Sums are taken around the mean of the first frames, so a large mean costs no precision.

    >>> sums = FoldSums(1, 2)
    >>> sums.update(np.array([[1.0], [3.0]]), np.array([0, 1]), np.array([1.0, 3.0]))
    >>> sums.weight, sums.mean.tolist(), sums.class_weights.tolist()
    (4.0, [2.5], [1.0, 3.0])
    """

    def __init__(self, dim: int, classes: int) -> None:
        if dim < 1 or classes < 2:
            raise UsageError(
                "frames need a dimension and classes", got=f"{dim} and {classes}", expected="dim ≥ 1, classes ≥ 2"
            )
        self.dim, self.classes = dim, classes
        self.class_weights = np.zeros(classes)
        self._shift: NDArray[np.float64] | None = None
        self._squares = np.zeros((dim, dim), order="F")  # upper triangle
        self._class_sums = np.zeros((classes, dim))

    @property
    def weight(self) -> float:
        """The sum of all weights."""
        return float(self.class_weights.sum())

    @property
    def mean(self) -> NDArray[np.float64]:
        """The weighted mean (D,); zero where there are no frames."""
        if self._shift is None:
            return np.zeros(self.dim)
        return np.asarray(self._shift + self._class_sums.sum(axis=0) / self.weight)

    def update(self, frames: NDArray[np.floating], labels: NDArray[np.integer], weights: NDArray[np.floating]) -> None:
        """Add `frames` (N, D) with their `labels` (N,) and `weights` (N,) ≥ 0; frames of weight 0 add nothing.

        Raises:
            UsageError: shapes do not fit, a label is no class, or a weight is negative.
            MeasurementError: a value is NaN or infinite; then none of the frames were added.
        """
        count = len(frames)
        if frames.shape != (count, self.dim) or labels.shape != (count,) or weights.shape != (count,):
            raise UsageError(
                "these frames do not belong here",
                got=f"frames {frames.shape}, labels {labels.shape}, weights {weights.shape}",
                expected=f"(N, {self.dim}), (N,) and (N,)",
            )
        check_finite(frames)
        check_finite(weights)
        counted = weights > 0
        check_classes(labels[counted], self.classes)
        if (weights < 0).any():
            raise UsageError("a weight is negative", got=str(weights.min()), expected="weights ≥ 0")
        if not counted.all():
            frames, labels, weights = frames[counted], labels[counted], weights[counted]
        for begin in range(0, len(frames), CHUNK_ROWS):
            rows = slice(begin, begin + CHUNK_ROWS)
            self._add(frames[rows], labels[rows], np.asarray(weights[rows], dtype=np.float64))

    def _add(self, frames: NDArray[np.floating], labels: NDArray[np.integer], weights: NDArray[np.float64]) -> None:
        if self._shift is None:
            self._shift = frames.mean(axis=0, dtype=np.float64)
        rows = frames - self._shift
        chosen = sparse.csr_array((weights, (labels, np.arange(len(rows)))), shape=(self.classes, len(rows)))
        self.class_weights += np.bincount(labels, weights, minlength=self.classes)
        self._class_sums += chosen @ rows
        rows *= np.sqrt(weights)[:, None]
        self._squares = blas.dsyrk(1.0, rows.T, beta=1.0, c=self._squares, overwrite_c=1)

    def merge(self, other: FoldSums) -> FoldSums:
        """Return the sums of the frames of both.

        Raises:
            UsageError: dimensions or classes differ.
        """
        if (self.dim, self.classes) != (other.dim, other.classes):
            raise UsageError(
                "sums of different frames cannot be merged",
                got=f"{other.dim} dimensions and {other.classes} classes",
                expected=f"{self.dim} dimensions and {self.classes} classes",
            )
        centre = self.mean if self.weight >= other.weight else other.mean
        return _restored(centre, self.around(centre) + other.around(centre))

    def around(self, centre: NDArray[np.float64]) -> CentredSums:
        """Return the sums of deviations from `centre` (D,)."""
        sums = CentredSums(self.class_weights, self._class_sums, mirror(self._squares))
        return sums if self._shift is None else sums.moved(self._shift - centre)

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return what `from_arrays` restores: `mean` (D,), `triangle`, `class_weights` (C,), `class_sums` (C, D).

        The sums are of deviations from the mean; the triangle is the scatter's, packed column by column (D(D+1)/2,).
        """
        sums = self.around(self.mean)
        return {
            "mean": self.mean,
            "triangle": pack(sums.scatter),
            "class_weights": sums.class_weights.copy(),
            "class_sums": sums.class_sums,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> FoldSums:
        """Return the sums that `to_arrays` stored.

        Raises:
            UsageError: an array is missing or has the wrong shape.
        """
        missing = {"mean", "triangle", "class_weights", "class_sums"} - set(arrays)
        if missing:
            raise UsageError("stored sums are incomplete", got=f"without {', '.join(sorted(missing))}")
        mean, weights, sums, triangle = (
            np.asarray(arrays[name], dtype=np.float64) for name in ("mean", "class_weights", "class_sums", "triangle")
        )
        if mean.ndim != 1 or weights.ndim != 1 or sums.shape != (weights.size, mean.size):
            raise UsageError(
                "stored sums do not fit together",
                got=f"mean {mean.shape}, class_weights {weights.shape}, class_sums {sums.shape}",
                expected="(D,), (C,) and (C, D)",
            )
        return _restored(mean, CentredSums(weights, sums, unpack(triangle, mean.size)))


def _restored(centre: NDArray[np.float64], sums: CentredSums) -> FoldSums:
    """Return the accumulator of frames with `sums` around `centre`."""
    fold = FoldSums(centre.size, sums.class_weights.size)
    if sums.class_weights.any():
        fold._shift, fold.class_weights = centre.copy(), sums.class_weights.copy()
        fold._class_sums, fold._squares = sums.class_sums.copy(), np.array(sums.scatter, order="F")
    return fold


def fit_folds(folds: Sequence[FoldSums]) -> LinearHead:
    """Return the ridge of all frames of all folds, its penalty chosen by squared error on each fold left out.

    It equals `Ridge` on the stacked frames under these weights, standardised by the mean and spread of all frames,
    but for the choice of the penalty: sums know no accuracy, so `held_out` is None.

    Raises:
        UsageError: the folds differ in dimensions or classes.
        MeasurementError: fewer than two folds, or fewer than two classes, have frames.
    """
    heard = [fold for fold in folds if fold.weight > 0]
    if len(heard) < 2:
        raise MeasurementError(
            "no penalty can be chosen",
            got=f"frames in {len(heard)} of {len(folds)} folds",
            expected="two folds or more with frames",
            remedy="give recordings of at least two speakers (or sessions)",
        )
    everything = _merged(heard)
    centre, weight = everything.mean, everything.weight
    together = everything.around(centre)
    standardisation = Standardisation.of_variances(centre, together.scatter.diagonal() / weight)
    together = together.scaled(standardisation.scale, weight)
    values = np.asarray(linalg.eigvalsh(together.scatter, check_finite=False), dtype=np.float64)
    penalties = np.array(PENALTIES) * mean_eigenvalue(values)
    errors = np.zeros(len(penalties))
    for fold in heard:
        left_out = fold.around(centre).scaled(standardisation.scale, weight)
        errors += [left_out.squared_error(*solution) for solution in (together - left_out).ridge(penalties)]
    chosen = choose(errors.tolist())
    weights, intercept = together.ridge(penalties[[chosen]])[0]
    return LinearHead.of_standardised(weights, intercept, standardisation, held_out=None, penalty=PENALTIES[chosen])


def fit_centroid(folds: Sequence[FoldSums]) -> CentroidHead:
    """Return the cosine nearest centroid of all frames of all folds: `Centroid` on the stacked, weighted frames.

    Raises:
        UsageError: the folds differ in dimensions or classes.
        MeasurementError: fewer than two classes have frames.
    """
    everything = _merged(folds)
    centre, weights = everything.mean, everything.class_weights
    present = weights > 0
    means = everything.around(centre).class_sums / np.where(present, weights, 1.0)[:, None] + centre
    return CentroidHead.of(np.where(present[:, None], means, 0.0), present.astype(np.intp))


def _merged(folds: Sequence[FoldSums]) -> FoldSums:
    everything = folds[0]
    for fold in folds[1:]:
        everything = everything.merge(fold)
    if np.count_nonzero(everything.class_weights) < 2:
        raise MeasurementError(
            "nothing can be told apart", got="frames of one class", expected="frames of two classes or more"
        )
    return everything
