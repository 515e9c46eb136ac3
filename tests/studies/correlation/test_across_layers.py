import numpy as np
import pytest
from scipy import stats
from simulated import panel

from mlflow_rank.studies.correlation.across_layers import VIEW, across, checkpoints
from mlflow_rank.studies.correlation.run_intervals import OVER_RUNS
from mlflow_rank.studies.correlation.settings import StudySettings
from mlflow_rank.studies.enough import NotEnough, Unknown

SETTINGS = StudySettings(resamples=200, permutations=200)
NAMES = ("rank_frame", "pilot_keyword")
RANDOM = np.random.default_rng(21)


def over_layers(*runs):
    return across(checkpoints(runs, *NAMES, list(range(runs[0].values["rank_frame"].shape[0]))), NAMES, SETTINGS, 0)


def test_it_is_the_mean_over_checkpoints_then_over_runs():
    given = [RANDOM.standard_normal((2, 5, 3)), RANDOM.standard_normal((2, 5, 8))]
    by_run = [
        np.mean([stats.spearmanr(one[:, at], other[:, at]).statistic for at in range(one.shape[1])])
        for one, other in given
    ]
    found = over_layers(*(panel(f"r{at}", *each) for at, each in enumerate(given)))
    assert (found.runs, found.checkpoints, found.layers) == (2, 11, 5)
    assert found.views[VIEW]["spearman"].value == pytest.approx(np.mean(by_run))
    assert found.views[VIEW]["spearman"].interval == NotEnough("runs for an interval over runs", 2, 4)


def test_six_layers_have_six_shifts_in_depth_and_four_runs_an_interval():
    depth = np.arange(6.0)[:, None]
    runs = [panel(f"r{r}", depth + 0.1 * RANDOM.standard_normal((6, 4)), depth + np.zeros((6, 4))) for r in range(4)]
    found = over_layers(*runs).views[VIEW]["pearson"]
    assert found.chance.p == found.chance.smallest == pytest.approx(1 / 6)
    assert (found.interval.method, found.interval.low > 0.9) == (OVER_RUNS, True)


def test_checkpoints_that_lack_a_layer_are_left_out_and_a_layer_known_nowhere_is_no_layer():
    ranks, scores = RANDOM.standard_normal((2, 6, 5))
    scores[5], scores[2, 1] = np.nan, np.nan
    found = over_layers(panel("a", ranks, scores))
    assert (found.layers, found.checkpoints) == (5, 4)


def test_few_layers_give_no_number():
    found = over_layers(panel("a", *RANDOM.standard_normal((2, 3, 9))))
    assert found.views[VIEW]["kendall"] == NotEnough("layers of a checkpoint", 3, 4)


def test_nothing_known_gives_no_number():
    found = over_layers(panel("a", np.full((6, 4), np.nan), np.ones((6, 4))))
    assert (found.runs, found.views[VIEW]["pearson"]) == (0, NotEnough("layers of a checkpoint", 0, 4))


def test_layers_of_one_score_are_unknown():
    found = over_layers(panel("a", RANDOM.standard_normal((5, 4)), np.full((5, 4), 0.5)))
    assert isinstance(found.views[VIEW]["spearman"], Unknown)
