"""One row for all layers together: SUPERB's weighted sum, its weights found on groups left out.

Yang et al. (2021), SUPERB, section 3, learn one weight per layer beside the head by gradient descent. Here both have a
closed form, taken in turn: the ridge of the present sum, then the convex weights that minimise its squared error on
groups left out. Weights chosen on the items that the ridge was fitted to would stay where they began, as it already
fits those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from mlflow_rank.errors import UsageError
from mlflow_rank.probes.heads import FittedHead, Head
from mlflow_rank.probes.ridge import RidgePath, tuned
from mlflow_rank.probes.training_items import Standardisation, TrainingItems

ROUNDS = 3  # ridge and weights in turn

Layers = Sequence[NDArray[np.floating]] | NDArray[np.floating]  # L times (n, d), or (L, n, d)


@dataclass(frozen=True, slots=True, eq=False)
class WeightedSum:
    """A head on the weighted sum of standardised layers; `layer_weights` (L,) are at least 0 and sum to 1."""

    layer_weights: NDArray[np.float64]
    standardisations: tuple[Standardisation, ...]
    head: FittedHead

    def combine(self, layers: Layers) -> NDArray[np.float64]:
        """Return the weighted sum (m, d) of the features of all `layers`, L times (m, d)."""
        _check_widths(layers)
        if len(layers) != len(self.layer_weights):
            raise UsageError(
                "these are other layers", got=f"{len(layers)} layers", expected=f"{len(self.layer_weights)} layers"
            )
        return _combined(layers, self.standardisations, self.layer_weights)

    def decide(self, layers: Layers) -> NDArray[np.float64]:
        """Return the decision values (m, C) of `layers`, L times (m, d)."""
        return self.head.decide(self.combine(layers))


def fit_weighted_sum(
    head: Head,
    layers: Layers,
    labels: NDArray[np.integer],
    groups: NDArray[np.integer],
    *,
    classes: int,
) -> WeightedSum:
    """Return the layers' weights and the `head` fitted to their sum.

    `layers` is an array (L, n, d) or L arrays (n, d); `labels` and `groups` are (n,). Nothing is random.

    Raises:
        UsageError: the layers differ in width, or the items are not fit for a head.
        MeasurementError: a feature is NaN or infinite.
    """
    _check_widths(layers)
    checked = [TrainingItems.checked(features, labels, groups, classes=classes) for features in layers]
    items = checked[0]
    standardisations = tuple(Standardisation.of(each.features, items.weights) for each in checked)
    weights = np.full(len(layers), 1.0 / len(layers))
    for _ in range(ROUNDS if items.answerable.any() and len(layers) > 1 else 0):
        combined = _combined(layers, standardisations, weights)
        path, place, _ = tuned(TrainingItems(combined, items.labels, items.groups, classes))
        weights = _convex(path, place, layers, standardisations, items, present=weights)
    fitted = head.fit(_combined(layers, standardisations, weights), labels, groups, classes=classes)
    return WeightedSum(weights, standardisations, fitted)


def _convex(
    path: RidgePath,
    place: int,
    layers: Layers,
    standardisations: Sequence[Standardisation],
    items: TrainingItems,
    *,
    present: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the weights (L,) that bring the left-out groups' predictions nearest to their classes."""
    predictions, targets = [], []
    for batch, _, residuals in path.left_out(items.groups, [place]):
        for members, left_out in zip(batch, residuals, strict=True):
            # Every layer enters the sum as it is, so each goes through what the sum goes through.
            weights, intercept = path.without(members, place, left_out)
            weights = weights / path.standardisation.scale[:, None]
            roots = np.sqrt(items.weights[members])[:, None]
            parts = [
                roots * (standardise(features[members]) @ weights)
                for features, standardise in zip(layers, standardisations, strict=True)
            ]
            predictions.append(np.stack(parts, axis=-1).reshape(-1, len(layers)))
            targets.append((path.targets[members] - roots * intercept).reshape(-1))
    found, _ = optimize.nnls(np.concatenate(predictions), np.concatenate(targets))
    # The sum's scale is the head's business, so only the proportions are kept.
    return found / found.sum() if found.any() else present


def _combined(
    layers: Layers, standardisations: Sequence[Standardisation], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    total = np.zeros(layers[0].shape)
    for features, standardise, weight in zip(layers, standardisations, weights, strict=True):
        if weight:
            total += weight * standardise(features)
    return total


def _check_widths(layers: Layers) -> None:
    shapes = {features.shape for features in layers}
    if len(shapes) != 1:
        raise UsageError(
            "these layers cannot be added up",
            got=", ".join(str(shape) for shape in sorted(shapes)) or "no layers",
            expected="features of one shape (n, d) in every layer",
            remedy="leave out the layers of another width",
        )
