"""All frames of chosen utterances, in half precision on disk: for heads that need to see whole utterances again."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.encoders.block_moments import BlockFile
from mlflow_rank.encoders.interface import Encoder
from mlflow_rank.encoders.keeping import Kept
from mlflow_rank.encoders.listening import Listening
from mlflow_rank.errors import MeasurementError
from mlflow_rank.speech.utterance import Utterance

if TYPE_CHECKING:
    import torch

TOP = 14  # the largest number of an utterance is stored as 2^14 to 2^15: below float16's end at 65504 with room
PROBED = 2.0  # s of noise that show how many frames a second an encoder gives
HALF = np.dtype(np.float16).itemsize
BLOCK_BYTES = 64e6  # of frames in one block: it lies in memory until it is written
GB = 1e9


@dataclass(frozen=True, slots=True)
class StoredFrames:
    """Keep every frame of every layer of the utterances in `keys`, under a `name` of its own.

    Stored as float16 times a power of two for each utterance and layer, so that frames beyond 65504 do not overflow and
    tiny ones do not vanish: what is read differs by at most 2⁻¹¹ of each number, or 2⁻³⁹ of the utterance's largest.
    """

    name: str
    keys: frozenset[str]

    def identity(self) -> object:
        """Return form and utterances."""
        return [self.name, "float16", sorted(self.keys)]

    def wants(self, key: str) -> bool:
        """Return whether this utterance's frames are kept."""
        return key in self.keys

    def keeper(self, encoder: Encoder) -> _Store:
        """Return an empty keeper."""
        return _Store(self.name, [_LayerStore() for _ in encoder.layers])

    def lengths(self, files: Sequence[BlockFile], position: int) -> dict[str, int]:
        """Return how many frames one layer has of each utterance, by key."""
        return {
            key: int(length)
            for file in files
            for key, length in zip(*self._arrays(file, "keys", f"{position}/lengths"), strict=True)
        }

    def read(
        self, files: Sequence[BlockFile], position: int, wanted: Collection[str]
    ) -> dict[str, NDArray[np.float32]]:
        """Return the frames (T, D) of one layer of the `wanted` utterances, by key."""
        chosen = frozenset(wanted)
        return {key: frames for file in files for key, frames in self._frames(file, position) if key in chosen}

    def _frames(self, file: BlockFile, position: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
        names = ("keys", f"{position}/lengths", f"{position}/exponents", f"{position}/frames")
        keys, lengths, exponents, frames = self._arrays(file, *names)
        start = 0
        for key, length, exponent in zip(keys, lengths.tolist(), exponents.tolist(), strict=True):
            yield str(key), np.ldexp(frames[start : start + length].astype(np.float32), exponent)
            start += length

    def _arrays(self, file: BlockFile, *parts: str) -> list[NDArray[np.generic]]:
        kept = file.read_kept([f"{self.name}/{part}" for part in parts])
        return [kept.get(f"{self.name}/{part}", np.empty(0, np.int64)) for part in parts]


@dataclass(slots=True)
class _LayerStore:
    frames: list[NDArray[np.float16]] = field(default_factory=list)
    exponents: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Store:
    name: str
    layers: list[_LayerStore]
    keys: list[str] = field(default_factory=list)

    def add(self, utterance: Utterance, frames: Sequence[torch.Tensor], sums: Sequence[torch.Tensor]) -> None:
        for layer, each in zip(self.layers, frames, strict=True):
            halves, exponent = halved(each.float().cpu().numpy())
            layer.frames.append(halves)
            layer.exponents.append(exponent)
        self.keys.append(utterance.key)

    def arrays(self) -> Kept:
        if not self.keys:
            return {}
        kept: dict[str, NDArray[np.generic]] = {f"{self.name}/keys": np.array(self.keys)}
        for position, layer in enumerate(self.layers):
            kept[f"{self.name}/{position}/lengths"] = np.array([len(each) for each in layer.frames])
            kept[f"{self.name}/{position}/exponents"] = np.array(layer.exponents)
            kept[f"{self.name}/{position}/frames"] = np.concatenate(layer.frames)
        return kept


def halved(frames: NDArray[np.float32]) -> tuple[NDArray[np.float16], int]:
    """Return finite frames (T, D) as float16, and the power of two that they are to be multiplied by.

    >>> halves, exponent = halved(np.array([[3e5, 1.0]], dtype=np.float32))
    >>> halves.tolist(), exponent
    ([[18752.0, 0.0625]], 4)
    """
    largest = float(np.abs(frames).max(initial=0.0))
    exponent = int(np.frexp(largest)[1]) - 1 - TOP if largest else 0
    return np.ldexp(frames, -exponent).astype(np.float16), exponent


@dataclass(frozen=True, slots=True)
class StorageRate:
    """How many bytes of stored frames an encoder gives for a second of audio, all layers together."""

    bytes_a_second: float

    @classmethod
    def of(cls, encoder: Encoder) -> StorageRate:
        """Return the rate from the frames that the encoder gives for noise."""
        import torch

        samples = max(int(PROBED * encoder.sampling_rate), encoder.minimum_samples)
        samples = min(samples, encoder.maximum_samples or samples)
        noise = torch.randn(1, samples, generator=torch.Generator().manual_seed(0)) * 0.1
        numbers = sum(frames[0].numel() for frames in encoder.encode(noise))
        return cls(numbers * HALF * encoder.sampling_rate / samples)

    def bytes_for(self, utterances: Sequence[Utterance]) -> float:
        """Return how many bytes the frames of utterances take, to within a frame each."""
        return self.bytes_a_second * sum(each.duration for each in utterances)

    def runs(self, utterances: Sequence[Utterance], most: float = BLOCK_BYTES) -> Iterator[list[Utterance]]:
        """Yield the utterances in order, as many at a time as have at most so many bytes of frames, at least one."""
        run: list[Utterance] = []
        held = 0.0
        for each in utterances:
            size = self.bytes_for([each])
            if run and held + size > most:
                yield run
                run, held = [], 0.0
            run.append(each)
            held += size
        if run:
            yield run


def ensure_room(listenings: Sequence[Listening], rates: Sequence[StorageRate]) -> None:
    """Refuse frames that the disk cannot hold, before anything is heard.

    Args:
        listenings: prepared; blocks that an earlier run left need no more room.
        rates: of their encoders.

    Raises:
        MeasurementError: there is too little space; the error says how much there is, and how much is needed.
    """
    needed = sum(
        rate.bytes_for(block.utterances)
        for listening, rate in zip(listenings, rates, strict=True)
        for block in listening.waiting
    )
    for listening in listenings[:1]:
        directory = listening.cache.directory
        free = shutil.disk_usage(directory).free
        if free < needed:
            minutes = sum(block.seconds for block in listening.blocks) / 60
            layers = sum(len(each.encoder.layers) for each in listenings)
            raise MeasurementError(
                "no disk space for the frames that sequences are learned from",
                got=f"{free / GB:.2f} GB free at {directory.parent}",
                expected=f"{needed / GB:.2f} GB for {minutes:.0f} minutes: "
                f"{layers} layers of {len(listenings)} encoders in half precision",
                remedy="free some space, name another place with --cache or MLFLOW_RANK_CACHE, ask for fewer --layers, "
                "or label fewer utterances; phones with times need no such space",
            )
