import math

import numpy as np
import pytest
from scipy import stats

from mlflow_rank.studies.enough import NotEnough
from mlflow_rank.studies.prediction.over_runs import OverRuns, over_runs


def test_the_interval_is_students_over_runs():
    values = {"a": 0.1, "b": 0.4, "c": 0.3, "d": 0.7}
    numbers = np.array(list(values.values()))
    low, high = stats.t.interval(0.95, 3, loc=numbers.mean(), scale=stats.sem(numbers))
    found = over_runs(values, "runs")
    assert isinstance(found, OverRuns)
    assert (found.value, found.low, found.high, found.runs) == pytest.approx((0.375, low, high, 4))


def test_two_runs_are_not_enough_and_a_run_without_a_number_is_none():
    assert over_runs({"a": 0.1, "b": 0.2, "c": math.nan}, "runs that move") == NotEnough("runs that move", 2, 3)


def test_an_interval_ends_where_its_scale_does():
    found = over_runs({"a": 0.0, "b": 1.0, "c": 1.0}, "runs", between=(0.0, 1.0))
    assert isinstance(found, OverRuns)
    assert (found.low, found.high) == (0.0, 1.0)


def test_it_holds_the_mean_of_all_runs_in_95_of_100_studies():
    draw = np.random.default_rng(0)
    studies = [over_runs(dict(enumerate(row)), "runs") for row in draw.normal(2.0, 1.0, (1000, 4))]  # type: ignore[arg-type]
    held = np.mean([isinstance(each, OverRuns) and each.low <= 2.0 <= each.high for each in studies])
    assert 0.93 <= held <= 0.97
