from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from simulated import agreeing, noise, panel

from mlflow_rank.studies.correlation.run_intervals import BY_SHIFT, OVER_RUNS
from mlflow_rank.studies.correlation.settings import StudySettings
from mlflow_rank.studies.correlation.within_layer import tracked
from mlflow_rank.studies.enough import Minimum, NotEnough, Unknown

SETTINGS = StudySettings(resamples=200, permutations=200)
RANDOM = np.random.default_rng(8)
SCIPY = {"pearson": stats.pearsonr, "spearman": stats.spearmanr, "kendall": stats.kendalltau}


def looked_at(*runs, settings=SETTINGS, predictor="rank_frame"):
    layers = list(range(runs[0].values["rank_frame"].shape[0]))
    return tracked(runs, (predictor,), ("pilot_keyword",), layers, settings, 0)


def run(name, rank, score, loss=None):
    return panel(name, np.atleast_2d(rank), np.atleast_2d(score), loss)


@pytest.mark.parametrize("statistic", SCIPY)
def test_the_raw_association_of_one_run_is_that_of_scipy(statistic):
    rank, score = RANDOM.standard_normal((2, 9))
    found = looked_at(run("a", rank, score))[0].views["raw"][statistic]
    assert found.value == pytest.approx(SCIPY[statistic](rank, score).statistic)
    assert found.interval.method == BY_SHIFT


def test_differences_between_runs_do_not_pass_for_tracking_within_them():
    random = np.random.default_rng(0)
    runs = [run(f"r{r}", *(noise(random, (2, 1, 12)) + 50 * r)) for r in range(4)]
    pooled = np.hstack([[each.values["rank_frame"][0], each.values["pilot_keyword"][0]] for each in runs])
    found = looked_at(*runs)[0].views["raw"]["pearson"]
    assert stats.pearsonr(*pooled).statistic > 0.99
    assert abs(found.value) < 0.5
    assert found.value == pytest.approx(np.mean(list(found.per_run.values())))


def test_four_runs_are_resampled_and_three_are_only_shifted():
    runs = [run(f"r{r}", *agreeing(RANDOM, (1, 10), 0.5)) for r in range(4)]
    assert looked_at(*runs)[0].views["partial"]["spearman"].interval.method == OVER_RUNS
    assert looked_at(*runs[:3])[0].views["partial"]["spearman"].interval.method == BY_SHIFT


def test_a_run_counts_by_its_checkpoints():
    one, other = RANDOM.standard_normal((2, 8)), RANDOM.standard_normal((2, 14))
    found = looked_at(run("one", *one), run("other", *other))[0].views["raw"]["pearson"]
    assert found.value == pytest.approx((8 * np.corrcoef(*one)[0, 1] + 14 * np.corrcoef(*other)[0, 1]) / 22)


def test_unknown_checkpoints_are_dropped_pair_by_pair_and_counted():
    rank, score = RANDOM.standard_normal((2, 12))
    rank[3], score[7] = np.nan, np.nan
    found = looked_at(run("a", rank, score))[0]
    both = np.isfinite(rank * score)
    assert (found.checkpoints, found.dropped) == (10, 2)
    assert found.views["raw"]["pearson"].value == pytest.approx(np.corrcoef(rank[both], score[both])[0, 1])


def test_fewer_known_checkpoints_than_the_minimum_give_no_number():
    rank, score = RANDOM.standard_normal((2, 8))
    rank[0] = np.nan
    found = looked_at(run("a", rank, score), run("b", rank, score))[0]
    assert (found.runs, found.runs_too_short) == (0, 2)
    assert {each for view in found.views.values() for each in view.values()} == {
        NotEnough("known checkpoints of a run", 7, 8)
    }


def test_a_short_run_is_left_out_and_counted_and_the_others_speak():
    long, short = RANDOM.standard_normal((2, 11)), RANDOM.standard_normal((2, 7))
    found = looked_at(run("long", *long), run("short", *short))[0]
    assert (found.runs, found.runs_too_short, found.checkpoints) == (1, 1, 11)
    assert set(found.views["raw"]["kendall"].per_run) == {"long"}


def test_a_higher_minimum_asks_for_more():
    settings = replace(SETTINGS, minimum=Minimum(checkpoints=12))
    found = looked_at(run("a", *RANDOM.standard_normal((2, 11))), settings=settings)[0]
    assert found.views["raw"]["pearson"] == NotEnough("known checkpoints of a run", 11, 12)


def test_a_score_that_never_changes_is_unknown_and_says_so():
    found = looked_at(run("a", RANDOM.standard_normal(9), np.full(9, 0.1)))[0]
    assert isinstance(found.views["partial"]["spearman"], Unknown)
    assert found.views["raw"]["spearman"].cause == "the rank or the score never changes"


def test_the_step_has_nothing_left_once_the_step_is_taken_off():
    each = run("a", *RANDOM.standard_normal((2, 9)))
    each = replace(each, values={**each.values, "step": np.log1p(each.steps)[None]})
    found = looked_at(each, predictor="step")[0].views
    assert isinstance(found["partial"]["spearman"], Unknown)
    assert isinstance(found["differences"]["spearman"], Unknown)


def test_a_loss_is_not_taken_off_itself():
    each = run("a", *RANDOM.standard_normal((2, 9)), loss=RANDOM.standard_normal(9))
    each = replace(each, values={**each.values, "loss": each.loss[None]})
    assert "loss" in looked_at(each)[0].controls
    found = looked_at(each, predictor="loss")[0]
    assert "loss" not in found.controls
    assert -1 <= found.views["partial"]["pearson"].value <= 1


def test_what_tracks_beside_a_trend_is_found_and_what_only_shares_it_is_not():
    random = np.random.default_rng(4)
    rise = np.linspace(0, 8, 16)
    together = [run(f"r{r}", *(each + rise for each in agreeing(random, (1, 16), 0.8))) for r in range(4)]
    apart = [run(f"r{r}", *(noise(random, (2, 1, 16)) + rise)) for r in range(4)]
    tracking = looked_at(*together)[0].views["partial"]["spearman"]
    assert tracking.interval.low > 0.2
    assert tracking.chance.p < 0.001
    sharing = looked_at(*apart)[0].views
    assert sharing["raw"]["spearman"].value > 0.85
    assert abs(sharing["partial"]["spearman"].value) < 0.4
    assert sharing["partial"]["spearman"].chance.p > 0.05


@pytest.mark.parametrize(("runs", "share"), [(1, 0.0), (1, 0.6), (4, 0.6)])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(runs, share):
    random = np.random.default_rng(9)
    layers = 80  # each a study of its own
    found = looked_at(*[panel(f"r{r}", *agreeing(random, (layers, 12), share)) for r in range(runs)])
    intervals = [each.views["partial"]["pearson"].interval for each in found]
    assert 0.87 <= np.mean([each.low <= share <= each.high for each in intervals]) <= 0.995
