"""The rates that are promised, at a size that takes seconds; `benchmarks/alarm_rates.py` has them all."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.alarm_rates import FALLS, rates_of
from benchmarks.simulated_runs import Noise

WORST = Noise(0.05, 0.8)  # twice the noise of real runs, at the highest autocorrelation that is promised
CALM = Noise(0.02, 0.8, heavy=True)


@pytest.fixture(scope="module")
def rates():
    return {noise: rates_of(noise, runs=4) for noise in (WORST, CALM)}


def test_healthy_runs_raise_at_most_one_alarm_in_a_thousand_points(rates):
    assert np.mean([list(each.false_alarms.values()) for each in rates.values()]) <= 1  # of 8,000 points


def test_runs_with_the_noise_of_real_ones_raise_none(rates):
    assert set(rates[CALM].false_alarms.values()) == {0.0}


def test_a_sudden_fall_of_thirty_percent_is_found_within_five_points_whatever_the_noise(rates):
    for each in rates.values():
        assert each.found["30 %, one layer"] >= 0.9
        assert each.found["30 %, all layers"] >= 0.9


def test_a_fall_of_thirty_percent_that_takes_five_points_is_found_within_them_where_noise_is_that_of_real_runs(rates):
    assert rates[CALM].found["30 % over 5 points, one layer"] >= 0.9


def test_the_textbook_cusum_cries_wolf_on_the_same_runs(rates):
    assert rates[WORST].textbook > 10


def test_rates_are_the_same_every_time(rates):
    few = [rates_of(CALM, runs=1) for _ in range(2)]
    assert few[0] == few[1]
    assert set(few[0].found) == set(FALLS)
