from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.simulated_runs import Noise as Simulated
from mlflow_rank.monitoring.calibration import Noise, Spread
from mlflow_rank.monitoring.trend import GAP, SMOOTHING, WINDOW


def calibrated(values) -> tuple[Noise, list[float]]:
    smoothed: list[float] = []
    noise = Noise()
    for value in values:
        smoothed.append(value if not smoothed else smoothed[-1] + SMOOTHING * (value - smoothed[-1]))
        noise = noise.extended(smoothed)
    return noise, smoothed


@pytest.mark.parametrize("slope", [0.0, 0.01, -0.3])
def test_a_straight_line_has_no_noise(slope):
    noise = Noise()
    line = [slope * at for at in range(40)]
    for end in range(1, 41):
        noise = noise.extended(line[:end])
    assert noise.count == 28
    assert noise.variance == pytest.approx(0.0, abs=1e-24)


@pytest.mark.parametrize(("phi", "lowest", "highest"), [(0.0, 1.2, 1.6), (0.5, 1.1, 1.5), (0.8, 0.9, 1.15)])
def test_the_spread_is_that_of_a_smoothed_residual_at_the_assumed_autocorrelation_and_wider_at_lower_ones(
    phi, lowest, highest
):
    values = Simulated(0.05, phi).draw(6_000, 1, np.random.default_rng(0))[:, 0]
    noise, smoothed = calibrated(values.tolist())
    trend = [float(np.median(values[at - GAP - WINDOW : at - GAP])) for at in range(20, len(values))]
    actual = float(np.std(np.array(smoothed[20:]) - trend))
    assert lowest < Spread.of(noise, Noise()).value / actual < highest


@settings(max_examples=30)
@given(st.floats(1e-4, 0.2), st.integers(1, 400), st.floats(1e-5, 1e-2))
def test_a_limit_is_crossed_with_the_probability_it_was_made_for_and_is_wider_with_fewer_points(value, count, odds):
    spread = Spread(value, count)
    assert spread.probability(spread.fall(odds)) == pytest.approx(odds, rel=1e-6)
    assert Spread(value, count + 50).fall(odds) < spread.fall(odds)


def test_a_calm_chart_among_restless_ones_is_held_towards_them_until_it_has_points_of_its_own():
    others = Noise(total=100 * 0.04, count=100)
    few, many = Noise(total=5 * 1e-4, count=5), Noise(total=500 * 1e-4, count=500)
    assert Spread.of(few, others).value > 4 * Spread.of(many, Noise()).value
    assert Spread.of(many, others).value < Spread.of(few, others).value / 4


def test_nothing_known_is_no_spread():
    assert Spread.of(Noise(), Noise()).value == 0.0
    assert Spread.of(Noise(), Noise()).probability(0.1) == 0.0
