import numpy as np
import pytest
from simulated import panel

from mlflow_rank.studies.correlation.across_layers import across, checkpoints
from mlflow_rank.studies.correlation.layer_regret import CHOICES, regret
from mlflow_rank.studies.correlation.settings import StudySettings
from mlflow_rank.studies.enough import NotEnough

SETTINGS = StudySettings(resamples=200, permutations=200)
NAMES = ("rank_frame", "pilot_keyword")
# layers by checkpoints
RANKS = np.array([[9.0, 1], [2, 2], [3, 9], [4, 4]])
SCORES = np.array([[0.5, 0.2], [0.7, 0.9], [0.6, 0.4], [0.4, 0.5]])
OTHER_SCORES = np.array([[0.1, 0.1], [0.2, 0.2], [0.8, 0.9], [0.3, 0.3]])


def lost(*runs):
    return regret(checkpoints(runs, *NAMES, list(range(len(runs[0].values["rank_frame"])))), NAMES, SETTINGS, 0)


def test_losses_are_those_counted_by_hand():
    found = lost(panel("a", RANKS, SCORES), panel("b", RANKS, OTHER_SCORES))
    per_run = {name: each.per_run for name, each in found.choices.items()}
    assert per_run["rank"] == pytest.approx({"a": (0.2 + 0.5) / 2, "b": (0.7 + 0.0) / 2})
    assert per_run["last"] == pytest.approx({"a": (0.3 + 0.4) / 2, "b": (0.5 + 0.6) / 2})
    assert per_run["random"] == pytest.approx({"a": (0.15 + 0.4) / 2, "b": (0.45 + 0.525) / 2})
    assert per_run["pilot"] == {"a": 0, "b": 0}
    assert found.choices["rank"].value == pytest.approx(0.35)
    assert found.rank_minus["last"].value == pytest.approx(0.35 - 0.45)


def test_the_fixed_layer_is_chosen_on_the_other_runs():
    found = lost(panel("a", RANKS, SCORES), panel("b", RANKS, OTHER_SCORES))
    assert found.choices["fixed"].per_run == pytest.approx({"a": (0.1 + 0.5) / 2, "b": (0.6 + 0.7) / 2})


def test_one_run_has_no_other_to_choose_a_fixed_layer_on():
    found = lost(panel("a", RANKS, SCORES))
    assert found.choices["fixed"] == NotEnough("runs to choose a fixed layer on the others", 1, 2)
    assert found.rank_minus["fixed"] == found.choices["fixed"]
    assert found.choices["rank"].interval == NotEnough("runs for an interval over runs", 1, 4)


def test_it_counts_which_layers_were_chosen():
    found = lost(panel("a", RANKS, SCORES), panel("b", RANKS, OTHER_SCORES))
    assert (found.rank_chose, found.pilot_chose) == ({0: 2, 2: 2}, {1: 2, 2: 2})


def test_a_rank_that_is_the_score_loses_nothing_and_no_choice_gains():
    random = np.random.default_rng(3)
    found = lost(*(panel(f"r{r}", *[random.uniform(size=(5, 6))] * 2) for r in range(4)))
    assert found.choices["rank"].value == 0
    assert all(found.choices[name].value >= 0 for name in CHOICES)
    assert found.rank_minus["random"].interval.high < 0
    assert found.choices["random"].interval.low >= 0


def test_layers_that_no_checkpoint_has_all_of_are_not_called_too_few():
    holes = np.where(np.eye(4)[:, :2] > 0, np.nan, RANKS)
    holes[2, 1] = holes[3, 0] = np.nan
    given = checkpoints([panel("a", holes, SCORES)], *NAMES, list(range(4)))
    whole = NotEnough("checkpoints at which every layer has a rank and a score", 0, 1)
    assert (len(given.layers), given.count) == (4, 0)
    assert set(regret(given, NAMES, SETTINGS, 0).choices.values()) == {whole}
    assert across(given, NAMES, SETTINGS, 0).views["checkpoint"]["spearman"] == whole


def test_few_layers_give_no_number():
    found = lost(panel("a", RANKS[:3], SCORES[:3]))
    assert set(found.choices.values()) == {NotEnough("layers of a checkpoint", 3, 4)}
    assert (found.rank_chose, set(found.rank_minus)) == ({}, {"fixed", "last", "random"})
