"""Every head learns what can be learned, claims no more, and says what it does."""

import numpy as np
import pytest

from mlflow_rank.errors import MeasurementError
from mlflow_rank.probes.heads import HEADS

EACH = pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)


def items(count: int, *, signal: float, classes: int = 3, dim: int = 8, groups: int = 6, seed: int = 0):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = signal * np.random.default_rng(7).normal(size=(classes, dim))
    return (
        (centres[labels] + rng.normal(size=(count, dim)) + 2).astype(np.float32),
        labels,
        rng.integers(0, groups, count),
    )


@EACH
def test_separable_classes_are_learned_and_held_out_says_so(head):
    train, test = items(60, signal=20), items(60, signal=20, seed=1)
    fitted = head.fit(*train, classes=3)
    assert fitted.held_out == 1.0
    values = fitted.decide(test[0])
    assert values.shape == (60, 3)
    assert values.dtype == np.float64
    assert (values.argmax(axis=1) == test[1]).all()


@EACH
def test_random_labels_stay_at_chance(head):
    train, test = items(240, signal=0), items(240, signal=0, seed=1)
    right = head.fit(*train, classes=3).decide(test[0]).argmax(axis=1) == test[1]
    assert right.mean() == pytest.approx(1 / 3, abs=3 * np.sqrt(2 / 9 / 240))


@EACH
def test_the_order_of_the_items_changes_nothing(head):
    features, labels, groups = items(60, signal=0.7)
    order = np.random.default_rng(1).permutation(60)
    one = head.fit(features, labels, groups, classes=3)
    other = head.fit(features[order], labels[order], groups[order], classes=3)
    assert (one.held_out, one.penalty) == (other.held_out, other.penalty)
    np.testing.assert_allclose(one.decide(features), other.decide(features), atol=1e-3)  # lbfgs stops early


@EACH
def test_a_group_that_cannot_be_predicted_from_the_others_shows_in_held_out(head):
    """Labels follow the class inside a group, and its opposite in the next: only leaving groups out can tell."""
    rng = np.random.default_rng(0)
    labels, groups = np.tile([0, 1], 40), np.repeat([0, 1], 40)
    features = rng.normal(size=(80, 4)) * 0.1
    features[:, 0] += np.where(labels == 1, 1.0, -1.0) * np.where(groups == 1, 1.0, -1.0)
    assert head.fit(features, labels, groups, classes=2).held_out == 0.0


@EACH
def test_items_of_one_group_are_left_out_one_at_a_time(head):
    features, labels, _ = items(45, signal=20)
    assert head.fit(features, labels, np.zeros(45, dtype=int), classes=3).held_out == 1.0


@EACH
def test_one_item_per_class_gives_a_head_without_a_held_out_score(head):
    features, labels, groups = items(3, signal=20)
    fitted = head.fit(features, labels, groups, classes=3)
    assert fitted.held_out is None
    assert (fitted.decide(features).argmax(axis=1) == labels).all()


@EACH
@pytest.mark.parametrize("present", [(1, 3), (1, 2, 4)])
def test_classes_without_items_are_finite_and_never_decided(head, present):
    features, labels, groups = items(60, signal=3, classes=len(present))
    labels = np.array(present)[labels]
    values = head.fit(features, labels, groups, classes=5).decide(50 * features)
    assert np.isfinite(values).all()
    assert set(values.argmax(axis=1)) <= set(present)


@EACH
def test_a_rare_class_is_recalled_like_the_others(head):
    features, labels, groups = items(600, signal=0.4, classes=2)
    kept = (labels == 0) | (np.arange(600) < 80)  # 300 to 40
    right = head.fit(features[kept], labels[kept], groups[kept], classes=2).decide(features).argmax(axis=1) == labels
    assert right[labels == 1].mean() == pytest.approx(right[labels == 0].mean(), abs=0.15)


@EACH
def test_features_that_are_not_finite_are_refused(head):
    features, labels, groups = items(30, signal=1)
    features[4, 2] = np.nan
    with pytest.raises(MeasurementError, match="not finite"):
        head.fit(features, labels, groups, classes=3)


@EACH
def test_dimensions_that_never_change_are_harmless(head):
    features, labels, groups = items(60, signal=20)
    features[:, 3] = 0.1
    assert head.fit(features, labels, groups, classes=3).held_out == 1.0


@EACH
def test_each_head_says_what_it_does_to_features(head):
    assert HEADS[head.name] is head
    assert "centred" in head.normalisation


def test_ridge_is_the_default():
    assert next(iter(HEADS)) == "ridge"
