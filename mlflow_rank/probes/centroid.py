"""Cosine nearest centroid: a second opinion that does not stretch the directions an encoder has squashed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.probes.training_items import TrainingItems

ABSENT = -2.0  # decision value of a class without items: below every cosine


@dataclass(frozen=True, slots=True, eq=False)
class CentroidHead:
    """The mean of the class means, `centre` (d,), and unit vectors from it to each class mean, `directions` (C, d).

    A class without items, or whose mean is the centre, has a direction of zeros; `absent` (C,) marks the former.
    """

    centre: NDArray[np.float64]
    directions: NDArray[np.float64]
    absent: NDArray[np.bool_]
    held_out: float | None
    penalty: float | None = None

    @classmethod
    def of(
        cls, sums: NDArray[np.float64], counts: NDArray[np.integer], *, held_out: float | None = None
    ) -> CentroidHead:
        """Return the head of classes whose features add up to `sums` (C, d) over `counts` (C,) items."""
        absent = counts == 0
        means = sums / np.maximum(counts, 1)[:, None]
        centre = means[~absent].mean(axis=0)
        return cls(centre, np.where(absent[:, None], 0.0, _unit(means - centre)), absent, held_out)

    def decide(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the cosines (m, C) between `features` (m, d) and the class means, both seen from the centre."""
        cosines = _unit(np.asarray(features, dtype=np.float64) - self.centre) @ self.directions.T
        return np.where(self.absent, ABSENT, cosines)


class Centroid:
    """The class whose mean lies in the nearest direction; nothing is tuned.

    The centre is the mean of the class means, so that classes count equally.
    """

    name = "centroid"
    normalisation = "centred by the mean of the class means, dimensions as they are, compared by cosine"

    def fit(
        self, features: NDArray[np.floating], labels: NDArray[np.integer], groups: NDArray[np.integer], *, classes: int
    ) -> CentroidHead:
        """Return the head fitted to `features` (n, d) with `labels` (n,) in `groups` (n,).

        Raises:
            UsageError: shapes do not fit, a label is no class, or fewer than two classes have items.
            MeasurementError: a feature is NaN or infinite.
        """
        items = TrainingItems.checked(features, labels, groups, classes=classes)
        sums, counts = _sums(items, np.arange(len(items.labels)))
        predicted = np.zeros(len(items.labels), dtype=np.intp)
        for members in items.by_group() if items.answerable.any() else ():
            own_sums, own_counts = _sums(items, members)
            # A class that is left empty is exactly that: its count is 0, whatever rounding leaves of its sum.
            without = CentroidHead.of(sums - own_sums, counts - own_counts)
            predicted[members] = without.decide(items.features[members]).argmax(axis=1)
        return CentroidHead.of(sums, counts, held_out=items.accuracy(predicted))


def _sums(items: TrainingItems, members: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return sums of features (C, d) and counts (C,) per class over `members`."""
    one_hot = np.eye(items.classes)[items.labels[members]]
    return one_hot.T @ items.features[members], np.bincount(items.labels[members], minlength=items.classes)


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows of length one; zeros stay zeros."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1.0))
