"""Tallies and the scores read from them, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score

from mlflow_rank.errors import UsageError
from mlflow_rank.probes.refusals import RefusedError
from mlflow_rank.probes.scores import METRICS, replicates
from mlflow_rank.probes.tallies import class_tallies, confusion


@pytest.fixture
def answers():
    """Truth, three draws of predictions, and groups of 200 items of 4 classes; one group lacks two classes."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 200)
    groups = np.array([f"speaker {number}" for number in rng.integers(0, 5, 200)])
    truth[groups == "speaker 2"] %= 2
    predicted = np.where(rng.random((3, 200)) < 0.7, truth, rng.integers(0, 4, (3, 200)))
    return truth, predicted, groups


def test_scores_on_all_without_one_and_alone_equal_scikit_learns(answers):
    truth, predicted, groups = answers
    tallies = class_tallies(truth, predicted, groups, classes=4)
    reference = {
        "balanced_accuracy": balanced_accuracy_score,
        "macro_f1": lambda t, p: f1_score(t, p, labels=np.unique(t), average="macro"),
    }
    for metric, expected in reference.items():
        found = replicates(metric, tallies)
        assert found.groups == tuple(np.unique(groups))
        for draw, called in enumerate(predicted):
            assert found.full[draw] == pytest.approx(expected(truth, called))
            for number, group in enumerate(found.groups):
                kept = groups != group
                assert found.without[draw, number] == pytest.approx(expected(truth[kept], called[kept]))
                if metric == "macro_f1" or set(called[~kept]) <= set(truth[~kept]):  # scikit-learn warns otherwise
                    assert found.alone[draw, number] == pytest.approx(expected(truth[~kept], called[~kept]))
        assert found.items == tuple(int((groups == group).sum()) for group in found.groups)


def test_the_confusion_of_all_draws_equals_scikit_learns(answers):
    truth, predicted, _ = answers
    expected = sum(confusion_matrix(truth, called, labels=range(4)) for called in predicted)
    np.testing.assert_array_equal(confusion(truth, predicted, classes=4), expected)


def test_silence_is_not_counted():
    tallies = class_tallies(np.array([-1, 0, 1]), np.array([[0, 0, 1]]), ["a", "b", "b"], classes=2)
    assert tallies.groups == ("b",)
    assert replicates("balanced_frame_accuracy", tallies).full.tolist() == [1.0]
    assert confusion(np.array([-1, 0, 1]), np.array([[0, 0, 1]]), classes=2).tolist() == [[1, 0], [0, 1]]


def test_tallies_of_parts_add_up_to_those_of_the_whole(answers):
    truth, predicted, groups = answers
    whole = class_tallies(truth, predicted, groups, classes=4)
    parts = [class_tallies(truth[s], predicted[:, s], groups[s], classes=4) for s in (slice(0, 3), slice(3, None))]
    for merged in (parts[0].merge(parts[1]), parts[1].merge(parts[0])):
        assert merged.groups == whole.groups
        np.testing.assert_array_equal(merged.counts, whole.counts)


def test_tallies_of_other_draws_do_not_add_up(answers):
    truth, predicted, groups = answers
    with pytest.raises(UsageError, match="do not add up"):
        class_tallies(truth, predicted, groups, classes=4).merge(class_tallies(truth, predicted[:2], groups, classes=4))


def test_items_that_do_not_match_and_codes_out_of_range_are_refused():
    with pytest.raises(UsageError, match="not of the same items"):
        class_tallies(np.array([0, 1]), np.array([[0]]), ["a", "b"], classes=2)
    with pytest.raises(UsageError, match="codes of the predictions are out of range"):
        class_tallies(np.array([0, 1]), np.array([[0, 2]]), ["a", "b"], classes=2)


def test_a_metric_is_not_read_from_other_tallies(answers):
    tallies = class_tallies(*answers, classes=4)
    with pytest.raises(UsageError, match="no metric 'per'") as caught:
        replicates("per", tallies)
    assert caught.value.expected == "balanced_accuracy or balanced_frame_accuracy or macro_f1"


def test_nothing_tested_is_refused():
    with pytest.raises(RefusedError, match="no item was tested"):
        replicates("macro_f1", class_tallies(np.array([-1]), np.array([[0]]), ["a"], classes=2))


def test_guessing_scores_what_the_metric_calls_chance():
    rng = np.random.default_rng(1)
    truth, predicted = np.tile(np.arange(5), 400), rng.integers(0, 5, (10, 2000))
    tallies = class_tallies(truth, predicted, ["a", "b"] * 1000, classes=5)
    for metric in ("balanced_accuracy", "macro_f1", "balanced_frame_accuracy"):
        assert replicates(metric, tallies).full.mean() == pytest.approx(METRICS[metric].chance(5), abs=0.01)
