"""What a head learns from: labelled items in groups, checked once, with weights that let every class count equally."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.errors import MeasurementError, UsageError

CONSTANT = 1e-12  # of a dimension's mean: a spread below it is the rounding of float64 means
ROWS = 256  # handled together, so that they stay in the cache


@dataclass(frozen=True, eq=False)
class TrainingItems:
    """Items with their class and their group; `checked` makes them.

    `features` is (n, d) float64, `labels` (n,) with classes 0 … `classes` − 1, `groups` (n,) with groups 0 … G − 1.
    Where all items came from one group, every item is a group of its own: nothing else could be left out.

    >>> items = TrainingItems.checked(np.eye(3), np.array([0, 0, 1]), np.array([7, 9, 7]), classes=2)
    >>> items.groups.tolist(), items.weights.tolist(), items.answerable.tolist()
    ([0, 1, 0], [0.25, 0.25, 0.5], [True, True, False])
    """

    features: NDArray[np.float64]
    labels: NDArray[np.intp]
    groups: NDArray[np.intp]
    classes: int

    @classmethod
    def checked(
        cls, features: NDArray[np.floating], labels: NDArray[np.integer], groups: NDArray[np.integer], *, classes: int
    ) -> TrainingItems:
        """Return the items, or say what is wrong with them.

        Raises:
            UsageError: shapes do not fit, a label is no class, or fewer than two classes have items.
            MeasurementError: a feature is NaN or infinite.
        """
        _check_shapes(features, labels, groups)
        check_classes(labels, classes)
        if len(np.unique(labels)) < 2:
            raise UsageError(
                "nothing can be told apart",
                got=f"{len(labels)} items of one class" if len(labels) else "no items",
                expected="training items of two classes or more",
            )
        check_finite(features)
        present, codes = np.unique(groups, return_inverse=True)
        return cls(
            np.asarray(features, dtype=np.float64),
            np.asarray(labels, dtype=np.intp),
            np.asarray(codes if len(present) > 1 else np.arange(len(labels)), dtype=np.intp),
            classes,
        )

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """Weights (n,) that sum to 1, the same for every class that has items and for every item within a class."""
        counts = np.bincount(self.labels, minlength=self.classes)
        return np.asarray(1.0 / (counts[self.labels] * np.count_nonzero(counts)))

    @cached_property
    def answerable(self) -> NDArray[np.bool_]:
        """Whether an item's class has items in other groups, (n,): else nobody could predict it without its group."""
        table = np.zeros((self.classes, self.groups.max() + 1), dtype=np.intp)
        np.add.at(table, (self.labels, self.groups), 1)
        return np.asarray(table.sum(axis=1)[self.labels] > table[self.labels, self.groups])

    @property
    def one_hot(self) -> NDArray[np.float64]:
        """The classes as indicator columns, (n, classes)."""
        return np.eye(self.classes)[self.labels]

    def by_group(self) -> list[NDArray[np.intp]]:
        """Return the places of the items of every group."""
        order = np.argsort(self.groups, kind="stable")
        return np.split(order, np.cumsum(np.bincount(self.groups))[:-1])

    def accuracy(self, predicted: NDArray[np.integer], answerable: NDArray[np.bool_] | None = None) -> float | None:
        """Return the mean over classes of the share of answerable items predicted right; None if there are none.

        Args:
            predicted: a class for every item, (n,).
            answerable: which items count, (n,); by default those of `answerable`.
        """
        counted = self.answerable if answerable is None else answerable
        asked = np.bincount(self.labels[counted], minlength=self.classes)
        right = np.bincount(self.labels[counted & (predicted == self.labels)], minlength=self.classes)
        if not asked.any():
            return None
        # Rounded, so that shares that add up in another order still tie.
        return round(float((right[asked > 0] / asked[asked > 0]).mean()), 12)


@dataclass(frozen=True, slots=True, eq=False)
class Standardisation:
    """The weighted mean and spread of each dimension, both (d,); one without spread becomes 0."""

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def of(cls, features: NDArray[np.float64], weights: NDArray[np.float64]) -> Standardisation:
        """Return those of `features` (n, d) under `weights` (n,) that sum to 1, in two passes."""
        mean, variances = weights @ features, np.zeros(features.shape[1])
        for begin in range(0, len(features), ROWS):
            deviations = features[begin : begin + ROWS] - mean
            variances += weights[begin : begin + ROWS] @ np.square(deviations, out=deviations)
        return cls.of_variances(mean, variances)

    @classmethod
    def of_variances(cls, mean: NDArray[np.float64], variances: NDArray[np.float64]) -> Standardisation:
        """Return those of means (d,) and variances (d,)."""
        scale = np.sqrt(np.maximum(variances, 0.0))
        return cls(mean, np.where(scale > CONSTANT * np.abs(mean), scale, np.inf))

    def __call__(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return `features` (…, d) centred and scaled, in float64."""
        centred = np.asarray(features - self.mean, dtype=np.float64)
        centred /= self.scale
        return centred


def check_finite(features: NDArray[np.floating]) -> None:
    """Raise a MeasurementError if a feature is NaN or infinite."""
    finite = np.isfinite(features)
    if not finite.all():
        raise MeasurementError(
            "the features hold values that are not finite",
            got=f"{(~finite).sum()} of {features.size} values are NaN or infinite",
            expected="finite features",
            remedy="check the encoder's weights and the audio of these items",
        )


def check_classes(labels: NDArray[np.integer], classes: int) -> None:
    """Raise a UsageError if a label is not one of `classes`."""
    if len(labels) and not (labels.min() >= 0 and labels.max() < classes):
        raise UsageError("a label is no class", got=f"{labels.min()} to {labels.max()}", expected=f"0 to {classes - 1}")


def _check_shapes(features: NDArray[np.floating], labels: NDArray[np.integer], groups: NDArray[np.integer]) -> None:
    count = len(features)
    if features.ndim != 2 or features.shape[1] < 1 or labels.shape != (count,) or groups.shape != (count,):
        raise UsageError(
            "features, labels and groups do not fit together",
            got=f"features {features.shape}, labels {labels.shape}, groups {groups.shape}",
            expected="(n, d), (n,) and (n,), d ≥ 1",
        )
    for name, codes in (("labels", labels), ("groups", groups)):
        if not np.issubdtype(codes.dtype, np.integer):
            raise UsageError(f"{name} are not whole numbers", got=str(codes.dtype), expected="an integer type")
