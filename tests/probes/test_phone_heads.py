"""Many heads applied to frames together decide as each does alone."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from mlflow_rank.errors import UsageError
from mlflow_rank.probes.centroid import Centroid
from mlflow_rank.probes.fold_sums import FoldSums, fit_centroid
from mlflow_rank.probes.heads import HEADS
from mlflow_rank.probes.phone_heads import PhoneHeads, write_heads

DIM, CLASSES = 5, 4


def fitted(names, *, seed=0, mean=3.0, without=()):
    """One head for each name, each with items of its own; classes in `without` have none."""
    heads = []
    for number, name in enumerate(names):
        rng = np.random.default_rng([seed, number])
        labels = np.array([code for code in range(CLASSES) if code not in without] * 6)
        rows = rng.normal(size=(CLASSES, DIM))[labels] + 0.5 * rng.normal(size=(len(labels), DIM)) + mean
        groups = np.arange(len(labels)) // (len(labels) // 3)
        heads.append(HEADS[name].fit(rows.astype(np.float32), labels, groups, classes=CLASSES))
    return heads


def frames(count=40, seed=9, mean=3.0):
    return (np.random.default_rng(seed).normal(size=(count, DIM)) + mean).astype(np.float32)


@given(
    names=st.lists(st.sampled_from(["ridge", "centroid"]), min_size=1, max_size=6),
    seed=st.integers(0, 1000),
    without=st.sampled_from([(), (1,), (0, 3)]),
)
def test_together_they_decide_what_each_decides_alone(names, seed, without):
    heads, rows = fitted(names, seed=seed, without=without), frames(seed=seed)
    found = PhoneHeads.of(heads, [1] * len(heads), classes=CLASSES).decide(rows)
    assert found.shape == (len(heads), len(rows), CLASSES)
    assert found.dtype == np.float32
    for values, head in zip(found, heads, strict=True):
        np.testing.assert_allclose(values, head.decide(rows), rtol=1e-4, atol=2e-5)


def test_a_class_without_items_is_never_the_answer():
    heads = fitted(["centroid", "ridge"], without=(2,))
    far = np.concatenate([frames(200), -frames(200), 100 * frames(200)])
    found = PhoneHeads.of(heads, [1, 1], classes=CLASSES).decide(far)
    assert not (found[0].argmax(axis=1) == 2).any()


def test_a_frame_at_the_centre_has_cosines_of_zero_not_nan():
    (head,) = fitted(["centroid"], mean=0.0)
    heads = PhoneHeads.of([head], [1], classes=CLASSES)
    found = heads.decide(heads.centres[:1])
    np.testing.assert_array_equal(found, np.zeros((1, 1, CLASSES)))


def test_heads_come_back_from_their_file_layer_by_layer(tmp_path):
    layers = {
        0: PhoneHeads.of(fitted(["centroid", "ridge", "centroid"]), [1, 3, 5], classes=CLASSES),
        1: PhoneHeads.of(fitted(["ridge"], seed=1), [7], classes=CLASSES),
        10: PhoneHeads.of(fitted(["centroid"], seed=2, without=(1,)), [1], classes=CLASSES),
    }
    path = tmp_path / "heads.npz"
    write_heads(path, layers)
    for position, heads in layers.items():
        read = PhoneHeads.read(path, position)
        assert read.classes == CLASSES
        np.testing.assert_array_equal(read.windows, heads.windows)
        np.testing.assert_array_equal(read.decide(frames()), heads.decide(frames()))


def test_a_head_that_cannot_be_applied_to_streaming_frames_is_refused():
    with pytest.raises(UsageError) as raised:
        PhoneHeads.of(fitted(["ridge", "logistic"]), [1, 1], classes=CLASSES)
    assert raised.value.expected == "ridge or centroid for phones"


def test_the_centroids_of_streamed_folds_are_those_of_the_stacked_frames():
    rng = np.random.default_rng(4)
    labels = rng.choice([0, 1, 3], size=90)  # nobody speaks 2
    rows = (rng.normal(size=(CLASSES, DIM))[labels] + rng.normal(size=(90, DIM)) + 4).astype(np.float32)
    folds = []
    for part in np.array_split(np.arange(90), 3):
        folds.append(FoldSums(DIM, CLASSES))
        folds[-1].update(rows[part], labels[part], np.where(labels[part] == 1, 0.3, 2.0))
    stacked = Centroid().fit(rows, labels, np.repeat([0, 1, 2], 30), classes=CLASSES)
    found = fit_centroid([*folds, FoldSums(DIM, CLASSES)])
    np.testing.assert_allclose(found.decide(frames()), stacked.decide(frames()), atol=1e-6)
