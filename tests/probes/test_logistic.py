"""Logistic regression is scikit-learn's, tuned on groups left out, and quiet."""

import numpy as np
import pytest

from mlflow_rank.probes.logistic import STRENGTHS, Logistic


def material(count: int = 90, classes: int = 3, dim: int = 6):
    rng = np.random.default_rng(3)
    labels = np.arange(count) % classes
    features = rng.normal(size=(classes, dim))[labels] + rng.normal(size=(count, dim))
    return features * np.geomspace(1, 100, dim) - 7, labels, rng.integers(0, 9, count)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_final_fit_is_scikit_learns(classes):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features, labels, groups = material(classes=classes)
    head = Logistic().fit(features, labels, groups, classes=classes)
    reference = make_pipeline(
        StandardScaler(), LogisticRegression(C=1 / head.penalty, class_weight="balanced", max_iter=200)
    ).fit(features, labels)
    values = np.exp(head.decide(features))
    probabilities = values / values.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities, reference.predict_proba(features), atol=1e-4)


def test_the_penalty_is_the_best_of_group_folds():
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features, labels, groups = material()
    head = Logistic().fit(features, labels, groups, classes=3)
    scores = []
    for strength in STRENGTHS:
        model = LogisticRegression(C=strength, class_weight="balanced", max_iter=200)
        pipeline = make_pipeline(StandardScaler(), model)
        predicted = cross_val_predict(pipeline, features, labels, groups=groups, cv=GroupKFold(5))
        scores.append(balanced_accuracy_score(labels, predicted))
    assert head.held_out == pytest.approx(max(scores), abs=1e-9)
    assert head.penalty == 1 / STRENGTHS[int(np.argmax(scores))]


def test_a_fit_that_does_not_converge_is_recorded_and_warns_nobody(monkeypatch):
    features, labels, groups = material()
    assert Logistic().fit(features, labels, groups, classes=3).converged
    monkeypatch.setattr("mlflow_rank.probes.logistic.ITERATIONS", 1)
    assert not Logistic().fit(features, labels, groups, classes=3).converged


def test_threads_are_as_before_afterwards():
    from threadpoolctl import threadpool_info

    before = [pool["num_threads"] for pool in threadpool_info()]
    Logistic().fit(*material(30), classes=3)
    assert [pool["num_threads"] for pool in threadpool_info()][: len(before)] == before
