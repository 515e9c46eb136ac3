from __future__ import annotations

import numpy as np

from mlflow_rank.monitoring.trend import GAP, HELD, WINDOW, HeldLevel, local_trend


def test_there_is_no_trend_before_a_full_window_and_its_gap():
    assert local_trend([0.0] * (WINDOW + GAP - 1)) is None
    assert local_trend([0.0] * (WINDOW + GAP)) == 0.0


def test_two_low_points_and_four_strange_ones_do_not_move_it():
    assert local_trend([1.0] * 5 + [9.0] * 4 + [0.0] * GAP) == 1.0


def test_a_level_counts_once_it_was_held():
    level = HeldLevel()
    climb = list(np.linspace(0, 2, HELD))
    assert level.below(climb) is None
    assert level.below([*climb, *[2.0] * HELD]) == 0.0
    below = level.below([*[2.0] * HELD, *[1.5] * HELD])
    assert below is not None
    assert abs(below + 0.5) < 1e-12


def test_a_peak_is_no_level():
    level = HeldLevel()
    level.below([1.0] * HELD)
    assert level.below([*[1.0] * HELD, 5.0, 5.0]) == 0.0
