from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from mlflow_rank.errors import UsageError
from mlflow_rank.probes.frame_clock import FrameClock
from mlflow_rank.probes.phone_frames import (
    choose_window,
    classified,
    decoded,
    frame_labels,
    reference,
    token_centres,
    with_silence,
)

RATE = 16_000
KERNELS, STRIDES = (10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)  # HuBERT's convolutions: 400 samples every 320
CLASSES = {"a": 0, "b": 1}

tilings = st.lists(st.tuples(st.sampled_from("abcx"), st.floats(0.001, 0.3)), min_size=1, max_size=20)


def tiled(pieces):
    ends = np.cumsum([length for _, length in pieces]).tolist()
    return [(symbol, start, end) for (symbol, _), start, end in zip(pieces, [0.0, *ends], ends, strict=False)]


def by_convolution(samples):
    """Return the exact centres, seconds: each convolution averages the places that its kernel covers."""
    places = np.arange(samples) + 0.5
    for kernel, stride in zip(KERNELS, STRIDES, strict=True):
        count = (len(places) - kernel) // stride + 1
        first = places[: count * stride : stride]
        places = (first + places[kernel - 1 : kernel - 1 + count * stride : stride][:count]) / 2
    return places / RATE


@given(samples=st.integers(400, 100_000))
def test_the_clock_from_lengths_is_that_of_the_convolutions(samples):
    exact = by_convolution(samples)
    heard = [(length, len(by_convolution(length))) for length in (160_000, 96_123, samples)]
    clock = FrameClock.of_convolutions(heard, field=400, rate=RATE)
    assert clock == FrameClock(first=0.0125, hop=0.02)
    np.testing.assert_allclose(clock.centres(len(exact)), exact, atol=1e-9)


def test_sharing_the_length_equally_is_off_by_less_than_two_frames_at_worst_and_a_quarter_on_average():
    errors = []
    for samples in range(16_000, 16_320, 7):
        exact = by_convolution(samples)
        shared = FrameClock.stretched(frames=len(exact), seconds=samples / RATE).centres(len(exact))
        errors.append(shared - exact)
    assert max(np.abs(each).max() for each in errors) == pytest.approx(0.022, abs=0.0005)
    assert np.mean([each.mean() for each in errors]) == pytest.approx(0.005, abs=0.0002)


@pytest.mark.parametrize(
    "lengths",
    [[(160_000, 500), (8_000, 25)], [(16_000, 49), (16_000, 48)], [(300, 1)], [(16_000, 0)]],
    ids=["padded", "contradiction", "shorter than the field", "no frames"],
)
def test_lengths_that_no_stride_explains_give_no_clock(lengths):
    assert FrameClock.of_convolutions(lengths, field=400, rate=RATE) is None


def test_one_second_alone_settles_the_stride_to_the_frame():
    clock = FrameClock.of_convolutions([(16_000, 49)], field=400, rate=RATE)
    assert np.abs(clock.centres(49) - by_convolution(16_000)).max() < 0.01


@given(tilings, st.integers(1, 100), st.floats(0.01, 3))
def test_every_frame_has_the_phone_that_sounds_at_its_centre(pieces, frames, seconds):
    phones = tiled(pieces)
    labels = frame_labels(phones, frames=frames, seconds=seconds, classes=CLASSES)
    for frame, label in enumerate(labels):
        centre = (seconds / frames) * frame + 0.5 * seconds / frames
        sounding = [symbol for symbol, start, end in phones if start <= centre < end]
        assert label == (CLASSES.get(sounding[0], -1) if sounding else -1)


