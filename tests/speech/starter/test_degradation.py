"""What degradation does to sound, against its definition."""

from __future__ import annotations

import numpy as np
import pytest

from mlflow_rank.speech.starter import degrade
from mlflow_rank.speech.starter.sounds import KINDS, make_sound

RATE = 16_000


def speechlike(seconds: float = 2.0) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(round(seconds * RATE))


@pytest.mark.parametrize("snr", [0.0, 10.0, 25.0])
def test_noise_lies_as_far_below_the_speech_as_asked(snr):
    speech = speechlike()
    noise = degrade.with_noise(speech, snr, np.random.default_rng(1), colour=1.0) - speech
    assert 10 * np.log10(np.mean(speech**2) / np.mean(noise**2)) == pytest.approx(snr, abs=1e-6)


def test_the_telephone_keeps_its_band_and_little_else():
    speech = speechlike()
    heard = degrade.telephone(speech, np.random.default_rng(2), rate=RATE)
    power = np.abs(np.fft.rfft(heard)) ** 2
    frequency = np.fft.rfftfreq(len(heard), 1 / RATE)
    inside = (frequency > 500) & (frequency < 3000)
    outside = (frequency > 5000) | (frequency < 100)
    assert power[inside].mean() > 5 * power[outside].mean()


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_sound_is_reproducible_differs_between_takes_and_devices_and_stays_in_range(kind):
    one = make_sound(kind, 0, 0, rate=RATE, seed=3)
    assert np.array_equal(one, make_sound(kind, 0, 0, rate=RATE, seed=3))
    for other in (make_sound(kind, 0, 1, rate=RATE, seed=3), make_sound(kind, 1, 0, rate=RATE, seed=3)):
        assert len(other) != len(one) or not np.array_equal(other, one)
    assert np.isfinite(one).all()
    assert np.abs(one).max() == pytest.approx(0.5)


def test_a_sweep_up_rises_and_a_sweep_down_falls():
    def pitch(wave: np.ndarray) -> float:
        power = np.abs(np.fft.rfft(wave * np.hanning(len(wave)))) ** 2
        return float((np.fft.rfftfreq(len(wave), 1 / RATE) * power).sum() / power.sum())

    for device in range(3):
        up, down = (make_sound(kind, device, 0, rate=RATE, seed=0) for kind in ("sweep_up", "sweep_down"))
        assert pitch(up[: len(up) // 3]) < pitch(up[-len(up) // 3 :])
        assert pitch(down[: len(down) // 3]) > pitch(down[-len(down) // 3 :])
