"""What happens to clean speech on the way: a quiet room, or a noisy telephone line."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from scipy.signal import butter, sosfilt

Waveform = NDArray[np.float64]
TELEPHONE_BAND = (300.0, 3400.0)  # Hz; ITU-T G.712 speech band


def with_noise(speech: Waveform, snr_db: float, rng: np.random.Generator, *, colour: float) -> Waveform:
    """Add noise of power spectrum 1/f^colour (0 white, 1 pink) at `snr_db` decibels below the speech."""
    length = next_fast_len(len(speech), real=True)  # a prime length would take ten times as long
    spectrum = np.fft.rfft(rng.standard_normal(length))
    frequency = np.arange(1, len(spectrum) + 1, dtype=np.float64)
    noise = np.fft.irfft(spectrum * frequency ** (-colour / 2), n=length)[: len(speech)]
    scale = np.sqrt(np.mean(speech**2) / np.mean(noise**2)) * 10 ** (-snr_db / 20)
    return np.asarray(speech + scale * noise)


def room(speech: Waveform, rng: np.random.Generator) -> Waveform:
    """Light degradation: pink noise 20 to 30 dB down, and a gain of ±6 dB."""
    noisy = with_noise(speech, float(rng.uniform(20, 30)), rng, colour=1.0)
    return np.asarray(noisy * 10 ** (rng.uniform(-6, 6) / 20))


def telephone(speech: Waveform, rng: np.random.Generator, *, rate: int) -> Waveform:
    """The telephone band, then white-to-pink noise 8 to 18 dB down."""
    band = butter(4, TELEPHONE_BAND, btype="band", fs=rate, output="sos")
    return with_noise(np.asarray(sosfilt(band, speech)), float(rng.uniform(8, 18)), rng, colour=0.5)
