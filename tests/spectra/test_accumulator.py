"""However rows arrive, the accumulator gives the moments of all of them, and never of a bad one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_rank.errors import MeasurementError, UsageError
from mlflow_rank.spectra import Moments, MomentsAccumulator
from mlflow_rank.spectra.accumulator import CHUNK_ROWS, GATHER_ROWS


def assert_equal_moments(a: Moments, b: Moments, rtol: float = 1e-12):
    assert a.count == b.count
    np.testing.assert_allclose(a.mean, b.mean, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(a.scatter, b.scatter, rtol=rtol, atol=rtol * (1 + abs(b.scatter).max()))


@settings(max_examples=40, derandomize=True, deadline=None)
@given(
    st.lists(st.sampled_from([0, 1, 2, 30, GATHER_ROWS, 150, CHUNK_ROWS, 2 * CHUNK_ROWS + 7]), max_size=8),
    st.sampled_from([np.float32, np.float64]),
)
def test_any_division_into_updates_gives_the_moments_of_all_rows(sizes, dtype):
    rng = np.random.default_rng(len(sizes))
    parts = [(rng.normal(size=(size, 5)) * [1, 2, 3, 4, 5] + 10).astype(dtype) for size in sizes]
    accumulator = MomentsAccumulator(5)
    for part in parts:
        accumulator.update(part)
    assert accumulator.count == sum(sizes)
    expected = np.concatenate(parts) if parts else np.zeros((0, 5))
    assert_equal_moments(accumulator.moments(), Moments.of(expected))


def test_moments_may_be_asked_for_in_between():
    rows = np.random.default_rng(0).normal(size=(900, 4))
    accumulator = MomentsAccumulator(4)
    for start, stop in ((0, 10), (10, 700), (700, 710), (710, 900)):
        accumulator.update(rows[start:stop])
        assert_equal_moments(accumulator.moments(), Moments.of(rows[:stop]))


def test_rows_kept_back_are_copies_of_what_the_caller_reuses():
    buffer = np.ones((1, 2), dtype=np.float32)
    accumulator = MomentsAccumulator(2)
    accumulator.update(buffer)
    buffer[:] = 5
    assert accumulator.moments().mean.tolist() == [1.0, 1.0]


def test_strided_and_transposed_rows_count_as_their_values():
    rows = np.random.default_rng(0).normal(size=(2000, 6)).astype(np.float32)
    accumulator = MomentsAccumulator(6)
    accumulator.update(rows[::5])
    accumulator.update(np.asfortranarray(rows[1::5]))
    assert_equal_moments(accumulator.moments(), Moments.of(np.concatenate([rows[::5], rows[1::5]])))


def test_a_large_mean_costs_no_precision_in_float32_rows():
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(5000, 8)) + 1e4).astype(np.float32)
    accumulator = MomentsAccumulator(8)
    for part in np.array_split(rows, 20):
        accumulator.update(part)
    exact = rows.astype(np.longdouble)
    centred = exact - exact.mean(axis=0)
    np.testing.assert_allclose(
        accumulator.moments().scatter, (centred.T @ centred).astype(float), rtol=1e-12, atol=1e-7
    )


def test_few_rows_allocate_no_matrix():
    accumulator = MomentsAccumulator(1000)
    for row in np.ones((300, 1, 1000), dtype=np.float32):
        accumulator.update(row)
    assert accumulator._squares is None
    accumulator.update(np.ones((201, 1000), dtype=np.float32))
    assert accumulator._squares is not None
    assert not accumulator._pending_rows


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("size", [3, 700])
def test_a_value_that_is_not_finite_is_refused_and_leaves_no_trace(bad, size):
    good = np.random.default_rng(0).normal(size=(400, 4)).astype(np.float32)
    accumulator = MomentsAccumulator(4)
    accumulator.update(good)
    rows = np.ones((size, 4), dtype=np.float32)
    rows[2, 1] = bad
    with pytest.raises(MeasurementError, match="first in row 2") as caught:
        accumulator.update(rows)
    assert f"1 of {4 * size} values" in caught.value.got
    assert_equal_moments(accumulator.moments(), Moments.of(good))


def test_huge_finite_values_are_no_false_alarm():
    accumulator = MomentsAccumulator(2)
    accumulator.update(np.full((4, 2), 3e38, dtype=np.float32))
    assert accumulator.moments().mean[0] == np.float32(3e38)


def test_squares_beyond_float64_are_an_error_with_a_remedy():
    accumulator = MomentsAccumulator(2)
    accumulator.update(np.array([[1e200, 0.0], [-1e200, 0.0]] * 40))
    with pytest.raises(MeasurementError, match="beyond 1e150"):
        accumulator.moments()


@pytest.mark.parametrize(
    "rows",
    [np.zeros((2, 3)), np.zeros(4), np.zeros((2, 4), dtype=np.float16), np.zeros((2, 4), dtype=np.int64)],
    ids=["other dimension", "vector", "half precision", "integers"],
)
def test_rows_of_another_shape_or_type_are_refused(rows):
    with pytest.raises(UsageError, match=r"\(N, 4\)"):
        MomentsAccumulator(4).update(rows)


def test_no_dimension_is_refused():
    with pytest.raises(UsageError, match="dim ≥ 1"):
        MomentsAccumulator(0)
