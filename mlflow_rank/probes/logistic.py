"""Logistic regression by scikit-learn, the head most readers know; its penalty chosen by group folds."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from mlflow_rank.probes.linear_head import LinearHead
from mlflow_rank.probes.training_items import Standardisation, TrainingItems

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)  # scikit-learn's C, from strong to weak, up to its default
UNCHOSEN = 1e-1  # taken where no item could be predicted without its group
FOLDS = 5  # scikit-learn's default for LogisticRegressionCV
ITERATIONS = 200  # twice scikit-learn's default


@dataclass(frozen=True, slots=True, eq=False)
class LogisticHead:
    """Log-odds `linear.decide(features)`; `penalty` is 1/C, and `converged` whether the final fit did.

    A class without items lies one below the least likely of the others.
    """

    linear: LinearHead
    held_out: float | None
    penalty: float | None
    converged: bool
    absent: NDArray[np.bool_]

    def decide(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the decision values (m, C) of `features` (m, d)."""
        values = self.linear.decide(features)
        least = values[:, ~self.absent].min(axis=1, keepdims=True)
        return np.where(self.absent, least - 1.0, values)


class Logistic:
    """Multinomial logistic regression with balanced class weights, standardised inside the fold."""

    name = "logistic"
    normalisation = (
        "each dimension centred and scaled to unit variance on the training part of each fold; "
        f"C one of {', '.join(f'{each:g}' for each in STRENGTHS)}, chosen by balanced accuracy over {FOLDS} group folds"
    )

    def fit(
        self, features: NDArray[np.floating], labels: NDArray[np.integer], groups: NDArray[np.integer], *, classes: int
    ) -> LogisticHead:
        """Return the head fitted to `features` (n, d) with `labels` (n,) in `groups` (n,).

        Raises:
            UsageError: shapes do not fit, a label is no class, or fewer than two classes have items.
            MeasurementError: a feature is NaN or infinite.
        """
        items = TrainingItems.checked(features, labels, groups, classes=classes)
        with threadpool_limits(1):  # threads wait for one another longer than such small fits take
            strength, held_out = _chosen(items)
            fitted = _fitted(items.features, items.labels, classes, strength)
        return replace(fitted, held_out=held_out)


def _chosen(items: TrainingItems) -> tuple[float, float | None]:
    """Return the strength with the best held-out accuracy, the smallest of equals, and that accuracy."""
    predicted = np.zeros((len(STRENGTHS), len(items.labels)), dtype=np.intp)
    answerable = np.zeros(len(items.labels), dtype=bool)
    for kept, left_out in _folds(items):
        known = np.isin(items.labels[left_out], items.labels[kept])
        if len(np.unique(items.labels[kept])) < 2 or not known.any():
            continue
        answerable[left_out] = known
        for place, strength in enumerate(STRENGTHS):
            fitted = _fitted(items.features[kept], items.labels[kept], items.classes, strength)
            predicted[place, left_out] = fitted.decide(items.features[left_out]).argmax(axis=1)
    accuracies = [items.accuracy(each, answerable) for each in predicted]
    known_accuracies = [each for each in accuracies if each is not None]
    if not known_accuracies:
        return UNCHOSEN, None
    best = max(known_accuracies)
    return STRENGTHS[known_accuracies.index(best)], best


def _folds(items: TrainingItems) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    from sklearn.model_selection import GroupKFold

    folds = GroupKFold(n_splits=min(FOLDS, int(items.groups.max()) + 1))
    yield from folds.split(items.features, groups=items.groups)


def _fitted(features: NDArray[np.float64], labels: NDArray[np.intp], classes: int, strength: float) -> LogisticHead:
    """Return the head of one strength, standardised on these items."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    standardisation = Standardisation.of(features, np.full(len(features), 1.0 / len(features)))
    model: Any = LogisticRegression(C=strength, class_weight="balanced", max_iter=ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # told by `converged`
        model.fit(standardisation(features), labels)
    weights, intercept = np.zeros((features.shape[1], classes)), np.zeros(classes)
    if len(model.classes_) == 2:  # one vector of log-odds, shared out between the two
        coefficients, offsets = np.vstack([-model.coef_, model.coef_]) / 2, np.array([-1, 1]) * model.intercept_ / 2
    else:
        coefficients, offsets = model.coef_, model.intercept_
    weights[:, model.classes_], intercept[model.classes_] = coefficients.T, offsets
    penalty = 1.0 / strength
    linear = LinearHead.of_standardised(weights, intercept, standardisation, held_out=None, penalty=penalty)
    converged = bool(np.max(model.n_iter_) < ITERATIONS)
    return LogisticHead(linear, None, penalty, converged, ~np.isin(np.arange(classes), model.classes_))
