"""One pass over one block: each utterance is decoded, heard once, and leaves moments and what else was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.encoders.block_moments import BlockMoments, Place
from mlflow_rank.encoders.device_moments import DeviceMoments
from mlflow_rank.encoders.freed_memory import MOST_KEPT, WORTH_GIVING_BACK, give_back_memory
from mlflow_rank.encoders.interface import Encoder, Layer
from mlflow_rank.encoders.interruption import finishing_first
from mlflow_rank.encoders.keeping import Keeper, Keeping
from mlflow_rank.errors import MeasurementError
from mlflow_rank.spectra import MomentsAccumulator
from mlflow_rank.speech.decoding import decode
from mlflow_rank.speech.skips import UnusableAudio
from mlflow_rank.speech.utterance import SkipCause, Skipped, Utterance

if TYPE_CHECKING:
    import torch

BATCH_WINDOW = 64  # utterances decoded ahead on a GPU, to find equal lengths among them
BATCH_SECONDS = 160.0  # audio in one GPU batch at most: about 4 GB of activations for a model of HuBERT-base size


@dataclass(frozen=True, slots=True)
class Protocol:
    """How frames become rows: levels, every n-th frame at frame level, and which channel is heard.

    Utterance levels always pool all frames: pooling costs next to nothing.
    """

    levels: tuple[str, ...]
    frame_stride: int = 1
    channel: str | int = "mix"


@dataclass(slots=True)
class Extraction:
    """A block while it is heard; `so_far` may be taken at any time, also after an interruption between utterances."""

    encoder: Encoder
    protocol: Protocol
    keepings: tuple[Keeping, ...] = ()
    _keepers: list[Keeper] = field(default_factory=list)
    _accumulators: dict[Place, MomentsAccumulator | DeviceMoments] = field(default_factory=dict)
    _digests: dict[str, str] = field(default_factory=dict)
    _seconds: dict[str, float] = field(default_factory=dict)
    _speakers: dict[str, str | None] = field(default_factory=dict)
    _skipped: list[Skipped] = field(default_factory=list)

    def __post_init__(self) -> None:
        on_gpu = self.encoder.device == "cuda"
        for position, layer in enumerate(self.encoder.layers):
            for level in self.protocol.levels:
                frames_on_gpu = on_gpu and level == "frame"
                accumulator = DeviceMoments(layer.dim) if frames_on_gpu else MomentsAccumulator(layer.dim)
                self._accumulators[position, level] = accumulator
        self._keepers = [keeping.keeper(self.encoder) for keeping in self.keepings]

    def hear(self, utterances: Sequence[Utterance], *, after: Callable[[Utterance], None]) -> None:
        """Take all utterances in; `after` is called with each one, used or skipped.

        Raises:
            MeasurementError: the encoder returns NaN or infinity; names the layer and the utterance.
        """
        freed: list[int] = []  # bytes of frames of each utterance since memory was given back
        for batch in self._batches(utterances, after):
            if self.encoder.device == "cpu" and (sum(freed) >= WORTH_GIVING_BACK or len(freed) == MOST_KEPT):
                give_back_memory()
                freed.clear()
            freed.append(self._encode(batch))
            for utterance, _, _ in batch:
                after(utterance)

    def so_far(self) -> BlockMoments:
        """Return the moments of everything heard until now."""
        return BlockMoments(
            states={place: accumulator.state() for place, accumulator in self._accumulators.items()},
            content_digests=dict(self._digests),
            seconds=dict(self._seconds),
            speakers=dict(self._speakers),
            skipped=tuple(self._skipped),
            kept={name: array for keeper in self._keepers for name, array in keeper.arrays().items()},
        )

    def _batches(
        self, utterances: Sequence[Utterance], after: Callable[[Utterance], None]
    ) -> Iterator[list[tuple[Utterance, NDArray[np.float32], str]]]:
        """Yield decoded utterances of equal length together on a GPU, one by one elsewhere; never padded."""
        window = BATCH_WINDOW if self.encoder.device == "cuda" else 1
        for start in range(0, len(utterances), window):
            decoded = []
            for utterance in utterances[start : start + window]:
                try:
                    decoded.append((utterance, *self._decode(utterance)))
                except UnusableAudio as unusable:
                    self._skipped.append(unusable.skipped(utterance.key))
                    after(utterance)
            decoded.sort(key=lambda item: (len(item[1]), item[0].key))
            for length, equal in groupby(decoded, key=lambda item: len(item[1])):
                most = max(1, int(BATCH_SECONDS * self.encoder.sampling_rate / length))
                batch = list(equal)
                for first in range(0, len(batch), most):
                    yield batch[first : first + most]

    def _decode(self, utterance: Utterance) -> tuple[NDArray[np.float32], str]:
        rate = self.encoder.sampling_rate
        audio = decode(utterance, rate=rate, channel=self.protocol.channel)
        count, shortest, longest = len(audio.samples), self.encoder.minimum_samples, self.encoder.maximum_samples
        if count < shortest:
            detail = f"{count / rate:.3f} s, too short for one frame ({shortest / rate:.3f} s)"
            raise UnusableAudio(SkipCause.TOO_SHORT, detail)
        if longest is not None and count > longest:
            detail = f"{count / rate:.1f} s, longer than this encoder hears ({longest / rate:g} s)"
            raise UnusableAudio(SkipCause.TOO_LONG, detail)
        return audio.samples, audio.content_digest

    def _encode(self, batch: Sequence[tuple[Utterance, NDArray[np.float32], str]]) -> int:
        """Add the batch, and return how many bytes of frames it gave."""
        import torch

        waveforms = torch.from_numpy(np.stack([samples for _, samples, _ in batch]))
        per_layer = self.encoder.encode(waveforms)
        sums = [frames.sum(1, dtype=torch.float64) for frames in per_layer]
        # A NaN shows in the sum. Checked before anything is added, so that it never leaves half an utterance.
        for layer, frames, total in zip(self.encoder.layers, per_layer, sums, strict=True):
            if not torch.isfinite(total).all():
                raise _not_finite(layer, frames, [utterance for utterance, _, _ in batch])
        with finishing_first():
            for position, (frames, total) in enumerate(zip(per_layer, sums, strict=True)):
                for row in range(len(batch)):
                    self._add(position, frames[row], total[row])
            for row, (utterance, samples, digest) in enumerate(batch):
                for keeping, keeper in zip(self.keepings, self._keepers, strict=True):
                    if keeping.wants(utterance.key):
                        keeper.add(utterance, [frames[row] for frames in per_layer], [total[row] for total in sums])
                self._digests[utterance.key] = digest
                self._seconds[utterance.key] = len(samples) / self.encoder.sampling_rate
                self._speakers[utterance.key] = utterance.speaker
        return sum(frames.nbytes for frames in per_layer)

    def _add(self, position: int, frames: torch.Tensor, total: torch.Tensor) -> None:
        """Add the frames (N, D) of one utterance and layer, whose sum (D,) is `total`, at every level."""
        for level in self.protocol.levels:
            accumulator = self._accumulators[position, level]
            if level == "frame":
                rows = frames[:: self.protocol.frame_stride]
            else:
                rows = (total / len(frames) if level == "utterance" else total)[None]
            if isinstance(accumulator, DeviceMoments):
                accumulator.update(rows)
            else:
                accumulator.update(rows.cpu().numpy())


def _not_finite(layer: Layer, frames: torch.Tensor, utterances: Sequence[Utterance]) -> MeasurementError:
    import torch

    bad = [each.key for each, rows in zip(utterances, frames, strict=True) if not torch.isfinite(rows).all()]
    return MeasurementError(
        f"the encoder returns NaN or infinity in layer {layer.index} ({layer.name})",
        got=f"for utterance {', '.join(bad) or 'sums beyond float32'}",
        expected="finite frames",
        remedy="check the weights, and the dtype if it is not float32; listen to that utterance",
    )
