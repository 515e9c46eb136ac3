"""The nearest centroid sees directions as they are, and leaves groups out exactly."""

import numpy as np
import pytest

from mlflow_rank.probes.centroid import Centroid
from mlflow_rank.probes.heads import HEADS


def material(seed: int = 0):
    rng = np.random.default_rng(seed)
    labels = np.append(np.arange(3), rng.integers(0, 3, 57))
    return rng.normal(size=(3, 5))[labels] + rng.normal(size=(60, 5)) + 4, labels, rng.integers(0, 6, 60)


def by_hand(features, labels, others):
    means = np.stack([features[labels == label].mean(axis=0) for label in np.unique(labels)])
    centre = means.mean(axis=0)
    a, b = others - centre, means - centre
    return (a @ b.T) / np.linalg.norm(a, axis=1)[:, None] / np.linalg.norm(b, axis=1)


def test_decisions_are_cosines_between_item_and_class_mean_around_the_centre():
    features, labels, groups = material()
    others = material(seed=1)[0]
    head = Centroid().fit(features, labels, groups, classes=3)
    np.testing.assert_allclose(head.decide(others), by_hand(features, labels, others), atol=1e-12)
    assert head.penalty is None


def test_held_out_equals_refitting_without_each_group():
    from sklearn.metrics import balanced_accuracy_score

    features, labels, groups = material()
    predicted = np.empty(60, dtype=int)
    for group in range(6):
        out = groups == group
        predicted[out] = by_hand(features[~out], labels[~out], features[out]).argmax(axis=1)
    head = Centroid().fit(features, labels, groups, classes=3)
    assert head.held_out == pytest.approx(balanced_accuracy_score(labels, predicted), abs=1e-12)


def test_a_squashed_direction_is_lost_to_the_centroid_but_not_to_ridge():
    rng = np.random.default_rng(0)
    labels, groups = np.arange(200) % 2, np.arange(200) % 7
    features = rng.normal(size=(200, 10))
    features[:, 0] = 1e-3 * (2 * labels - 1)  # all there is to know, a thousand times narrower than the noise
    ridge, centroid = (HEADS[name].fit(features, labels, groups, classes=2).held_out for name in ("ridge", "centroid"))
    assert ridge == 1.0
    assert centroid < 0.7


def test_an_item_at_the_centre_has_no_direction():
    features, labels = np.array([[1.0, 0], [-1, 0], [1, 0], [-1, 0]]), np.array([0, 1, 0, 1])
    head = Centroid().fit(features, labels, np.array([0, 0, 1, 1]), classes=2)
    assert head.decide(np.zeros((1, 2))).tolist() == [[0.0, 0.0]]
