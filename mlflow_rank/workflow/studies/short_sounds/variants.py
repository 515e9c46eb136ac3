"""The ways in which clips are heard: whole, cut, fewer, every n-th frame, in bursts of silence or noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.encoders.interface import Encoder
from mlflow_rank.errors import UsageError
from mlflow_rank.speech.clips import Bursts, in_bursts, in_noise, loudest
from mlflow_rank.studies.short_sounds.readings import Condition

Noises = Sequence[NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class SoundRequest:
    """Which conditions there are to be.

    `lengths` in seconds, `counts` of clips, `strides` in frames, `duties` as shares of the `window` (seconds) in one
    burst; `bursts` are further numbers of bursts and `ratios` signal-to-noise ratios in dB, both at the duty `busy`.
    `each` is the most clips of every condition but that of all whole clips; None for all.
    """

    lengths: tuple[float, ...] = (0.1, 0.2, 0.4, 0.8)
    counts: tuple[int, ...] = (50, 100, 200, 400)
    strides: tuple[int, ...] = (2, 5)
    duties: tuple[float, ...] = (0.1, 0.25, 0.5, 1.0)
    bursts: tuple[int, ...] = (4,)
    ratios: tuple[float, ...] = (10.0, 0.0)
    busy: float = 0.25
    window: float = 1.0
    each: int | None = 400

    def check(self, encoder: Encoder) -> None:
        """Refuse what cannot be heard before hours are spent.

        Raises:
            UsageError: a length or a window is below one frame, a number is out of its range, or comes twice.
        """
        shortest = encoder.minimum_samples / encoder.sampling_rate
        for name, values in asdict(self).items():
            several = list(values) if isinstance(values, tuple) else [values]
            if len(set(several)) < len(several):
                raise UsageError(f"a condition twice among the {name}", got=str(several), expected="each once")
        for seconds in (*self.lengths, self.window):
            if not seconds >= shortest:
                raise UsageError(
                    "a clip of this length gives no frame", got=f"{seconds:g} s", expected=f"{shortest:g} s or more"
                )
        counts = (*self.counts, *(() if self.each is None else (self.each,)))
        for what, whole, least in (("count of clips", counts, 2), ("frame stride", self.strides, 2)):
            if any(value < least for value in whole):
                raise UsageError(f"bad {what}", got=str(min(whole)), expected=f"{least} or more")
        if not all(np.isfinite(self.ratios)):
            raise UsageError("bad signal-to-noise ratio", got=str(self.ratios), expected="numbers of dB")
        for variant in self.variants():
            variant.bursts(encoder.sampling_rate)

    def variants(self) -> list[Variant]:
        """Return what is heard, whole clips first."""
        seconds = self.window
        whole = [Variant(Condition("whole", "whole clips", None))]
        cut = [Variant(Condition("length", f"at most {each:g} s", each), seconds=each) for each in sorted(self.lengths)]
        silence = [
            Variant(
                Condition(
                    "silence", f"{100 * each:g} % of {seconds:g} s" if each < 1 else f"{seconds:g} s, no gap", each
                ),
                seconds=seconds,
                duty=each,
            )
            for each in sorted(self.duties)
        ]
        several = [
            Variant(
                Condition("silence", f"{100 * self.busy:g} % in {each} bursts", self.busy),
                seconds=seconds,
                duty=self.busy,
                count=each,
            )
            for each in sorted(self.bursts)
        ]
        noise = [
            Variant(
                Condition("noise", f"{100 * self.busy:g} %, noise at {each:g} dB", each),
                seconds=seconds,
                duty=self.busy,
                snr=each,
            )
            for each in sorted(self.ratios, reverse=True)
        ]
        return [*whole, *cut, *silence, *several, *noise]


@dataclass(frozen=True, slots=True)
class Variant:
    """One form of every clip: `seconds` None leaves it whole, `duty` None cuts it, else it comes in bursts.

    `snr` None is silence between the bursts.
    """

    condition: Condition
    seconds: float | None = None
    duty: float | None = None
    count: int = 1
    snr: float | None = None

    def bursts(self, rate: int) -> Bursts | None:
        """Return how the sound comes and goes; None where it does not."""
        if self.seconds is None or self.duty is None:
            return None
        return Bursts(round(self.seconds * rate), self.duty, self.count)

    def of(
        self, wave: NDArray[np.float32], rate: int, noises: Noises, draw: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return this form of one clip; `draw` chooses a noise and where in it to begin."""
        if self.seconds is None:
            return wave
        bursts = self.bursts(rate)
        if bursts is None:
            return np.asarray(loudest(wave, round(self.seconds * rate)), dtype=np.float32)
        window = in_bursts(wave, bursts)
        if self.snr is not None:
            noise = noises[int(draw.integers(len(noises)))]
            bed = np.roll(noise, -int(draw.integers(len(noise))))[: len(window)]
            if not bed.any():  # a recording of noise may hold a silent stretch
                bed = np.asarray(loudest(noise, len(window)))
            window = in_noise(window, bursts, bed, self.snr)
        return np.asarray(window, dtype=np.float32)
