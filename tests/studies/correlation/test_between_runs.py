from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from simulated import noise, panel

from mlflow_rank.studies.correlation.between_runs import VIEW, matched
from mlflow_rank.studies.correlation.settings import StudySettings
from mlflow_rank.studies.enough import NotEnough, Unknown

SETTINGS = StudySettings(resamples=200, permutations=400)
RANDOM = np.random.default_rng(12)
SCIPY = {"pearson": stats.pearsonr, "spearman": stats.spearmanr, "kendall": stats.kendalltau}


def between(*runs):
    layers = list(range(runs[0].values["rank_frame"].shape[0]))
    return matched(runs, ("rank_frame",), ("pilot_keyword",), layers, SETTINGS, 0)


def runs_of(ranks, scores):
    """Return runs of ranks and scores of shape (runs, layers, steps)."""
    return [panel(f"r{at}", *each) for at, each in enumerate(zip(ranks, scores, strict=True))]


@pytest.mark.parametrize("statistic", SCIPY)
def test_at_one_step_it_is_the_association_over_runs(statistic):
    ranks, scores = RANDOM.standard_normal((2, 5, 1, 1))
    found = between(*runs_of(ranks, scores))[0].views[VIEW][statistic]
    assert found.value == pytest.approx(SCIPY[statistic](ranks[:, 0, 0], scores[:, 0, 0]).statistic)


def test_over_steps_it_is_what_is_left_without_the_mean_over_runs_at_each_step():
    ranks, scores = RANDOM.standard_normal((2, 5, 1, 7))
    left, right = (each - each.mean(axis=0) for each in (ranks, scores))
    found = between(*runs_of(ranks, scores))[0]
    assert (found.runs, found.steps) == (5, 7)
    assert found.views[VIEW]["pearson"].value == pytest.approx(np.corrcoef(left.ravel(), right.ravel())[0, 1])


def test_a_trend_that_all_runs_share_changes_nothing_whatever_its_shape():
    ranks, scores = RANDOM.standard_normal((2, 4, 1, 9))
    curve = 30 * np.abs(np.arange(9) - 3.0)
    plain, trended = (between(*runs_of(ranks + c, scores - c))[0].views[VIEW] for c in (0, curve))
    for statistic in SCIPY:
        assert trended[statistic].value == pytest.approx(plain[statistic].value)
        assert trended[statistic].chance == plain[statistic].chance


def test_four_runs_in_perfect_order_have_a_p_of_one_in_twenty_four():
    ranks = np.array([1.0, 2, 4, 8])[:, None, None] + np.zeros((4, 1, 6))
    found = between(*runs_of(ranks, 3 * ranks))[0].views[VIEW]["pearson"]
    assert found.value == pytest.approx(1)
    assert (found.chance.p, found.chance.smallest, found.chance.sampled) == (1 / 24, 1 / 24, None)


def test_many_runs_have_orders_drawn():
    ranks = np.arange(8.0)[:, None, None] + 0.01 * RANDOM.standard_normal((8, 1, 5))
    found = between(*runs_of(ranks, ranks))[0].views[VIEW]["kendall"]
    assert (found.chance.sampled, found.chance.smallest) == (400, 1 / 401)
    assert found.chance.p <= 2 / 401
    assert found.interval.low > 0.9


def test_p_is_uniform_between_runs_that_wander_around_one_trend():
    random = np.random.default_rng(1)
    curve = np.linspace(0, 20, 8) ** 2
    found = between(*runs_of(*(noise(random, (2, 5, 150, 8), memory=1.0) + curve)))
    assert 0.02 <= np.mean([each.views[VIEW]["pearson"].chance.p <= 6 / 120 for each in found]) <= 0.095


def test_only_steps_that_all_runs_know_count_and_a_run_that_knows_nothing_is_no_run():
    ranks, scores = RANDOM.standard_normal((2, 6, 1, 5))
    scores[5] = np.nan
    scores[0, 0, 1] = ranks[3, 0, 4] = np.nan
    found = between(*runs_of(ranks, scores))[0]
    assert (found.runs, found.steps) == (5, 3)


def test_fewer_runs_than_the_minimum_give_no_number():
    found = between(*runs_of(*RANDOM.standard_normal((2, 3, 1, 9))))[0]
    assert found.views[VIEW]["spearman"] == NotEnough("runs", 3, 4)


def test_runs_that_share_no_step_give_no_number():
    runs = runs_of(*RANDOM.standard_normal((2, 4, 1, 9)))
    runs[0] = replace(runs[0], steps=runs[0].steps + 1)
    assert between(*runs)[0].views[VIEW]["pearson"] == NotEnough("steps that all runs share", 0, 1)


def test_runs_of_one_rank_at_every_step_are_unknown():
    ranks, scores = np.ones((4, 1, 6)), RANDOM.standard_normal((4, 1, 6))
    assert isinstance(between(*runs_of(ranks, scores))[0].views[VIEW]["kendall"], Unknown)
