"""Ridge leaves every group out exactly, and nothing that should not matter does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_rank.errors import MeasurementError, UsageError
from mlflow_rank.probes.penalties import PENALTIES, UNCHOSEN
from mlflow_rank.probes.ridge import Ridge, RidgePath, tuned
from mlflow_rank.probes.training_items import Standardisation, TrainingItems

laws = settings(max_examples=25, derandomize=True, deadline=None)


def problem(count: int, dim: int, classes: int, groups: int, *, seed: int = 0, signal: float = 1.0) -> TrainingItems:
    rng = np.random.default_rng(seed)
    labels = np.append(np.arange(classes), rng.integers(0, classes, count - classes))
    spread = np.geomspace(1, 0.05, dim) * rng.uniform(0.5, 2, dim)
    features = (signal * rng.normal(size=(classes, dim))[labels] + rng.normal(size=(count, dim))) * spread + 3.0
    return TrainingItems.checked(features, labels, rng.integers(0, groups, count), classes=classes)


def refitted(items: TrainingItems, penalty: float, group: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights and intercept by lstsq on augmented rows without the group: weights and standardisation as with it."""
    z = Standardisation.of(items.features, items.weights)(items.features)
    kept = items.groups != group
    roots = np.sqrt(items.weights[kept])[:, None]
    rows = np.hstack([z[kept], np.ones((kept.sum(), 1))]) * roots
    padding = np.sqrt(penalty) * np.eye(z.shape[1], z.shape[1] + 1)
    targets = np.vstack([np.eye(items.classes)[items.labels[kept]] * roots, np.zeros((z.shape[1], items.classes))])
    solution, *_ = np.linalg.lstsq(np.vstack([rows, padding]), targets, rcond=None)
    return solution[:-1], solution[-1]


@pytest.mark.parametrize(
    ("count", "dim", "groups"),
    [(60, 9, 6), (25, 40, 5), (40, 40, 4), (60, 3, 2), (12, 5, 1), (12, 30, 1)],
    ids=["primal", "dual", "square", "groups larger than the basis", "items, primal", "items, dual"],
)
def test_leaving_a_group_out_equals_refitting_without_it(count, dim, groups):
    items = problem(count, dim, 3, groups)
    path = RidgePath.of(items.features, items.one_hot, items.weights)
    z = Standardisation.of(items.features, items.weights)(items.features)
    compared = 0
    for batch, place, residuals in path.left_out(items.groups):
        for members, left_out in zip(batch, residuals, strict=True):
            weights, intercept = refitted(items, path.penalties[place], items.groups[members[0]])
            expected = items.one_hot[members] - (z[members] @ weights + intercept)
            actual = left_out / np.sqrt(items.weights[members])[:, None]
            np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-8)
            ours = path.without(members, place, left_out)
            np.testing.assert_allclose(ours[0], weights, rtol=0, atol=1e-8)
            np.testing.assert_allclose(ours[1], intercept, rtol=0, atol=1e-8)
            compared += len(members)
    assert compared == count * len(PENALTIES)


@pytest.mark.parametrize(("count", "dim"), [(60, 9), (25, 40)])
def test_the_head_equals_scikit_learns_ridge(count, dim):
    from sklearn.linear_model import Ridge as Reference

    items = problem(count, dim, 3, 5)
    path, place, _ = tuned(items)
    scaled = Standardisation.of(items.features, items.weights)(items.features)
    reference = Reference(alpha=path.penalties[place]).fit(scaled, items.one_hot, sample_weight=items.weights)
    head = Ridge().fit(items.features, items.labels, items.groups, classes=3)
    assert head.penalty == PENALTIES[place]
    np.testing.assert_allclose(head.decide(items.features), reference.predict(scaled), rtol=0, atol=1e-8)
    np.testing.assert_allclose(items.features @ head.weights + head.intercept, head.decide(items.features), atol=1e-12)


def test_the_penalty_and_the_held_out_accuracy_are_those_of_brute_refits():
    from sklearn.metrics import balanced_accuracy_score

    items = problem(60, 12, 3, 6, signal=0.6)
    path, place, held_out = tuned(items)
    z = Standardisation.of(items.features, items.weights)(items.features)
    scores = []
    for penalty in path.penalties:
        predicted = np.empty(60, dtype=int)
        for group in range(6):
            weights, intercept = refitted(items, penalty, group)
            predicted[items.groups == group] = (z[items.groups == group] @ weights + intercept).argmax(axis=1)
        scores.append(balanced_accuracy_score(items.labels, predicted))
    assert scores[place] == max(scores)
    assert held_out == pytest.approx(max(scores), abs=1e-12)


def test_separable_classes_are_told_apart_and_random_ones_are_not():
    easy = problem(200, 20, 4, 10, signal=30.0)
    assert Ridge().fit(easy.features, easy.labels, easy.groups, classes=4).held_out == 1.0
    rng = np.random.default_rng(5)
    features, labels = rng.normal(size=(600, 10)), rng.integers(0, 4, 600)
    head = Ridge().fit(features[:300], labels[:300], rng.integers(0, 10, 300), classes=4)
    assert (head.decide(features[300:]).argmax(axis=1) == labels[300:]).mean() == pytest.approx(0.25, abs=0.08)


