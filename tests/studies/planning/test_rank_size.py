"""How much audio a rank needs: judged by a measurement where there is one, by the theory of spectra where not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mlflow_rank.errors import UsageError
from mlflow_rank.spectra.family import effective_rank
from mlflow_rank.spectra.moments import Moments
from mlflow_rank.spectra.spectrum import Spectrum
from mlflow_rank.studies.planning.rank_size import Read, assumed_size, measured_size, relative_error


def test_the_error_of_independent_rows_is_that_of_simulated_ones() -> None:
    rng = np.random.default_rng(3)
    dim, rows = 24, 1500
    scale = np.arange(1, dim + 1) ** -1.0

    ranks = []
    for _ in range(200):
        sample = rng.standard_normal((rows, dim)) * scale
        ranks.append(math.log(effective_rank(Spectrum.of(Moments.of(sample), centred=True))))

    assert np.std(ranks, ddof=1) * math.sqrt(rows) == pytest.approx(relative_error(dim), rel=0.2)


def test_four_rows_per_dimension_are_the_least() -> None:
    coarse = assumed_size("utterance", 768, 0.5, rows_per_minute=15, alike=1)

    assert coarse.rows == 4 * 768
    assert coarse.minutes == coarse.for_bias == pytest.approx(4 * 768 / 15)


def test_half_the_interval_needs_four_times_the_audio() -> None:
    read = Read(minutes=10.0, rows=30_000, half_width=0.06)

    assert measured_size("frame", 160, 0.06, read).for_precision == pytest.approx(10.0)
    assert measured_size("frame", 160, 0.03, read).for_precision == pytest.approx(40.0)
    assert measured_size("frame", 160, 0.03, read).rows == 120_000


def test_rows_that_are_alike_need_more_of_them() -> None:
    one = assumed_size("frame", 768, 0.03, rows_per_minute=3000, alike=1)
    six = assumed_size("frame", 768, 0.03, rows_per_minute=3000, alike=6)

    assert six.for_precision == pytest.approx(36 * one.for_precision)


@pytest.mark.parametrize(("dim", "precision"), [(1, 0.03), (768, 0.0), (768, 1.0), (768, float("nan"))])
def test_no_size_and_no_precision_are_refused(dim: int, precision: float) -> None:
    with pytest.raises(UsageError):
        assumed_size("frame", dim, precision, rows_per_minute=3000, alike=1)
