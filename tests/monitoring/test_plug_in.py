"""Readings against textbook formulas in plain numpy, from the rows themselves."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_rank.monitoring.plug_in import of_moments, of_rows, unknown
from mlflow_rank.spectra import Moments, estimate

VALUES = ("rank", "rank_uncentred", "total_variance", "normalised_std", "mean_norm_ratio")


def by_numpy(rows: np.ndarray) -> dict[str, float]:
    def rank(matrix: np.ndarray) -> float:
        singular = np.linalg.svd(matrix, compute_uv=False)
        shares = singular / singular.sum()
        shares = shares[shares > 1e-9]
        return float(np.exp(-(shares * np.log(shares)).sum()))

    mean, mean_square = rows.mean(0), (rows**2).sum(1).mean()
    return {
        "rank": rank(rows - mean),
        "rank_uncentred": rank(rows),
        "total_variance": rows.var(0).sum(),
        "normalised_std": np.sqrt(rows.shape[1]) * rows.std(0).mean() / np.sqrt(mean_square),
        "mean_norm_ratio": (mean @ mean) / mean_square,
    }


def material(seed: int, count: int, dim: int, offset: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, dim)) @ rng.normal(size=(dim, dim)) + offset * rng.normal(size=dim)


@given(st.integers(0, 1000), st.integers(2, 40), st.integers(2, 12), st.sampled_from([0.0, 1.0, 30.0]))
def test_both_ways_give_what_the_formulas_say(seed: int, count: int, dim: int, offset: float) -> None:
    rows = material(seed, count, dim, offset)
    wanted = pytest.approx(by_numpy(rows), rel=1e-6)
    for reading in (of_rows(3, "utterance", rows), of_moments(3, "utterance", Moments.of(rows))):
        assert {name: getattr(reading, name) for name in VALUES} == wanted
        assert (reading.layer, reading.level, reading.count, reading.dim) == (3, "utterance", count, dim)
        assert reading.cause is None


def test_a_point_agrees_with_what_measure_reports_as_its_plug_in_value() -> None:
    moments = Moments.of(material(1, 400, 8, 2.0))
    reading = of_moments(0, "frame", moments)
    measured = {(row.metric, row.centred): row.value for row in estimate([moments], level="frame", intervals=False)}
    assert reading.rank == measured["effective_rank", True]
    assert reading.rank_uncentred == measured["effective_rank", False]
    assert reading.total_variance == measured["total_variance", True]
    assert reading.normalised_std == measured["normalised_std", False]
    assert reading.mean_norm_ratio == measured["mean_norm_ratio", False]


@pytest.mark.parametrize("count", [3, 50])
def test_constant_rows_have_no_centred_rank_and_the_other_values_stand(count: int) -> None:
    reading = of_rows(1, "utterance", np.tile([1.0, 2.0, 2.0, 4.0], (count, 1)))
    assert reading.rank is None
    assert reading.cause == "every row is the same: nothing varies"
    assert (reading.total_variance, reading.normalised_std, reading.mean_norm_ratio) == (0.0, 0.0, 1.0)
    assert reading.rank_uncentred == pytest.approx(1.0)


def test_rows_of_zeros_have_no_rank_and_no_share_of_the_mean() -> None:
    reading = of_rows(1, "utterance", np.zeros((3, 4)))
    assert (reading.rank, reading.rank_uncentred, reading.normalised_std, reading.mean_norm_ratio) == (None,) * 4
    assert reading.total_variance == 0.0
    assert reading.cause == "every row is the same: nothing varies; every row is zero"


def test_where_nothing_is_known_the_cause_says_so() -> None:
    assert of_moments(0, "frame", Moments.zero(4)).cause == "no rows, nothing to measure"
    reading = unknown(2, "frame", 4, "lost")
    assert {asdict(reading)[name] for name in VALUES} == {None}
    assert (reading.count, reading.cause) == (0, "lost")