@given(tilings, st.integers(1, 100), st.floats(0.01, 3))
def test_a_tokens_frame_lies_within_it_and_is_missing_only_where_none_does(pieces, frames, seconds):
    phones = tiled(pieces)
    centres = FrameClock.stretched(frames=frames, seconds=seconds).centres(frames)
    for (_, start, end), index in zip(phones, token_centres(phones, frames=frames, seconds=seconds), strict=True):
        inside = np.flatnonzero((start <= centres) & (centres < end))
        assert (index is None) == (inside.size == 0)
        if index is not None:
            middle = (start + end) / 2
            assert abs(centres[index] - middle) == pytest.approx(np.abs(centres[inside] - middle).min())


def test_silence_gaps_and_unknown_symbols_are_told_apart():
    phones = [("sil", 0.0, 0.02), ("a", 0.02, 0.04), ("x", 0.04, 0.06), ("b", 0.08, 0.1)]
    plain = frame_labels(phones, frames=6, seconds=0.12, classes=CLASSES)
    assert plain.tolist() == [-1, 0, -1, -1, 1, -1]
    full = with_silence(CLASSES, {"sil", ""})
    assert full == {"a": 0, "b": 1, "sil": 2, "": 2}
    assert frame_labels(phones, frames=6, seconds=0.12, classes=full, outside=2).tolist() == [2, 0, -1, 2, 1, 2]
    assert reference(phones, classes=full, silence=2) == [0, -1, 1]


def test_a_clock_moves_the_labels():
    phones = [("a", 0.0, 0.05), ("b", 0.05, 0.1)]
    late = FrameClock(first=0.04, hop=0.02)
    assert frame_labels(phones, frames=4, seconds=0.1, classes=CLASSES, clock=late).tolist() == [0, 1, 1, -1]
    assert token_centres(phones, frames=4, seconds=0.1, clock=late) == [0, 2]


def test_phones_without_length_label_nothing_and_hide_nothing():
    phones = [("a", 0.0, 0.1), ("b", 0.0, 0.0)]
    assert frame_labels(phones, frames=2, seconds=0.1, classes=CLASSES).tolist() == [0, 0]
    assert token_centres(phones, frames=2, seconds=0.1) == [0, None]
    assert frame_labels([], frames=2, seconds=0.1, classes=CLASSES, outside=2).tolist() == [2, 2]
    assert token_centres([], frames=2, seconds=0.1) == []


def test_the_best_phone_ignores_silence_and_the_decoded_class_does_not():
    values = np.array([[0.1, 0.2, 0.9], [0.5, 0.4, 0.3]])
    assert classified(values, phones=2).tolist() == [1, 0]
    assert decoded(values).tolist() == [2, 0]


def test_a_window_removes_a_single_frames_slip_and_is_chosen_only_where_it_helps():
    codes = np.array([0] * 6 + [1] + [0] * 5 + [1] * 6)
    slipping = np.eye(3)[codes]
    assert decoded(slipping).tolist() == codes.tolist()
    assert decoded(slipping, window=3).tolist() == [0] * 12 + [1] * 6

    def errors(frames, expected):
        return abs(1 + np.count_nonzero(np.diff(frames)) - len(expected))

    assert choose_window([slipping], [[0, 1]], errors=errors) == 3
    assert choose_window([np.eye(3)[[0, 0, 1, 1]]], [[0, 1]], errors=errors) == 1


def test_what_cannot_be_is_refused_with_what_was_given():
    with pytest.raises(UsageError, match="a symbol is a phone and silence") as caught:
        with_silence(CLASSES, {"b"})
    assert caught.value.got == "'b'"
    with pytest.raises(UsageError, match="phones out of order") as caught:
        frame_labels([("a", 0.2, 0.3), ("b", 0.1, 0.2)], frames=1, seconds=1, classes=CLASSES)
    assert caught.value.got == "('b', 0.1, 0.2) after ('a', 0.2, 0.3)"
    with pytest.raises(UsageError) as caught:
        token_centres([], frames=0, seconds=0.1)
    assert caught.value.got == "0 frames in 0.1 s"
    with pytest.raises(UsageError) as caught:
        decoded(np.zeros((2, 2)), window=2)
    assert caught.value.got == "2 frames"
