"""Moments merge like sets of rows, exactly enough to be stored, sharded and added in any order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mlflow_rank.errors import MeasurementError, UsageError
from mlflow_rank.spectra import Moments, PackedMoments, merge, merge_all

laws = settings(max_examples=60, derandomize=True, deadline=None)


def rows(dim: int = 3, least: int = 0):
    values = st.floats(-1e3, 1e3, width=32)
    return hnp.arrays(np.float64, st.tuples(st.integers(least, 9), st.just(dim)), elements=values)


def assert_same(a: Moments, b: Moments, scale: float = 1e3):
    assert a.count == b.count
    np.testing.assert_allclose(a.mean, b.mean, rtol=0, atol=1e-13 * scale)
    np.testing.assert_allclose(a.scatter, b.scatter, rtol=0, atol=1e-13 * scale**2 * max(1, a.count))


@laws
@given(rows(), rows(), rows())
def test_merging_is_associative(x, y, z):
    a, b, c = Moments.of(x), Moments.of(y), Moments.of(z)
    assert_same(merge(merge(a, b), c), merge(a, merge(b, c)))


@laws
@given(rows(), rows())
def test_merging_commutes_to_the_last_bit(x, y):
    a, b = Moments.of(x), Moments.of(y)
    one, other = a + b, b + a
    assert one.count == other.count
    np.testing.assert_array_equal(one.mean, other.mean)
    np.testing.assert_array_equal(one.scatter, other.scatter)


@laws
@given(rows())
def test_moments_of_no_rows_are_the_identity(x):
    a = Moments.of(x)
    assert_same(a + Moments.zero(3), a, scale=0)
    assert_same(Moments.zero(3) + a, a, scale=0)


@laws
@given(rows(), rows())
def test_merged_moments_are_those_of_all_rows_together(x, y):
    assert_same(Moments.of(x) + Moments.of(y), Moments.of(np.vstack([x, y])))


@laws
@given(rows(least=2))
def test_mean_and_scatter_agree_with_numpy(x):
    moments = Moments.of(x)
    np.testing.assert_allclose(moments.mean, x.mean(axis=0), atol=1e-10)
    np.testing.assert_allclose(moments.scatter, np.cov(x.T, bias=True) * len(x), atol=1e-6)
    np.testing.assert_array_equal(moments.diagonal, np.diag(moments.scatter))


@pytest.mark.parametrize("value", [0.1, -7e5, 1 / 3])
def test_equal_rows_scatter_by_exactly_zero_however_they_are_merged(value):
    parts = [Moments.of(np.full((n, 3), value)) for n in (1, 5, 5, 2)]
    total = merge_all(parts)
    assert not total.scatter.any()
    np.testing.assert_array_equal(total.mean, np.full(3, value))


@laws
@given(rows())
def test_storage_restores_every_bit(x):
    moments = Moments.of(x)
    restored = Moments.from_arrays(moments.to_arrays())
    assert restored.count == moments.count
    np.testing.assert_array_equal(restored.mean, moments.mean)
    np.testing.assert_array_equal(restored.scatter, moments.scatter)


def test_storage_survives_a_file(tmp_path):
    moments = Moments.of(np.random.default_rng(0).normal(size=(9, 4)))
    np.savez(tmp_path / "block.npz", **moments.to_arrays())
    with np.load(tmp_path / "block.npz") as stored:
        np.testing.assert_array_equal(Moments.from_arrays(stored).scatter, moments.scatter)


def test_packing_keeps_float64_exactly_and_float32_to_24_bits():
    moments = Moments.of(np.random.default_rng(0).normal(size=(50, 7)))
    exact, rounded = PackedMoments.of(moments), PackedMoments.of(moments, "float32")
    assert (exact.count, exact.dim, rounded.triangle.dtype) == (50, 7, np.float32)
    np.testing.assert_array_equal(exact.unpack().scatter, moments.scatter)
    np.testing.assert_array_equal(exact.diagonal, moments.diagonal)
    np.testing.assert_allclose(rounded.unpack().scatter, moments.scatter, rtol=2.0**-24)
    np.testing.assert_allclose(rounded.diagonal, moments.diagonal, rtol=2.0**-24)


def test_moments_cannot_be_changed():
    moments = Moments.of(np.eye(3))
    with pytest.raises(ValueError, match="read-only"):
        moments.scatter[0, 0] = 1.0
    with pytest.raises(AttributeError):
        moments.count = 4


def test_different_dimensions_are_refused_with_both_named():
    with pytest.raises(UsageError, match="2 and 3 dimensions"):
        merge(Moments.zero(2), Moments.zero(3))


def test_nothing_to_merge_is_an_error():
    with pytest.raises(UsageError, match="no moments"):
        merge_all([])


def test_rows_that_are_no_matrix_are_refused():
    with pytest.raises(UsageError, match=r"shape \(3,\)"):
        Moments.of(np.zeros(3))


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
def test_values_whose_squares_are_not_finite_are_refused(bad):
    with pytest.raises(MeasurementError, match="not finite"):
        Moments.of(np.array([[bad, 0.0], [1.0, 2.0]]))


def test_merging_that_overflows_is_refused():
    with pytest.raises(MeasurementError, match="not finite"):
        merge(Moments.of(np.array([[1e200]])), Moments.of(np.array([[-1e200]])))


def test_ill_fitting_parts_are_refused():
    with pytest.raises(UsageError, match="do not fit"):
        Moments(2, np.zeros(2), np.zeros((3, 3)))
    with pytest.raises(UsageError, match="count 0"):
        Moments(0, np.ones(1), np.zeros((1, 1)))
    with pytest.raises(UsageError, match="count -1"):
        Moments(-1, np.zeros(1), np.zeros((1, 1)))


def test_incomplete_or_cut_storage_is_refused():
    arrays = Moments.of(np.eye(3)).to_arrays()
    with pytest.raises(UsageError, match="without triangle"):
        Moments.from_arrays({"count": arrays["count"], "mean": arrays["mean"]})
    with pytest.raises(UsageError, match="wrong size"):
        Moments.from_arrays({**arrays, "triangle": arrays["triangle"][:-1]})
