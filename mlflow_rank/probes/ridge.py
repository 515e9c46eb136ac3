"""Ridge classification with every group left out once, exactly, for the price of one eigendecomposition.

The model is weighted least squares of class indicators y on standardised features z with a penalty λ and an
unpenalised intercept. In √weight-scaled rows A, the intercept one more column, its fitted values are H y with
H = A (AᵀA + Λ)⁻¹ Aᵀ. The residuals of a group g under the model refitted without g are (I − H_gg)⁻¹ (y − H y)_g: no
refit is needed, only a system of the group's size. (Golub, Heath & Wahba 1979 for single rows; Cook & Weisberg 1982,
Residuals and Influence in Regression, chapter 3, for several.)

Weights and standardisation are those of all training items, also when a group is left out: a group's share in them is
what the closed form does not leave out. They hold no labels beyond the class counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from mlflow_rank.probes.linear_head import LinearHead
from mlflow_rank.probes.penalties import PENALTIES, UNCHOSEN, choose, mean_eigenvalue
from mlflow_rank.probes.training_items import Standardisation, TrainingItems

BATCH = 2**22  # values of rows handled together, 32 MB
ALL = range(len(PENALTIES))


class Ridge:
    """The default head: least squares on class indicators, its penalty chosen without the group.

    Decision values of the classes that have items add up to 1, so a class without items, always 0, is never decided.
    """

    name = "ridge"
    normalisation = (
        "each dimension centred and scaled to unit variance on the training items, classes counting equally; "
        "penalty one of 13 from 1e-4 to 1e2 mean eigenvalues, chosen by leave-one-group-out balanced accuracy"
    )

    def fit(
        self, features: NDArray[np.floating], labels: NDArray[np.integer], groups: NDArray[np.integer], *, classes: int
    ) -> LinearHead:
        """Return the head fitted to `features` (n, d) with `labels` (n,) in `groups` (n,).

        Raises:
            UsageError: shapes do not fit, a label is no class, or fewer than two classes have items.
            MeasurementError: a feature is NaN or infinite.
        """
        path, place, held_out = tuned(TrainingItems.checked(features, labels, groups, classes=classes))
        return path.head(place, held_out=held_out)


def tuned(items: TrainingItems) -> tuple[RidgePath, int, float | None]:
    """Return the solutions for `items`, the place of the penalty to take, and the held-out accuracy it reaches.

    Taken is the penalty with the best leave-one-group-out balanced accuracy; of equals that of the smallest squared
    error, then the largest. Where no item is answerable (one item per class), it is `UNCHOSEN`.
    """
    one_hot = items.one_hot
    path = RidgePath.of(items.features, one_hot, items.weights)
    if not items.answerable.any():
        return path, UNCHOSEN, None
    errors, predicted = [0.0] * len(PENALTIES), np.empty((len(PENALTIES), len(items.labels)), dtype=np.intp)
    for members, place, residuals in path.left_out(items.groups):
        errors[place] += float(np.square(residuals).sum())
        decided = one_hot[members] - residuals / np.sqrt(items.weights[members])[..., None]
        predicted[place, members] = decided.round(12).argmax(axis=-1)  # so that rounding breaks no ties
    accuracies = [items.accuracy(each) or 0.0 for each in predicted]
    place = choose(errors, accuracies)
    return path, place, accuracies[place]


@dataclass(frozen=True, slots=True, eq=False)
class RidgePath:
    """The solutions for all penalties, over one eigendecomposition of the smaller of AᵀA and A Aᵀ.

    `rows` (n, r + 1) holds an eigenbasis and, last, the intercept; `back` (d, r) leads from it to dimensions; `values`
    (r,) are the eigenvalues; `targets` (n, C) are the √weight-scaled indicators; `penalties` (P,) are λ.
    With t = rowsᵀ targets, the weights are back diag(1 / (values + λ)) t.
    """

    standardisation: Standardisation
    rows: NDArray[np.float64]
    back: NDArray[np.float64]
    values: NDArray[np.float64]
    targets: NDArray[np.float64]
    coordinates: NDArray[np.float64]
    penalties: NDArray[np.float64]
    dual: bool

    @classmethod
    def of(cls, features: NDArray[np.float64], targets: NDArray[np.float64], weights: NDArray[np.float64]) -> RidgePath:
        """Decompose for `features` (n, d) float64, `targets` (n, C) and `weights` (n,) > 0 that sum to 1."""
        standardisation, roots = Standardisation.of(features, weights), np.sqrt(weights)
        scaled = standardisation(features)
        scaled *= roots[:, None]
        count, dim = scaled.shape
        dual = count <= dim
        # numpy takes the symmetric rank-k update, half the work, where a matrix meets its own transpose.
        gram = scaled @ scaled.T if dual else scaled.T @ scaled
        values, vectors = linalg.eigh(gram, driver="evd", overwrite_a=True, check_finite=False)
        values = np.maximum(values, 0.0)
        if dual:
            # The intercept is a null direction of the Gram matrix; what rounding leaves of it there would enter I − H,
            # where it should cancel, divided by λ: eight digits fewer at the smallest penalty.
            vectors -= np.outer(roots, roots @ vectors)
        rows = np.empty((count, len(values) + 1))
        rows[:, :-1] = vectors if dual else scaled @ vectors
        rows[:, -1] = roots
        targets = targets * roots[:, None]
        return cls(
            standardisation,
            rows,
            scaled.T @ vectors if dual else vectors,
            values,
            targets,
            rows.T @ targets,
            np.array(PENALTIES) * mean_eigenvalue(values),
            dual,
        )

    def head(self, place: int, *, held_out: float | None) -> LinearHead:
        """Return the head with the penalty at `place`, fitted to all items."""
        return LinearHead.of_standardised(
            self.back @ (self.coordinates[:-1] / (self.values + self.penalties[place])[:, None]),
            self.coordinates[-1],  # Σ weight · indicator, as the standardised features have mean 0
            self.standardisation,
            held_out=held_out,
            penalty=PENALTIES[place],
        )

    def left_out(
        self, groups: NDArray[np.intp], places: Iterable[int] = ALL
    ) -> Iterator[tuple[NDArray[np.intp], int, NDArray[np.float64]]]:
        """Yield the residuals of every group under the model fitted without it, for the penalties at `places`.

        Yields:
            Indices of the items of b equally large groups (b, m), the place of the penalty, and √weight times indicator
            minus prediction (b, m, C).
        """
        filters = [(place, self._filter(self.penalties[place])) for place in places]
        for members in _equally_large(groups, BATCH // self.rows.shape[1]):
            rows, targets = self.rows[members], self.targets[members]
            small = members.shape[1] <= self.rows.shape[1]
            across = np.swapaxes(rows, 1, 2)
            inner = None if small else across @ rows
            for place, filter_ in filters:
                residuals = targets - rows @ (filter_[:, None] * self.coordinates)
                if inner is None:
                    system = np.eye(members.shape[1]) - (rows * filter_) @ across
                    yield members, place, np.asarray(np.linalg.solve(system, residuals), dtype=np.float64)
                else:  # the same by Woodbury's identity, in a system as large as the basis
                    systems = np.diag(1.0 / filter_) - inner
                    inside = [
                        linalg.cho_solve(linalg.cho_factor(system, check_finite=False), values, check_finite=False)
                        for system, values in zip(systems, across @ residuals, strict=True)
                    ]
                    yield members, place, residuals + rows @ np.stack(inside)

    def without(
        self, members: NDArray[np.intp], place: int, residuals: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return weights (d, C) and intercept (C,) in standardised features, fitted without the items of one group.

        Args:
            members: the places of its items, (m,).
            place: which penalty.
            residuals: theirs from `left_out`, (m, C).
        """
        coordinates = self.coordinates - self.rows[members].T @ residuals
        return self.back @ (coordinates[:-1] / (self.values + self.penalties[place])[:, None]), coordinates[-1]

    def _filter(self, penalty: float) -> NDArray[np.float64]:
        """Return h (r + 1,) with H = rows diag(h) rowsᵀ; positive in the primal basis, where it is divided by."""
        kept = self.values / (self.values + penalty) if self.dual else 1.0 / (self.values + penalty)
        return np.append(kept, 1.0)


def _equally_large(groups: NDArray[np.intp], most: int) -> Iterator[NDArray[np.intp]]:
    """Yield the places of the items of groups of one size, (b, m), about `most` items at a time."""
    order, sizes = np.argsort(groups, kind="stable"), np.bincount(groups)
    starts = np.cumsum(sizes) - sizes
    for size in np.unique(sizes):
        first = starts[sizes == size]
        step = max(1, most // int(size))
        for begin in range(0, len(first), step):
            yield order[first[begin : begin + step, None] + np.arange(size)]
