"""How many clips a precision takes, on widths that follow a known law and on ranks of rows that are drawn."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_rank.errors import UsageError
from mlflow_rank.spectra import Moments
from mlflow_rank.studies.short_sounds.precision import Needed, TooFewCounts, Width, clips_needed
from mlflow_rank.studies.short_sounds.rank_reading import read_rank


def widths(law, counts=(50, 100, 200, 400)):
    return [Width(n, law(n)) for n in counts]


@given(st.floats(0.1, 50), st.floats(0.01, 0.5))
def test_where_widths_follow_the_law_the_number_is_the_laws(scale, target):
    needed = clips_needed(widths(lambda n: scale / n**0.5), target)
    assert isinstance(needed, Needed)
    assert needed.clips == pytest.approx((scale / target) ** 2, rel=1e-6, abs=1)
    assert needed.low == pytest.approx(needed.high, rel=1e-6, abs=1)
    assert needed.extrapolated == (not 50 <= needed.clips <= 400)
    assert not needed.levels_off or needed.slope == pytest.approx(-0.5)


def test_widths_that_level_off_are_called_so_and_those_that_scatter_are_not():
    off = clips_needed(widths(lambda n: 0.1 + 0.2 / n**0.5), 0.05)
    assert isinstance(off, Needed)
    assert off.levels_off
    noisy = clips_needed([Width(n, w) for n, w in ((50, 0.3), (100, 0.15), (200, 0.18), (400, 0.1))], 0.05)
    assert isinstance(noisy, Needed)
    assert not noisy.levels_off
    assert noisy.low < noisy.clips < noisy.high
    assert json.loads(json.dumps(noisy.document(), allow_nan=False))["widths"][0] == [50, 0.3]


def test_no_fewer_clips_are_named_than_give_a_number_at_all():
    needed = clips_needed(widths(lambda n: 0.1 / n**0.5), 0.05, least=160)
    assert isinstance(needed, Needed)
    assert (needed.clips, needed.least, needed.extrapolated) == (160, 160, False)


def test_two_counts_are_not_enough_and_say_so():
    found = clips_needed([Width(50, 0.1), Width(50, 0.2), Width(100, 0.05), Width(200, 0.0)], 0.05)
    assert found == TooFewCounts("an interval at 2 numbers of clips, at least 3 needed")


@pytest.mark.parametrize("target", [0.0, -1.0, float("nan")])
def test_a_precision_that_is_none_is_refused(target):
    with pytest.raises(UsageError, match="bad precision"):
        clips_needed(widths(lambda n: 1 / n), target)


def test_the_interval_of_a_rank_is_half_as_wide_with_four_times_the_rows():
    def width(rows: int, seed: int) -> float:
        drawn = np.random.default_rng(seed).normal(size=(rows, 12)) * np.linspace(1, 3, 12)
        reading = read_rank([Moments.of(part) for part in np.array_split(drawn, 10)], 1, "utterance")
        assert reading.half_width is not None
        return reading.half_width

    few, many = (np.mean([width(rows, seed) for seed in range(60)]) for rows in (300, 1200))
    assert few / many == pytest.approx(2.0, rel=0.15)
