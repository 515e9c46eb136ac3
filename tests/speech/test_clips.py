from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_rank.errors import UsageError
from mlflow_rank.speech.clips import Bursts, filled, in_bursts, in_noise, loudest

RATE = 2_000
lengths = st.integers(1, 3000)


def noise(samples: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=samples) * 0.1


@given(lengths, lengths, st.integers(0, 99))
def test_a_cut_clip_has_the_length_asked_for_and_no_stretch_as_long_is_louder(length, samples, seed):
    wave = noise(length, seed)
    part = loudest(wave, samples)
    assert len(part) == min(length, samples)
    windows = np.lib.stride_tricks.sliding_window_view(wave, len(part))
    assert (part**2).sum() == pytest.approx((windows**2).sum(axis=1).max())
    assert any((window == part).all() for window in windows)


@given(lengths, lengths)
def test_a_short_sound_fills_any_length_by_coming_again(length, samples):
    wave = noise(length, 0)
    full = filled(wave, samples)
    assert len(full) == samples
    if length < samples:
        assert (full == wave[np.arange(samples) % length]).all()


@given(st.integers(200, 4000), st.floats(0.05, 1.0), st.integers(1, 8), st.integers(1, 500))
def test_the_share_of_sound_is_exactly_the_duty_in_bursts_that_do_not_overlap(samples, duty, count, length):
    bursts = Bursts(samples, duty, count)
    window = in_bursts(np.ones(length), bursts)
    assert len(window) == samples
    assert window.sum() == round(duty * samples)
    edges = [edge for span in bursts.spans for edge in span]
    assert edges == sorted(edges)
    assert (edges[0] >= 0, edges[-1] <= samples) == (True, True)
    lengths = [end - start for start, end in bursts.spans]
    assert max(lengths) - min(lengths) <= 1


@given(st.floats(-20, 40), st.floats(0.1, 1.0), st.integers(1, 4), st.integers(0, 20))
def test_the_ratio_of_sound_to_noise_is_what_was_asked_for(snr, duty, count, seed):
    bursts = Bursts(RATE, duty, count)
    window = in_bursts(noise(RATE // 3, seed), bursts)
    mixed = in_noise(window, bursts, noise(700, seed + 100), snr)
    assert np.abs(mixed).max() <= 1 + 1e-12
    bed = np.resize(noise(700, seed + 100), RATE)
    sound_gain, bed_gain = np.linalg.lstsq(np.stack([window, bed], axis=1), mixed, rcond=None)[0]
    sounding = np.concatenate([window[start:end] for start, end in bursts.spans])
    found = 10 * np.log10(np.mean((sound_gain * sounding) ** 2) / np.mean((bed_gain * bed) ** 2))
    assert found == pytest.approx(snr, abs=0.1)


def test_silence_has_no_ratio_to_noise():
    bursts = Bursts(100, 0.5)
    with pytest.raises(UsageError, match="silence") as raised:
        in_noise(np.zeros(100), bursts, noise(10, 0), 10.0)
    assert raised.value.got == "a silent sound"
    with pytest.raises(UsageError) as raised:
        in_noise(np.ones(100), bursts, np.zeros(10), 10.0)
    assert raised.value.got == "silent noise"


@pytest.mark.parametrize(
    ("samples", "duty", "count"), [(0, 0.5, 1), (100, 0.0, 1), (100, 1.1, 1), (100, 0.5, 0), (100, 0.02, 3)]
)
def test_windows_that_cannot_be_are_refused(samples, duty, count):
    with pytest.raises(UsageError, match="bad "):
        Bursts(samples, duty, count)
