"""Counts that scores are read from: per draw and per group, so that any group can be left out by subtraction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.errors import UsageError

Kind = Literal["classes", "sequences"]


@dataclass(frozen=True, slots=True)
class Tallies:
    """Counts of R draws over the G named groups (sorted) that were tested; they add up over groups.

    `counts` is (R, G, C, 3) for the kind `classes`: items hit, items of the class, items called by it; and (R, G, 4)
    for `sequences`: substitutions, deletions, insertions, symbols of the reference.
    """

    kind: Kind
    groups: tuple[str, ...]
    counts: NDArray[np.int64]

    def merge(self, other: Tallies) -> Tallies:
        """Return the counts of both sets of items, of the same draws."""
        mine, its = self.counts, other.counts
        if self.kind != other.kind or mine.shape[0] != its.shape[0] or mine.shape[2:] != its.shape[2:]:
            raise UsageError(
                "these tallies do not add up",
                got=f"{self.kind} {mine.shape} and {other.kind} {its.shape}",
                expected="the same kind, draws and classes",
            )
        groups = tuple(sorted({*self.groups, *other.groups}))
        place = {group: number for number, group in enumerate(groups)}
        total = np.zeros((mine.shape[0], len(groups), *mine.shape[2:]), dtype=np.int64)
        for part in (self, other):
            total[:, [place[group] for group in part.groups]] += part.counts
        return Tallies(self.kind, groups, total)


def class_tallies(
    truth: NDArray[np.integer], predicted: NDArray[np.integer], groups: Sequence[str], *, classes: int
) -> Tallies:
    """Return the class tallies of `predicted` (R, n) codes against `truth` (n,), items of the named `groups` (n,).

    Items whose truth is −1 (silence, unknown) are not counted. Raises UsageError for other codes outside 0 … classes−1.

    >>> class_tallies(np.array([0, 1, 1]), np.array([[0, 1, 0]]), ["ann", "ann", "bob"], classes=2).counts[0].tolist()
    [[[1, 1, 1], [1, 1, 1]], [[0, 0, 1], [0, 1, 0]]]
    """
    truth, predicted = np.asarray(truth), np.atleast_2d(predicted)
    if predicted.shape[1:] != truth.shape or len(groups) != len(truth):
        raise UsageError(
            "truth, predictions and groups are not of the same items",
            got=f"{truth.shape}, {predicted.shape} and {len(groups)} groups",
            expected="(n,), (draws, n) and n",
        )
    counted = truth >= 0
    truth, predicted = truth[counted], predicted[:, counted]
    _ensure_codes(truth, predicted, classes)
    names, codes = np.unique(np.asarray(groups, dtype=object)[counted].astype(str), return_inverse=True)
    cells = len(names) * classes
    counts = np.empty((len(predicted), len(names), classes, 3), dtype=np.int64)
    of_truth = codes * classes + truth
    counts[..., 1] = np.bincount(of_truth, minlength=cells).reshape(len(names), classes)
    for draw, called in enumerate(predicted):
        counts[draw, ..., 0] = np.bincount(of_truth[called == truth], minlength=cells).reshape(len(names), classes)
        counts[draw, ..., 2] = np.bincount(codes * classes + called, minlength=cells).reshape(len(names), classes)
    return Tallies("classes", tuple(map(str, names)), counts)


def confusion(truth: NDArray[np.integer], predicted: NDArray[np.integer], *, classes: int) -> NDArray[np.int64]:
    """Return how often each class (rows) was called each class (columns), (C, C), summed over the draws (R, n).

    >>> confusion(np.array([0, 1, 1]), np.array([[0, 1, 0], [0, 0, 0]]), classes=2).tolist()
    [[2, 0], [3, 1]]
    """
    truth, predicted = np.asarray(truth), np.atleast_2d(predicted)
    predicted, truth = predicted[:, truth >= 0], truth[truth >= 0]
    _ensure_codes(truth, predicted, classes)
    cells = np.bincount((truth * classes + predicted).ravel(), minlength=classes * classes)
    return cells.reshape(classes, classes).astype(np.int64)


def _ensure_codes(truth: NDArray[np.integer], predicted: NDArray[np.integer], classes: int) -> None:
    for what, codes in (("truth", truth), ("predictions", predicted)):
        if codes.size and not 0 <= int(codes.min()) <= int(codes.max()) < classes:
            raise UsageError(
                f"class codes of the {what} are out of range",
                got=f"{int(codes.min())} to {int(codes.max())}",
                expected=f"0 to {classes - 1}",
            )
