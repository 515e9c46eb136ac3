from itertools import product

import numpy as np
import pytest
from scipy import stats
from simulated import log_steps, noise

from mlflow_rank.studies.correlation.association import association
from mlflow_rank.studies.correlation.shifts import chance, shifted_associations
from mlflow_rank.studies.correlation.trend import controls

TRENDS = {
    "none": lambda steps: 0 * steps,
    "linear in step": lambda steps: steps / 1600,
    "linear in log step": lambda steps: np.log(steps / 25) / np.log(64),
    "saturating": lambda steps: 1 - np.exp(-steps / 200),
}


def share_below(memory, trend, view, checkpoints=12, runs=4, simulations=400, height=8.0):
    """Return the share of p ≤ .05 where nothing but the trend is shared."""
    random = np.random.default_rng(11)
    steps = log_steps(checkpoints)
    left, right = noise(random, (2, simulations, runs, checkpoints), memory) + height * TRENDS[trend](steps)
    found = shifted_associations(left, right, controls(view, steps, None), "spearman")
    return np.mean([chance(list(by_run), 400, 0).p <= 0.05 for by_run in found])


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.8])
def test_p_is_uniform_where_rank_and_score_have_nothing_in_common(memory):
    assert 0.02 <= share_below(memory, "none", "partial") <= 0.085


@pytest.mark.parametrize("trend", ["linear in step", "linear in log step", "saturating"])
def test_p_is_uniform_under_a_shared_trend_once_it_is_taken_off(trend):
    assert 0.02 <= share_below(0.0, trend, "partial") <= 0.085


@pytest.mark.parametrize("trend", ["linear in log step", "saturating"])
def test_a_shared_trend_alone_makes_a_raw_p_small(trend):
    assert share_below(0.0, trend, "raw", simulations=60) >= 0.9


def test_random_walks_fool_scipy_far_more_often_than_a_shift_beside_the_trend():
    random = np.random.default_rng(11)
    walks = noise(random, (400, 2, 24), memory=1.0)
    naive = np.mean([stats.pearsonr(*pair).pvalue <= 0.05 for pair in walks])
    assert naive >= 0.4
    assert share_below(1.0, "none", "partial", checkpoints=24, runs=1) <= 0.12


def test_one_run_of_ten_checkpoints_has_p_in_tenths_each_as_often():
    random = np.random.default_rng(2)
    off = controls("partial", log_steps(10), None)
    found = shifted_associations(*random.standard_normal((2, 500, 10)), off, "spearman")
    ps = [chance([each], 400, 0).p for each in found]
    counts = np.bincount(np.round(np.array(ps) * 10).astype(int), minlength=11)[1:]
    assert stats.chisquare(counts).pvalue > 0.01


def test_the_unshifted_association_comes_first_and_a_shift_moves_the_right_series():
    left, right = np.random.default_rng(4).standard_normal((2, 9))
    found = shifted_associations(left, right, controls("raw", log_steps(9), None), "kendall")
    assert found[0] == pytest.approx(stats.kendalltau(left, right).statistic)
    assert found[2] == pytest.approx(association(left, np.roll(right, -2), "kendall"))


@pytest.mark.parametrize("runs", [1, 2, 3, 4])
def test_counting_in_two_halves_counts_every_combination_of_shifts(runs):
    random = np.random.default_rng(6)
    shifts = [random.uniform(-1, 1, 5) for _ in range(runs)]
    sums = [abs(sum(each)) for each in product(*shifts)]
    found = chance(shifts, 100, 0)
    assert found.p == pytest.approx(np.mean([each >= sums[0] - 1e-9 for each in sums]))
    assert (found.smallest, found.sampled) == (pytest.approx(5.0**-runs), None)


def test_too_many_combinations_are_drawn_and_p_is_never_zero():
    shifts = [np.concatenate([[1.0], np.zeros(60)]) for _ in range(6)]
    found = chance(shifts, 999, 0)
    assert (found.p, found.smallest, found.sampled) == (0.001, 0.001, 999)


def test_an_association_of_zero_is_as_extreme_as_any():
    assert chance([np.array([0.0, 0.3, -0.2])], 100, 0).p == 1
