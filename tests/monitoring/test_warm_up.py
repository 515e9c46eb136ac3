from __future__ import annotations

import numpy as np
import pytest

from mlflow_rank.monitoring.warm_up import WarmUp


def settled_at(values, *, unmoved: int = 30) -> int | None:
    warm_up, seen = WarmUp(unmoved), []
    for at, value in enumerate(values):
        seen.append(float(value))
        if warm_up.take(seen):
            return at
    return None


def test_the_flat_start_of_random_weights_is_not_settled_but_the_level_after_the_fall_is():
    """The deepest layer of a healthy masked-prediction run: 121 for nine points, 40 within six more."""
    seen = [121, 121, 121, 121, 121, 121, 121, 120, 119, 105, 80, 68, 55, 40, 41, 42, 46, 44, 43, 43, 44, 46, 48]
    at = settled_at(np.log(seen))
    assert at is not None
    assert 15 <= at <= 20


def test_a_rank_that_never_moves_is_settled_after_a_while():
    assert settled_at(np.zeros(40)) == 29
    assert settled_at(np.zeros(40), unmoved=12) == 11


def test_a_rank_that_keeps_falling_by_two_percent_a_point_is_excused_for_twice_the_while_only():
    assert settled_at(-0.02 * np.arange(59)) is None
    assert settled_at(-0.02 * np.arange(60)) == 59


@pytest.mark.parametrize("rise", [0.0, 0.02])
def test_a_rank_that_recovers_is_settled(rise):
    values = np.concatenate([np.zeros(5), np.linspace(0, -1, 8), -1 + rise * np.arange(15)])
    assert settled_at(values) is not None


def test_a_rank_near_its_first_value_is_settled_once_half_of_the_run_is_unless_it_falls():
    still, falling = WarmUp(30), WarmUp(30)
    values = list(np.linspace(0, -0.1, 10))
    assert not still.take([0.0] * 10)
    assert still.take([0.0] * 10, run_settled=True)
    assert not falling.take(values, run_settled=True)
