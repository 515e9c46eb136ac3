"""Equal error rates against scikit-learn's ROC, and every speaker left out against a fresh start."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from sklearn.metrics import roc_curve

from mlflow_rank.errors import UsageError
from mlflow_rank.probes.group_intervals import NoInterval, score
from mlflow_rank.probes.refusals import RefusedError
from mlflow_rank.probes.scores import METRICS
from mlflow_rank.probes.verification import MAX_ITEMS, Trials, equal_error, trial_items, verification


def reference(same, different):
    """Where scikit-learn's ROC crosses the line of equal rates."""
    truth = np.r_[np.ones(len(same)), np.zeros(len(different))]
    alarms, hits, _ = roc_curve(truth, np.r_[same, different], drop_intermediate=False)
    return brentq(lambda x: np.interp(x, alarms, hits) - (1.0 - x), 0.0, 1.0)


def voices(rng, speakers=6, each=8, dim=5, apart=1.0):
    centres = apart * rng.normal(size=(speakers, dim))
    names = [f"speaker {number}" for number in range(speakers) for _ in range(each)]
    return np.repeat(centres, each, axis=0) + rng.normal(size=(speakers * each, dim)) + 3.0, names


def slow(vectors, speakers, sessions, centre):
    """All pairs one by one."""
    unit = vectors - centre
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    same, different = [], []
    for i in range(len(unit)):
        for j in range(i + 1, len(unit)):
            if speakers[i] != speakers[j]:
                different.append(unit[i] @ unit[j])
            elif sessions[i] is None or sessions[i] != sessions[j]:
                same.append(unit[i] @ unit[j])
    return reference(same, different)


@pytest.mark.parametrize("seed", range(20))
def test_the_rate_equals_that_of_scikit_learns_curve(seed):
    rng = np.random.default_rng(seed)
    same, different = rng.normal(1.0, 1.0, rng.integers(1, 60)), rng.normal(0.0, 1.0, rng.integers(1, 200))
    if seed % 2:
        same, different = same.round(1), different.round(1)  # with ties
    assert equal_error(same, different) == pytest.approx(reference(same, different), abs=1e-9)


def test_the_rate_is_0_for_separate_scores_a_half_for_equal_ones_and_1_for_reversed_ones():
    assert equal_error(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == 0.0
    assert equal_error(np.array([1.0, 1.0]), np.array([1.0])) == 0.5
    assert equal_error(np.array([0.0]), np.array([1.0])) == 1.0


@pytest.mark.parametrize("with_sessions", [False, True])
def test_each_speaker_left_out_equals_a_fresh_start_without_them(with_sessions):
    rng = np.random.default_rng(3)
    vectors, names = voices(rng)
    sessions = [f"day {number % 3}" if with_sessions and number % 5 else None for number in range(len(names))]
    centre = vectors.mean(axis=0)
    found = verification(Trials.of(names, sessions), vectors, centre=centre, metric="eer_cosine")
    assert found.full[0] == pytest.approx(slow(vectors, names, sessions, centre))
    for number, speaker in enumerate(found.groups):
        kept = [index for index, name in enumerate(names) if name != speaker]
        rest = slow(vectors[kept], [names[i] for i in kept], [sessions[i] for i in kept], centre)
        assert found.without[0, number] == pytest.approx(rest)


def test_draws_are_scored_one_by_one_and_the_order_of_items_changes_nothing():
    rng = np.random.default_rng(4)
    first, names = voices(rng)
    second, _ = voices(rng)
    trials = Trials.of(names, [None] * len(names))
    both = verification(trials, np.stack([first, second]), centre=np.full((2, 5), 3.0), metric="eer_probe")
    assert both.full.tolist() == [
        verification(trials, rows, centre=np.full(5, 3.0), metric="eer_probe").full[0] for rows in (first, second)
    ]
    order = rng.permutation(len(names))
    mixed = Trials.of([names[index] for index in order], [None] * len(names))
    again = verification(mixed, first[order], centre=np.full(5, 3.0), metric="eer_probe")
    np.testing.assert_allclose(again.alone[0], both.alone[0])


def test_the_interval_holds_the_rate_of_many_speakers():
    rng = np.random.default_rng(5)
    many, names = voices(rng, speakers=150, each=6)
    truth = verification(Trials.of(names, [None] * len(names)), many, centre=np.full(5, 3.0), metric="eer_cosine").full[
        0
    ]
    held = 0
    for _ in range(60):
        vectors, names = voices(rng, speakers=12, each=6)
        trials = Trials.of(names, [None] * len(names))
        interval = score(verification(trials, vectors, centre=np.full(5, 3.0), metric="eer_cosine")).interval
        held += interval.low <= truth <= interval.high
    assert held >= 52  # of 60: below the nominal 57 by less than three standard errors of a count at 95 %


def test_one_speaker_or_no_pair_across_sessions_is_refused():
    with pytest.raises(RefusedError, match="fewer than two speakers"):
        Trials.of(["ann", "ann"], [None, None])
    with pytest.raises(RefusedError, match="no speaker has two test utterances"):
        Trials.of(["ann", "ann", "bob", "bob"], ["d1", "d1", "d2", "d2"])


def test_pairs_of_one_speaker_only_leave_no_interval():
    trials = Trials.of(["ann", "ann", "bob", "cid"], [None] * 4)
    vectors = np.random.default_rng(0).normal(size=(4, 3))
    found = score(verification(trials, vectors, centre=np.zeros(3), metric="eer_cosine"))
    assert found.interval == NoInterval("without one of its groups nothing is left to score")
    assert found.worst_group_name == "ann"


def test_vectors_of_other_items_or_with_nan_are_refused():
    trials = Trials.of(["ann", "ann", "bob"], [None] * 3)
    for wrong in (np.zeros((2, 3)), np.full((3, 3), np.nan)):
        with pytest.raises(UsageError, match="no vectors of the trials' items"):
            verification(trials, wrong, centre=np.zeros(3), metric="eer_cosine")


def test_too_many_items_are_taken_evenly_from_the_speakers():
    keys = [f"{number:05d}" for number in range(MAX_ITEMS + 500)]
    speakers = ["talker" if number < 2300 else f"speaker {number % 10}" for number in range(len(keys))]
    with pytest.raises(UsageError, match="too many items"):
        Trials.of(speakers, [None] * len(keys))
    taken = trial_items(keys, speakers, seed=0, most=110)
    assert taken == sorted(taken)
    assert {name: [speakers[i] for i in taken].count(name) for name in set(speakers)} == dict.fromkeys(speakers, 10)


def test_vectors_that_know_nothing_score_what_the_metric_calls_chance():
    rng = np.random.default_rng(8)
    vectors, names = voices(rng, speakers=30, each=8, apart=0.0)
    found = verification(Trials.of(names, [None] * len(names)), vectors, centre=np.full(5, 3.0), metric="eer_probe")
    assert found.full[0] == pytest.approx(METRICS["eer_probe"].chance(30), abs=0.05)
