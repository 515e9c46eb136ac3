"""When an encoder's frames happen: the time of each frame's centre in the utterance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.errors import UsageError


@dataclass(frozen=True, slots=True)
class FrameClock:
    """Frames at equal distances: frame t has its centre `first` + t·`hop` seconds after the utterance's start.

    >>> FrameClock.stretched(frames=4, seconds=0.5).centres(4).tolist()
    [0.0625, 0.1875, 0.3125, 0.4375]
    """

    first: float
    hop: float

    def centres(self, frames: int) -> NDArray[np.float64]:
        """Return the centres of the first `frames` frames, seconds."""
        return self.first + self.hop * np.arange(frames, dtype=np.float64)

    @classmethod
    def stretched(cls, *, frames: int, seconds: float) -> FrameClock:
        """Share an utterance's length equally among its frames: (t + 0.5)·`seconds`/`frames`.

        Needs to know nothing of the encoder, and is exact where frames tile the audio. Convolutions without padding
        leave up to a hop and the width of their receptive field unused: for HuBERT's 400 samples every 320 it is late
        by 5 ms on average, and by up to 22 ms at the end of an utterance. Where that matters, use `of_convolutions`.

        Raises:
            UsageError: no frames, or no length.
        """
        if frames < 1 or not seconds > 0:
            raise UsageError(
                "no frames to place in time", got=f"{frames} frames in {seconds:g} s", expected="at least 1"
            )
        return cls(first=0.5 * seconds / frames, hop=seconds / frames)

    @classmethod
    def of_convolutions(cls, lengths: Iterable[tuple[int, int]], *, field: int, rate: int) -> FrameClock | None:
        """Return the clock of an encoder whose frames are convolutions without padding, from the lengths it gave.

        Frame t then sees samples t·stride to t·stride + field, and S samples give ⌊(S − field)/stride⌋ + 1 frames.
        The stride is the one whole number that explains every pair; from several that do, the middle one.

        Args:
            lengths: pairs of samples and frames; some seconds of audio settle the stride.
            field: the shortest waveform that gives one frame, samples.
            rate: samples per second.

        Returns:
            None where no stride explains the lengths: the encoder pads, or resamples in time.
        """
        smallest, largest = 1, field  # a stride beyond the field would leave samples unheard
        for samples, frames in lengths:
            unused = samples - field
            if frames < 1 or unused < 0:
                return None
            smallest = max(smallest, unused // frames + 1)
            if frames > 1:
                largest = min(largest, unused // (frames - 1))
        if smallest > largest:
            return None
        return cls(first=0.5 * field / rate, hop=(smallest + largest) // 2 / rate)
