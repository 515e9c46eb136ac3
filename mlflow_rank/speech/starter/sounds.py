"""Short alarm and machine sounds: eight kinds, made from formulas, each varied by device and by take."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

Sound = NDArray[np.float64]


def _seconds(duration: float, rate: int) -> Sound:
    return np.arange(round(duration * rate)) / rate


def _tone(t: Sound, pitch: float, rng: np.random.Generator) -> Sound:
    """A steady beep with a little second harmonic."""
    return np.asarray(np.sin(2 * np.pi * pitch * t) + rng.uniform(0.1, 0.4) * np.sin(4 * np.pi * pitch * t))


def _two_tone(t: Sound, pitch: float, rng: np.random.Generator) -> Sound:
    """A siren that alternates between two pitches."""
    high = (t * rng.uniform(6, 14)) % 1 < 0.5
    phase = np.cumsum(np.where(high, pitch, pitch * 0.75)) * (t[1] - t[0] if len(t) > 1 else 0)
    return np.asarray(np.sin(2 * np.pi * phase))


def _sweep_up(t: Sound, pitch: float, rng: np.random.Generator) -> Sound:
    """A pitch rising by one to two octaves."""
    length = t[-1] if len(t) > 1 else 1.0
    octaves = rng.uniform(1, 2)
    cycles = pitch * length / (octaves * np.log(2)) * (2 ** (octaves * t / length) - 1) / 2
    return np.asarray(np.sin(2 * np.pi * cycles))


def _sweep_down(t: Sound, pitch: float, rng: np.random.Generator) -> Sound:
    """A pitch falling by one to two octaves."""
    return _sweep_up(t, pitch, rng)[::-1].copy()


def _burst(t: Sound, pitch: float, rng: np.random.Generator) -> Sound:
    """Air let out: noise that decays."""
    return rng.standard_normal(len(t)) * np.exp(-t * rng.uniform(8, 20))


def _rattle(t: Sound, pitch: float, rng: np.random.Generator) -> Sound:
    """Loose parts: short ringing clicks at irregular moments."""
    sound = np.zeros(len(t))
    for start in np.flatnonzero(rng.random(len(t)) < rng.uniform(25, 45) * (t[1] - t[0] if len(t) > 1 else 0)):
        ring = t[: len(t) - start]
        sound[start:] += np.exp(-ring * 180) * np.sin(2 * np.pi * pitch * 2 * ring)
    return sound


def _hum(t: Sound, pitch: float, rng: np.random.Generator) -> Sound:
    """A motor: many harmonics of a low pitch over a bed of noise."""
    low = pitch / 12
    harmonics = sum(np.sin(2 * np.pi * low * k * t + rng.uniform(0, 6.28)) / k for k in range(1, 13))
    return np.asarray(harmonics) + 0.2 * rng.standard_normal(len(t))


def _click_train(t: Sound, pitch: float, rng: np.random.Generator) -> Sound:
    """A ratchet: ringing clicks at a regular beat."""
    beat = rng.uniform(18, 32)
    since = (t * beat) % 1 / beat
    return np.exp(-since * 250) * np.sin(2 * np.pi * pitch * 1.5 * since)


KINDS: dict[str, Callable[[Sound, float, np.random.Generator], Sound]] = {
    "tone": _tone,
    "two_tone": _two_tone,
    "sweep_up": _sweep_up,
    "sweep_down": _sweep_down,
    "burst": _burst,
    "rattle": _rattle,
    "hum": _hum,
    "click_train": _click_train,
}
ALARMS = frozenset({"tone", "two_tone", "sweep_up", "sweep_down"})  # the other kinds are machine noise


def make_sound(kind: str, device: int, take: int, *, rate: int, seed: int) -> Sound:
    """Return one sound of 0.1 to 1 s, float64 of shape (n,), peak 0.5, at `rate` Hz.

    The device fixes pitch and timbre (a resonance); the take varies length, detail and background noise.

    >>> len(make_sound("tone", device=0, take=0, rate=16000, seed=1)) >= 1600
    True
    """
    order = list(KINDS).index(kind)
    of_device = np.random.default_rng((seed, order, device))
    of_take = np.random.default_rng((seed, order, device, take))
    pitch = float(of_device.uniform(500, 1500))  # Hz; where alarms and the voice band lie
    resonance = float(of_device.uniform(600, 3500))
    t = _seconds(float(of_take.uniform(0.1, 1.0)), rate)
    sound = KINDS[kind](t, pitch * float(of_take.uniform(0.97, 1.03)), of_take)
    peak = butter(2, [resonance * 0.7, min(resonance * 1.4, rate * 0.45)], btype="band", fs=rate, output="sos")
    sound = sound / (np.abs(sound).max() + 1e-9) + 0.5 * sosfilt(peak, sound) / (np.abs(sound).max() + 1e-9)
    fade = np.minimum(1, np.minimum(t, t[::-1]) / 0.005)  # 5 ms, so that no edge clicks
    sound = sound * fade
    sound = sound + float(of_take.uniform(0.003, 0.03)) * np.abs(sound).max() * of_take.standard_normal(len(t))
    return np.asarray(0.5 * sound / np.abs(sound).max())
