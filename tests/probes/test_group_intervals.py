"""Intervals cover what they say, on simulated speakers whose truth is known."""

from __future__ import annotations

import json
import math
import pickle

import numpy as np
import pytest

from mlflow_rank.errors import UsageError
from mlflow_rank.probes.edit_errors import sequence_tallies
from mlflow_rank.probes.group_intervals import Interval, NoInterval, difference, score
from mlflow_rank.probes.scores import replicates
from mlflow_rank.probes.tallies import Tallies, class_tallies

CLASSES, EACH = 6, 5  # items of each class by each speaker
NOMINAL = (0.90, 0.98)  # of 95 %
RUNS = 400  # the coverage's own standard error is 1.1 points
# Near the edge the caution of a perfect score may cover more
BOUNDS = (0.90, 1.0)


def keywords(hits, groups=None):
    """Replicates of (R, G, C) hits out of EACH."""
    counts = np.stack([hits, np.full_like(hits, EACH), hits], axis=-1)
    names = groups or tuple(f"speaker {number:02d}" for number in range(hits.shape[1]))
    return replicates("balanced_accuracy", Tallies("classes", names, counts))


def accuracies(rng, mean, intraclass, size):
    precision = (1.0 - intraclass) / intraclass
    return rng.beta(mean * precision, (1.0 - mean) * precision, size=size)


def heard(rng, accuracy, shift):
    """Hits (R, G, C) of speakers with their own accuracy, and of draws that shift them all on the logit scale."""
    logit = np.log(accuracy / (1.0 - accuracy + 1e-12) + 1e-12)
    chance = 1.0 / (1.0 + np.exp(-(logit + shift[:, None])))
    return rng.binomial(EACH, chance[:, :, None], size=(len(shift), len(accuracy), CLASSES))


def held(interval, truth):
    return interval.low <= truth <= interval.high


@pytest.mark.parametrize("speakers", [8, 16])
@pytest.mark.parametrize(("mean", "intraclass"), [(0.6, 0.05), (0.85, 0.15)])
def test_a_score_is_covered_as_often_as_it_says(speakers, mean, intraclass):
    rng = np.random.default_rng(speakers)
    covered = np.mean(
        [
            held(score(keywords(heard(rng, accuracies(rng, mean, intraclass, speakers), np.zeros(1)))).interval, mean)
            for _ in range(RUNS)
        ]
    )
    assert NOMINAL[0] <= covered <= NOMINAL[1]


@pytest.mark.parametrize("speakers", [8, 16])
def test_a_score_over_draws_is_covered_as_often_as_it_says(speakers):
    rng = np.random.default_rng(speakers)
    many = accuracies(rng, 0.7, 0.05, 400_000)
    truth = np.mean(1.0 / (1.0 + (1.0 / many - 1.0) * np.exp(-rng.normal(0.0, 0.4, many.size))))
    covered = np.mean(
        [
            held(
                score(keywords(heard(rng, accuracies(rng, 0.7, 0.05, speakers), rng.normal(0.0, 0.4, 10)))).interval,
                truth,
            )
            for _ in range(RUNS)
        ]
    )
    assert NOMINAL[0] <= covered <= NOMINAL[1]


@pytest.mark.parametrize("speakers", [8, 16])
@pytest.mark.parametrize("mean", [0.97, 0.995])
def test_near_perfect_scores_are_not_covered_less(speakers, mean):
    rng = np.random.default_rng(speakers)
    covered = np.mean(
        [
            held(score(keywords(heard(rng, accuracies(rng, mean, 0.1, speakers), np.zeros(1)))).interval, mean)
            for _ in range(RUNS)
        ]
    )
    assert BOUNDS[0] <= covered <= BOUNDS[1]


@pytest.mark.parametrize("speakers", [8, 16])
def test_a_paired_difference_is_covered_as_often_as_it_says_and_is_narrower_than_an_unpaired_one(speakers):
    rng = np.random.default_rng(speakers)
    shift = 0.4  # of the candidate, on the logit scale
    many = accuracies(rng, 0.8, 0.15, 100_000)
    odds = many / (1.0 - many + 1e-12) * math.exp(shift)
    truth = float((odds / (1.0 + odds) - many).mean())
    covered, narrower = [], []
    for _ in range(RUNS):
        speaker = accuracies(rng, 0.8, 0.15, speakers)
        two = keywords(heard(rng, speaker, np.full(1, shift))), keywords(heard(rng, speaker, np.zeros(1)))
        paired = difference(*two, pairing="same_items")
        unpaired = difference(*two, pairing="other_items")
        assert paired.value == unpaired.value
        covered.append(held(paired.interval, truth))
        narrower.append(paired.interval.se < unpaired.interval.se)
    assert NOMINAL[0] <= np.mean(covered) <= NOMINAL[1]
    assert np.mean(narrower) > 0.9


