import numpy as np
import pytest
from scipy import stats

from mlflow_rank.studies.correlation.run_intervals import by_shift, drawn_runs, over_runs, stretch


def held(runs, far):
    """Return in which share of 400 studies the interval of a mean over runs holds 0."""
    random = np.random.default_rng(0)
    counts = drawn_runs(runs, 400, 1)
    found = 0
    for _ in range(400):
        interval = over_runs(far * random.standard_normal(runs), np.ones(runs), counts, (-np.inf, np.inf))
        found += interval.low <= 0 <= interval.high
    return found / 400


@pytest.mark.parametrize("runs", [4, 6, 12])
def test_the_interval_over_few_runs_holds_the_truth_as_often_as_it_says(runs):
    assert 0.915 <= held(runs, 1.0) <= 0.985


def test_percentiles_alone_would_hold_it_in_four_of_five_studies_of_four_runs():
    values = np.random.default_rng(0).standard_normal((400, 4))
    means = values @ drawn_runs(4, 400, 1).T / 4
    low, high = np.quantile(means, [0.025, 0.975], axis=1)
    assert 0.7 <= np.mean((low <= 0) & (high >= 0)) <= 0.86
    assert stretch(4) == pytest.approx(np.sqrt(4 / 3) * 3.1824 / 1.95996, rel=1e-4)


def test_the_more_runs_the_less_percentiles_are_stretched():
    assert stretch(4) > stretch(8) > stretch(400) == pytest.approx(1, abs=0.005)


def test_an_interval_stays_within_its_bounds_and_around_its_value():
    values = np.array([0.9, 0.95, 1.0, 0.2])
    found = over_runs(values, np.array([1.0, 1, 1, 2]), drawn_runs(4, 500, 0), (-1, 1))
    assert -1 <= found.low <= float(values @ [0.2, 0.2, 0.2, 0.4]) <= found.high == 1


def test_runs_that_all_say_the_same_leave_no_room():
    found = over_runs(np.full(5, 0.25), np.ones(5), drawn_runs(5, 200, 0), (-1, 1))
    assert (found.low, found.high) == (pytest.approx(0.25), pytest.approx(0.25))


def test_noise_of_white_series_gives_the_interval_of_fisher():
    found = by_shift(0.5, 1 / 97, 10_000)
    z, half = np.arctanh(0.5), stats.norm.ppf(0.975) / np.sqrt(97)
    assert (found.low, found.high) == (
        pytest.approx(np.tanh(z - half), abs=1e-4),
        pytest.approx(np.tanh(z + half), abs=1e-4),
    )


def test_a_perfect_association_still_has_an_interval():
    found = by_shift(1.0, 0.1, 6)
    assert 0.9 < found.low < found.high <= 1
