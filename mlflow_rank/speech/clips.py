"""Other forms of a short sound: a part of it, and bursts of it within a longer stretch of silence or noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.errors import UsageError

Wave = NDArray[np.floating]


def loudest(wave: Wave, samples: int) -> Wave:
    """Return the stretch of so many samples with the most energy; all of a wave that is not longer.

    Cut, never padded: what a detector that triggers on loudness would hand on. Of equal stretches the first.

    >>> loudest(np.array([0.0, 0.1, -0.9, 0.5, 0.0]), 2).tolist()
    [-0.9, 0.5]
    """
    _require(samples >= 1, "number of samples", samples, "1 or more")
    if len(wave) <= samples:
        return wave
    energy = np.concatenate([[0.0], np.cumsum(np.square(wave, dtype=np.float64))])
    start = int(np.argmax(energy[samples:] - energy[:-samples]))
    return wave[start : start + samples]


def filled(wave: Wave, samples: int) -> Wave:
    """Return exactly so many samples: the loudest stretch of the wave, or the wave again and again.

    >>> filled(np.array([1.0, 2.0]), 5).tolist()
    [1.0, 2.0, 1.0, 2.0, 1.0]
    """
    part = loudest(wave, samples)
    return part if len(part) == samples else np.resize(part, samples)


@dataclass(frozen=True, slots=True)
class Bursts:
    """How a sound comes and goes within a window.

    `samples` is the length of the window, `duty` the share of it that is sound, in (0, 1], `count` how many bursts the
    sound comes in, each in the middle of its slot of the window.

    Raises:
        UsageError: a value outside its range, or more bursts than samples of sound.
    """

    samples: int
    duty: float
    count: int = 1

    def __post_init__(self) -> None:
        _require(self.samples >= 1, "length of the window", self.samples, "1 sample or more")
        _require(0.0 < self.duty <= 1.0, "duty", self.duty, "above 0, at most 1")
        _require(1 <= self.count <= self.sounding, "number of bursts", self.count, "1 or more, of a sample or more")

    @property
    def sounding(self) -> int:
        """How many samples of the window are sound."""
        return round(self.duty * self.samples)

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """First sample of each burst, and the sample after its last; together they are `sounding` samples."""
        spans = []
        for number in range(self.count):
            slot_start, slot_end = (self.samples * edge // self.count for edge in (number, number + 1))
            before, after = (self.sounding * edge // self.count for edge in (number, number + 1))
            start = slot_start + (slot_end - slot_start - (after - before)) // 2
            spans.append((start, start + after - before))
        return tuple(spans)


def in_bursts(wave: Wave, bursts: Bursts) -> Wave:
    """Return the window: the sound in every burst, silence between them. A burst longer than the sound repeats it.

    >>> in_bursts(np.array([1.0, 2.0, 3.0]), Bursts(samples=8, duty=0.5, count=2)).tolist()
    [0.0, 2.0, 3.0, 0.0, 0.0, 2.0, 3.0, 0.0]
    """
    window = np.zeros(bursts.samples, dtype=wave.dtype)
    for start, end in bursts.spans:
        window[start:end] = filled(wave, end - start)
    return window


def in_noise(window: Wave, bursts: Bursts, noise: Wave, snr: float) -> Wave:
    """Return a window of bursts with noise throughout.

    Args:
        window: as `in_bursts` makes it.
        bursts: where in it the sound is.
        noise: any length; repeated from its start to fill the window.
        snr: in dB, of the sound's power within its bursts over the noise's power within the whole window.

    Returns:
        The sum; turned down as a whole where it would pass full scale, which leaves the ratio as it is.

    Raises:
        UsageError: the sound or the noise is silent.
    """
    bed = np.resize(noise, len(window)).astype(np.float64)
    sounding = np.concatenate([window[start:end] for start, end in bursts.spans])
    power, bed_power = _power(sounding), _power(bed)
    if not power > 0 or not bed_power > 0:
        raise UsageError(
            "silence has no ratio to noise",
            got="a silent sound" if not power > 0 else "silent noise",
            expected="both to be heard",
        )
    mixed = window + bed * np.sqrt(power / bed_power) * 10 ** (-snr / 20)
    return np.asarray(mixed / max(1.0, float(np.abs(mixed).max())), dtype=window.dtype)


def _power(wave: Wave) -> float:
    return float(np.mean(np.square(wave, dtype=np.float64)))


def _require(holds: bool, what: str, got: float, expected: str) -> None:
    if not holds:
        raise UsageError(f"bad {what}", got=f"{got:g}", expected=expected)