def test_a_drop_between_domains_is_covered_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(RUNS):
        inside = keywords(heard(rng, accuracies(rng, 0.9, 0.1, 10), np.zeros(1)))
        outside = keywords(heard(rng, accuracies(rng, 0.7, 0.1, 8), np.zeros(1)), tuple("abcdefgh"))
        drop = difference(inside, outside, pairing="other_items")
        assert (drop.groups, drop.n) == (18, 18 * CLASSES * EACH)
        covered.append(held(drop.interval, 0.2))
    assert NOMINAL[0] <= np.mean(covered) <= NOMINAL[1]


def test_a_perfect_score_has_a_lower_bound_below_one_that_rises_with_speakers():
    lows = [score(keywords(np.full((3, speakers, CLASSES), EACH))).interval for speakers in (2, 8, 40)]
    assert [interval.high for interval in lows] == [1.0] * 3
    assert 0.0 < lows[0].low < lows[1].low < lows[2].low < 1.0
    none = score(keywords(np.zeros((1, 8, CLASSES), dtype=int))).interval
    assert (none.low, none.high) == (0.0, pytest.approx(1.0 - lows[1].low))


def test_no_score_claims_more_than_a_perfect_one():
    perfect = np.full((1, 8, CLASSES), EACH)
    slip = perfect.copy()
    slip[0, 0, 0] -= 1
    assert score(keywords(slip)).interval.low <= score(keywords(perfect)).interval.low


def test_scores_without_any_spread_between_speakers_still_have_a_width():
    interval = score(keywords(np.full((1, 8, CLASSES), EACH - 1))).interval
    assert interval.low < 0.8 - 0.02 < 0.8 + 0.02 < interval.high


def test_two_models_that_agree_on_everything_differ_by_nothing_give_or_take():
    one = keywords(np.full((1, 8, CLASSES), EACH))
    found = difference(one, one, pairing="same_items")
    assert found.value == 0.0
    assert found.interval.low == -found.interval.high < 0.0
    assert found.interval.resolvable > found.interval.high


def test_bounds_stay_within_the_range_of_the_metric():
    rng = np.random.default_rng(2)
    for mean in (0.02, 0.98):
        for _ in range(50):
            first, second = (keywords(heard(rng, accuracies(rng, m, 0.3, 3), np.zeros(2))) for m in (mean, 1 - mean))
            interval = score(first).interval
            assert 0.0 <= interval.low <= score(first).value <= interval.high <= 1.0
            apart = difference(first, second, pairing="same_items").interval
            assert -1.0 <= apart.low <= apart.high <= 1.0


def test_an_error_rate_may_pass_one_and_stays_above_zero():
    rng = np.random.default_rng(3)
    references = [[1, 2, 3]] * 40
    groups = [f"speaker {number % 8}" for number in range(40)]
    wild = [[[4] * int(rng.integers(3, 7)) for _ in references]]
    many = score(replicates("per", sequence_tallies(references, wild, groups)))
    assert 1.0 < many.interval.low < many.value < many.interval.high
    right = score(replicates("per", sequence_tallies(references, [references], groups)))
    assert (right.value, right.interval.low) == (0.0, 0.0)
    assert right.interval.high > 0.0
    assert many.worst_group == max(replicates("per", sequence_tallies(references, wild, groups)).alone[0])


@pytest.mark.parametrize(("mean", "bounds"), [(0.3, NOMINAL), (0.03, BOUNDS)])
def test_an_error_rate_is_covered_as_often_as_it_says(mean, bounds):
    rng = np.random.default_rng(4)
    covered = []
    for _ in range(RUNS):
        rates = mean * rng.gamma(1.0 / 0.4**2, 0.4**2, size=10)  # speakers differ by 40 % of the mean
        counts = np.stack([rng.poisson(200 * rates), *np.zeros((2, 10), int), np.full(10, 200)], axis=-1)[None]
        found = replicates("per", Tallies("sequences", tuple("abcdefghij"), counts))
        covered.append(held(score(found).interval, mean))
    assert bounds[0] <= np.mean(covered) <= bounds[1]


