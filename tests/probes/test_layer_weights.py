"""The weighted sum finds the layers that serve, by groups left out, without chance."""

import numpy as np
import pytest

from mlflow_rank.errors import UsageError
from mlflow_rank.probes.heads import HEADS
from mlflow_rank.probes.layer_weights import fit_weighted_sum

EACH = pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)


def layers(signals, count=120, dim=12, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    centres = np.random.default_rng(7).normal(size=(3, dim))
    features = np.stack([signal * centres[labels] + rng.normal(size=(count, dim)) for signal in signals])
    return features, labels, rng.integers(0, 8, count)


@EACH
def test_the_layer_that_knows_gets_the_weight(head):
    features, labels, groups = layers([0.0, 2.0, 0.0])
    found = fit_weighted_sum(head, features, labels, groups, classes=3)
    assert found.layer_weights.sum() == pytest.approx(1.0)
    assert (found.layer_weights >= 0).all()
    assert found.layer_weights[1] > 0.75
    assert found.head.held_out > 0.9


def test_fewer_items_than_dimensions_do_not_leave_the_weights_where_they_began():
    features, labels, groups = layers([0.0, 3.0, 0.0], count=30, dim=60)
    found = fit_weighted_sum(HEADS["ridge"], features, labels, groups, classes=3)
    assert found.layer_weights[1] > 0.6


def test_layers_that_know_different_things_share_the_weight_and_beat_each_alone():
    rng = np.random.default_rng(0)
    labels, groups = np.arange(240) % 3, rng.integers(0, 8, 240)
    features = rng.normal(size=(2, 240, 10))
    features[0, :, 0] += 3 * (labels == 0)
    features[1, :, 1] += 3 * (labels == 1)
    found = fit_weighted_sum(HEADS["ridge"], list(features), labels, groups, classes=3)
    assert found.layer_weights.min() > 0.3
    alone = [HEADS["ridge"].fit(each, labels, groups, classes=3).held_out for each in features]
    assert found.head.held_out > max(alone)


def test_the_same_items_give_the_same_weights_and_the_scale_of_a_layer_does_not_matter():
    features, labels, groups = layers([0.5, 1.0, 0.0])
    one = fit_weighted_sum(HEADS["ridge"], features, labels, groups, classes=3)
    again = fit_weighted_sum(HEADS["ridge"], features, labels, groups, classes=3)
    np.testing.assert_array_equal(one.layer_weights, again.layer_weights)
    scaled = fit_weighted_sum(
        HEADS["ridge"], features * np.array([1e3, 1.0, 1e-3])[:, None, None], labels, groups, classes=3
    )
    np.testing.assert_allclose(one.layer_weights, scaled.layer_weights, atol=1e-9)


def test_decisions_are_those_of_the_head_on_the_sum():
    features, labels, groups = layers([1.0, 1.0])
    found = fit_weighted_sum(HEADS["centroid"], features, labels, groups, classes=3)
    by_hand = sum(
        weight * (layer - s.mean) / s.scale
        for weight, layer, s in zip(found.layer_weights, features, found.standardisations, strict=True)
    )
    np.testing.assert_allclose(found.combine(features), by_hand, atol=1e-12)
    np.testing.assert_array_equal(found.decide(features), found.head.decide(found.combine(features)))


def test_one_item_per_class_weighs_all_layers_alike():
    features, labels, groups = layers([1.0, 0.0], count=3)
    assert fit_weighted_sum(HEADS["ridge"], features, labels, groups, classes=3).layer_weights.tolist() == [0.5, 0.5]


def test_layers_of_different_widths_are_refused():
    features, labels, groups = layers([1.0, 1.0])
    with pytest.raises(UsageError, match="cannot be added up"):
        fit_weighted_sum(HEADS["ridge"], [features[0], features[1, :, :5]], labels, groups, classes=3)
    found = fit_weighted_sum(HEADS["ridge"], features, labels, groups, classes=3)
    with pytest.raises(UsageError, match="other layers"):
        found.decide(features[:1])
