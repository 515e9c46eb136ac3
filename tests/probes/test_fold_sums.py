"""Frames that stream give the ridge of the stacked frames, from sums that merge like sets."""

import tracemalloc

import numpy as np
import pytest

from mlflow_rank.errors import MeasurementError, UsageError
from mlflow_rank.probes.fold_sums import FoldSums, fit_folds
from mlflow_rank.probes.penalties import PENALTIES
from mlflow_rank.probes.ridge import RidgePath


def frames(count: int, dim: int, classes: int, seed: int, mean: float = 5.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    centres = np.random.default_rng(99).normal(size=(classes, dim))
    rows = (centres[labels] + rng.normal(size=(count, dim))) * np.geomspace(1, 0.1, dim) + mean
    return rows.astype(np.float32), labels, rng.uniform(0.2, 3.0, count).astype(np.float32)


def summed(material, dim: int, classes: int, pieces: int = 1) -> FoldSums:
    sums = FoldSums(dim, classes)
    for part in zip(*(np.array_split(array, pieces) for array in material), strict=True):
        sums.update(*part)
    return sums


@pytest.mark.parametrize("count", [300, 12], ids=["more frames than dimensions", "fewer"])
def test_streamed_folds_equal_the_ridge_on_the_stacked_frames(count):
    dim, classes = 20 if count > 20 else 60, 4
    material = [frames(count + fold, dim, classes, seed=fold) for fold in range(4)]
    head = fit_folds([summed(each, dim, classes, pieces=3) for each in material])

    rows, labels, weights = (np.concatenate(parts).astype(np.float64) for parts in zip(*material, strict=True))
    labels = labels.astype(int)
    folds = np.repeat(np.arange(4), [len(each[1]) for each in material])
    path = RidgePath.of(rows, np.eye(classes)[labels], weights / weights.sum())
    errors = np.zeros(len(PENALTIES))
    for _, place, residuals in path.left_out(folds):
        errors[place] += np.square(residuals).sum()
    best = int(errors.argmin())
    stacked = path.head(best, held_out=None)
    assert head.penalty == PENALTIES[best]
    assert head.held_out is None
    np.testing.assert_allclose(head.weights, stacked.weights, rtol=0, atol=1e-8)
    np.testing.assert_allclose(head.decide(rows), stacked.decide(rows), rtol=0, atol=1e-8)


def test_a_held_out_error_from_sums_is_that_of_the_frames():
    rows, labels, weights = frames(200, 6, 3, seed=1)
    rng = np.random.default_rng(0)
    head, intercept = rng.normal(size=(6, 3)), rng.normal(size=3)
    decided = rows.astype(np.float64) @ head + intercept
    expected = (weights.astype(np.float64) * np.square(np.eye(3)[labels] - decided).sum(axis=1)).sum()
    sums = summed((rows, labels, weights), 6, 3).around(np.zeros(6))
    assert sums.squared_error(head, intercept) == pytest.approx(expected, rel=1e-9)


def assert_same(a: FoldSums, b: FoldSums):
    for name, array in a.to_arrays().items():
        np.testing.assert_allclose(array, b.to_arrays()[name], rtol=1e-9, atol=1e-9)


def test_merging_equals_hearing_all_in_any_order_and_pieces():
    one, other = frames(150, 8, 3, seed=1), frames(90, 8, 3, seed=2, mean=-4.0)
    both = summed(tuple(np.concatenate(pair) for pair in zip(one, other, strict=True)), 8, 3, pieces=7)
    a, b = summed(one, 8, 3), summed(other, 8, 3, pieces=5)
    assert_same(a.merge(b), both)
    assert_same(b.merge(a), both)
    assert_same(a.merge(FoldSums(8, 3)), a)
    assert_same(FoldSums(8, 3).merge(a), a)


def test_merged_sums_can_hear_more():
    one, other, third = (frames(50, 4, 3, seed=seed) for seed in range(3))
    grown = summed(one, 4, 3).merge(summed(other, 4, 3))
    grown.update(*third)
    assert_same(grown, summed(tuple(np.concatenate(parts) for parts in zip(one, other, third, strict=True)), 4, 3))


def test_stored_sums_come_back():
    sums = summed(frames(70, 5, 3, seed=4), 5, 3)
    assert_same(FoldSums.from_arrays(sums.to_arrays()), sums)
    assert FoldSums.from_arrays(FoldSums(5, 3).to_arrays()).weight == 0
    with pytest.raises(UsageError, match="without triangle"):
        FoldSums.from_arrays({k: v for k, v in sums.to_arrays().items() if k != "triangle"})


def test_frames_of_weight_zero_add_nothing_whatever_their_label():
    rows, labels, weights = frames(60, 4, 3, seed=0)
    silent = np.arange(60) % 3 == 0
    heard = summed((rows[~silent], labels[~silent], weights[~silent]), 4, 3)
    assert_same(summed((rows, np.where(silent, -1, labels), np.where(silent, 0.0, weights)), 4, 3), heard)


def test_memory_does_not_grow_with_the_frames():
    def peak(updates: int) -> int:
        material = frames(500, 64, 5, seed=0)
        sums = FoldSums(64, 5)
        tracemalloc.start()
        for _ in range(updates):
            sums.update(*material)
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(1)  # imports
    assert peak(40) < 1.2 * peak(2)


def test_a_large_mean_costs_no_precision():
    near, far = (
        [summed(frames(100, 6, 3, seed=fold, mean=0.0), 6, 3) for fold in range(3)],
        [FoldSums(6, 3) for _ in range(3)],
    )
    for fold, sums in enumerate(far):
        rows, labels, weights = frames(100, 6, 3, seed=fold, mean=0.0)
        sums.update(rows.astype(np.float64) + 1e6, labels, weights)
    rows = frames(50, 6, 3, seed=9, mean=0.0)[0].astype(np.float64)
    np.testing.assert_allclose(fit_folds(far).decide(rows + 1e6), fit_folds(near).decide(rows), atol=1e-6)


def test_one_fold_or_one_class_is_refused():
    sums = summed(frames(30, 4, 3, seed=0), 4, 3)
    with pytest.raises(MeasurementError, match="frames in 1 of 2 folds"):
        fit_folds([sums, FoldSums(4, 3)])
    rows, labels, weights = frames(30, 4, 3, seed=1)
    same = summed((rows, 0 * labels, weights), 4, 3)
    with pytest.raises(MeasurementError, match="one class"):
        fit_folds([same, same])


def test_frames_that_do_not_belong_are_refused_and_not_counted():
    sums = FoldSums(2, 2)
    good = np.ones((3, 2), dtype=np.float32), np.array([0, 1, 1]), np.ones(3)
    with pytest.raises(MeasurementError, match="not finite"):
        sums.update(np.full((3, 2), np.nan), *good[1:])
    with pytest.raises(UsageError, match="no class"):
        sums.update(good[0], np.array([0, 1, 2]), good[2])
    with pytest.raises(UsageError, match="weight is negative"):
        sums.update(*good[:2], np.array([1.0, 1.0, -1.0]))
    with pytest.raises(UsageError, match="do not belong here"):
        sums.update(np.ones((3, 3)), *good[1:])
    with pytest.raises(UsageError, match="cannot be merged"):
        sums.merge(FoldSums(2, 3))
    assert sums.weight == 0