def test_what_can_be_resolved_is_found_four_times_in_five():
    rng = np.random.default_rng(5)
    many = accuracies(rng, 0.7, 0.1, 100_000)

    def gain(shift):
        return float(np.mean(1.0 / (1.0 + (1.0 / many - 1.0) * math.exp(-shift)) - many))

    def compared(shift):
        speaker = accuracies(rng, 0.7, 0.1, 16)
        two = keywords(heard(rng, speaker, np.full(1, shift))), keywords(heard(rng, speaker, np.zeros(1)))
        return difference(*two, pairing="same_items").interval

    shift, resolvable = 0.4, 0.0
    for _ in range(5):  # until the true gain is what comparisons of such a gain say they resolve
        resolvable = float(np.mean([compared(shift).resolvable for _ in range(100)]))
        shift *= resolvable / gain(shift)
    found = np.mean([compared(shift).low > 0.0 for _ in range(RUNS)])
    assert found == pytest.approx(0.8, abs=0.07)  # 3.5 standard errors of the count


def test_draws_add_their_own_uncertainty():
    same = np.full((2, 8, CLASSES), 3)
    same[:, ::2] += 1
    apart = same.copy()
    apart[0] += 1
    apart[1] -= 1
    assert score(keywords(same)).value == pytest.approx(score(keywords(apart)).value)
    assert score(keywords(apart)).interval.se > score(keywords(same)).interval.se


def test_the_worst_group_is_named_and_ties_go_by_name():
    hits = np.full((2, 3, CLASSES), EACH)
    hits[:, 1] = 2
    found = score(keywords(hits, ("ann", "bob", "cid")))
    assert (found.worst_group_name, found.worst_group) == ("bob", pytest.approx(0.4))
    assert score(keywords(np.full((1, 2, CLASSES), 1), ("ann", "bob"))).worst_group_name == "ann"


def test_one_group_has_a_score_without_interval_and_its_row_says_why():
    one = keywords(np.full((2, 1, CLASSES), 3), ("ann",))
    found = score(one)
    assert isinstance(found.interval, NoInterval)
    row = found.row()
    assert (row["score"], row["low"], row["se"]) == (pytest.approx(0.6), None, None)
    assert row["cause"] == "one group only (ann): nothing shows how much groups differ"
    json.dumps(row, allow_nan=False)
    assert isinstance(difference(one, one, pairing="same_items").interval, NoInterval)


def test_rows_are_ready_for_json():
    one = keywords(np.full((2, 4, CLASSES), 3))
    for row in (score(one).row(), difference(one, one, pairing="other_items").row()):
        assert row["cause"] is None
        json.dumps(row, allow_nan=False)
    assert isinstance(score(one).interval, Interval)


def test_what_is_not_of_the_same_items_or_draws_is_not_compared():
    four, five = keywords(np.full((2, 4, CLASSES), 3)), keywords(np.full((2, 5, CLASSES), 3))
    with pytest.raises(UsageError, match="cannot be compared") as caught:
        difference(four, five, pairing="same_items")
    assert "groups" in (caught.value.got or "")
    with pytest.raises(UsageError, match="cannot be compared"):
        difference(four, keywords(np.full((3, 4, CLASSES), 3)), pairing="other_items")


@pytest.mark.parametrize(
    ("skill", "metric"), [(1.0, "balanced_accuracy"), (0.0, "balanced_accuracy"), (0.0, "macro_f1")]
)
def test_known_answers_lie_in_their_interval(skill, metric):
    rng = np.random.default_rng(6)
    truth = np.tile(np.arange(5), 60)
    groups = [f"speaker {number // 30}" for number in range(300)]
    predicted = np.where(rng.random((5, 300)) < skill, truth, rng.integers(0, 5, (5, 300)))
    found = score(replicates(metric, class_tallies(truth, predicted, groups, classes=5)))
    assert held(found.interval, 1.0 if skill else 0.2)


def test_what_workers_hand_over_arrives_whole():
    one = keywords(np.full((2, 4, CLASSES), 3))
    assert score(pickle.loads(pickle.dumps(one))) == score(one)
