"""Ranks that can be compared block by block: the same numbers as a measurement's, and ratios with their intervals."""

from __future__ import annotations

import numpy as np
import pytest

from mlflow_rank.spectra import Moments, estimate
from mlflow_rank.studies.short_sounds.rank_reading import RankReading, ratio, read_rank


def blocks(seed: int, rows: int = 400, spread: float = 3.0) -> list[Moments]:
    drawn = np.random.default_rng(seed).normal(size=(rows, 10)) * np.linspace(1, spread, 10)
    return [Moments.of(part) for part in np.array_split(drawn, 10)]


def test_the_numbers_are_those_of_a_measurement():
    reading = read_rank(blocks(0), 3, "frame")
    row = next(
        each for each in estimate(blocks(0), level="frame") if (each.metric, each.centred) == ("effective_rank", True)
    )
    assert (reading.value, reading.corrected) == (row.value, row.corrected)
    assert reading.half_width == pytest.approx((row.high - row.low) / 2)


def test_fewer_rows_than_dimensions_are_unknown_and_fewer_than_four_times_uncorrected():
    assert read_rank(blocks(0, rows=9), 3, "frame").cause is not None
    some = read_rank(blocks(0, rows=25), 3, "frame")
    assert (some.corrected, some.cause) == (None, None)
    assert some.shown == some.value
    assert ratio(read_rank(blocks(0, rows=9), 3, "frame"), read_rank(blocks(1, rows=9), 3, "frame")).value is None


def test_a_ratio_is_of_the_same_rows_paired_by_block():
    first, wider = read_rank(blocks(0, spread=9.0), 1, "frame"), read_rank(blocks(0, spread=1.5), 1, "frame")
    same = ratio(first, first)
    assert (same.value, same.low, same.high, same.direction) == (1.0, 1.0, 1.0, 0)
    found = ratio(first, wider)
    assert found.direction == -1
    assert ratio(wider, first).direction == 1
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high < 1.0
    apart = read_rank(blocks(0, rows=300), 1, "frame")
    assert ratio(first, apart).cause == "ranks of 400 and 300 rows are not compared"


def test_the_interval_of_a_ratio_holds_the_truth_about_as_often_as_it_says():
    held = 0
    for seed in range(30):
        shared = np.random.default_rng(seed).normal(size=(400, 10))
        readings = [
            read_rank(
                [Moments.of(part) for part in np.array_split(shared * np.linspace(1, spread, 10), 10)], 1, "frame"
            )
            for spread in (3.0, 5.0)
        ]
        found = ratio(*readings)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= _truth(3.0) / _truth(5.0) <= found.high
    assert held >= 25  # of 30; 28.5 expected, and fewer than 25 come once in 200


def _truth(spread: float) -> float:
    share = np.linspace(1, spread, 10) / np.linspace(1, spread, 10).sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def test_one_block_gives_a_ratio_without_an_interval():
    one = RankReading(1, "frame", 40, 10, value=4.0)
    assert ratio(one, one).cause == "fewer than two blocks of clips"
