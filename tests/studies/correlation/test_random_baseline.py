import numpy as np
import pytest
from simulated import noise, panel

from mlflow_rank.studies.correlation.random_baseline import random_ranges
from mlflow_rank.studies.correlation.settings import StudySettings
from mlflow_rank.studies.enough import NotEnough, Unknown

SETTINGS = StudySettings(random_draws=300)
RANDOM = np.random.default_rng(14)


def ranges(scores, seed=0):
    run = panel("a", scores, scores)
    found = random_ranges([run], ("pilot_keyword",), list(range(len(scores))), SETTINGS, seed)
    return {(each.layer, each.noise, each.view): each for each in found}


def width(each):
    return each.bounds[1] - each.bounds[0]


def test_a_walk_seems_to_follow_a_rising_score_and_less_so_beside_its_trend():
    found = ranges(np.linspace(0, 5, 20)[None] + noise(RANDOM, (1, 20)))
    assert width(found[0, "walk", "raw"]) > 1.4 > width(found[0, "white", "raw"])
    assert width(found[0, "walk", "partial"]) < width(found[0, "walk", "raw"])


def test_noise_goes_as_often_up_as_down():
    low, high = ranges(noise(RANDOM, (1, 20)))[0, "white", "raw"].bounds
    assert -0.6 < low < -0.3 < 0.3 < high < 0.6


def test_the_same_seed_draws_the_same_noise():
    scores = noise(RANDOM, (1, 12))
    assert ranges(scores) == ranges(scores)
    assert ranges(scores) != ranges(scores, seed=1)


def test_a_run_that_is_too_short_says_nothing_and_the_others_do():
    long, short = (panel(name, *[noise(RANDOM, (1, count))] * 2) for name, count in (("a", 12), ("b", 5)))
    both, alone = (random_ranges(runs, ("pilot_keyword",), [0], SETTINGS, 0) for runs in ([long, short], [long]))
    assert both[0].bounds == pytest.approx(alone[0].bounds)


def test_a_short_run_and_a_score_that_never_changes_give_no_range():
    assert ranges(noise(RANDOM, (1, 7)))[0, "white", "raw"].bounds == NotEnough("known checkpoints of a run", 7, 8)
    flat = ranges(np.ones((1, 9)))[0, "walk", "partial"]
    assert isinstance(flat.bounds, Unknown)
    assert flat.document()["unknown"] == flat.bounds.cause