@laws
@given(st.integers(0, 1000), st.sampled_from([(30, 5), (20, 25)]))
def test_the_order_of_the_items_changes_nothing(seed, size):
    items = problem(*size, 3, 5, seed=seed)
    order = np.random.default_rng(seed).permutation(size[0])
    one = Ridge().fit(items.features, items.labels, items.groups, classes=3)
    other = Ridge().fit(items.features[order], items.labels[order], items.groups[order], classes=3)
    assert (one.held_out, one.penalty) == (other.held_out, other.penalty)
    np.testing.assert_allclose(one.decide(items.features), other.decide(items.features), atol=1e-8)


@pytest.mark.parametrize(("count", "dim"), [(60, 9), (20, 30), (20, 60)])
def test_items_that_come_twice_change_nothing(count, dim):
    items = problem(count, dim, 3, 5)
    twice = np.tile(np.arange(count), 2)
    one = Ridge().fit(items.features, items.labels, items.groups, classes=3)
    other = Ridge().fit(items.features[twice], items.labels[twice], items.groups[twice], classes=3)
    assert (one.held_out, one.penalty) == (other.held_out, other.penalty)
    np.testing.assert_allclose(one.decide(items.features), other.decide(items.features), atol=1e-8)


def test_a_class_that_comes_more_often_counts_no_more():
    items = problem(60, 9, 3, 5)
    again = np.concatenate([np.arange(60), *[np.flatnonzero(items.labels == 1)] * 4])
    one = Ridge().fit(items.features, items.labels, items.groups, classes=3)
    other = Ridge().fit(items.features[again], items.labels[again], items.groups[again], classes=3)
    np.testing.assert_allclose(one.decide(items.features), other.decide(items.features), atol=1e-8)
    assert one.held_out == other.held_out


def test_the_scale_and_place_of_dimensions_do_not_matter():
    items = problem(60, 9, 3, 5)
    moved = items.features * np.geomspace(1e-6, 1e6, 9) + np.linspace(-1e3, 1e3, 9) * np.geomspace(1e-6, 1e6, 9)
    one = Ridge().fit(items.features, items.labels, items.groups, classes=3)
    other = Ridge().fit(moved, items.labels, items.groups, classes=3)
    np.testing.assert_allclose(one.decide(items.features), other.decide(moved), atol=1e-7)


def test_dimensions_that_never_change_are_harmless():
    items = problem(60, 9, 3, 5)
    padded = np.hstack([items.features, np.full((60, 2), 0.1), np.zeros((60, 1))])
    one = Ridge().fit(items.features, items.labels, items.groups, classes=3)
    other = Ridge().fit(padded.astype(np.float64), items.labels, items.groups, classes=3)
    np.testing.assert_allclose(one.decide(items.features), other.decide(padded), atol=1e-8)


def test_one_item_per_class_takes_the_middle_penalty_and_claims_no_accuracy():
    rng = np.random.default_rng(0)
    head = Ridge().fit(rng.normal(size=(5, 8)), np.arange(5), np.arange(5), classes=5)
    assert (head.held_out, head.penalty) == (None, PENALTIES[UNCHOSEN])


def test_items_whose_class_is_only_in_their_group_are_left_out_of_the_accuracy():
    items = problem(80, 6, 2, 8, signal=30.0)
    labels, groups = np.append(items.labels, [2, 2]), np.append(items.groups, [8, 8])
    features = np.vstack([items.features, 40 * np.ones((2, 6))])
    assert Ridge().fit(features, labels, groups, classes=3).held_out == 1.0


@pytest.mark.parametrize("dim", [3, 30])
def test_features_that_tell_nothing_at_all_give_chance(dim):
    labels, groups = np.arange(20) % 2, np.repeat(np.arange(5), 4)
    head = Ridge().fit(np.full((20, dim), 0.1), labels, groups, classes=2)
    assert head.held_out == 0.5
    np.testing.assert_allclose(head.decide(np.full((1, dim), 0.1)), 0.5)


def test_a_class_without_items_is_never_decided():
    items = problem(60, 9, 3, 5)
    head = Ridge().fit(items.features, items.labels, items.groups, classes=7)
    assert head.decide(100 * items.features).shape == (60, 7)
    assert (head.decide(100 * items.features).argmax(axis=1) < 3).all()


def test_features_that_are_not_finite_are_refused():
    items = problem(20, 4, 2, 3)
    for bad in (np.nan, np.inf):
        spoilt = items.features.copy()
        spoilt[3, 1] = bad
        with pytest.raises(MeasurementError, match="1 of 80 values are NaN or infinite"):
            Ridge().fit(spoilt, items.labels, items.groups, classes=2)


@pytest.mark.parametrize(
    ("labels", "groups", "said"),
    [
        (np.zeros(6, int), np.arange(6), "6 items of one class"),
        (np.arange(6), np.arange(6), "0 to 5"),
        (np.arange(6) - 1, np.arange(6), "-1 to 4"),
        (np.arange(5), np.arange(6), r"labels \(5,\)"),
        (np.zeros(6), np.arange(6), "labels are not whole numbers"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, groups, said):
    with pytest.raises(UsageError, match=said):
        Ridge().fit(np.ones((6, 2)), labels, groups, classes=3)
