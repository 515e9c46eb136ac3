"""What trained phone probes call every frame of the test utterances, as it streams by: no frame is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.encoders.block_moments import BlockFile
from mlflow_rank.encoders.interface import Encoder
from mlflow_rank.encoders.keeping import Kept
from mlflow_rank.probes.frame_clock import FrameClock
from mlflow_rank.probes.phone_frames import Timed, classified, decoded, frame_labels
from mlflow_rank.probes.phone_heads import PhoneHeads
from mlflow_rank.probes.refusals import RefusedError
from mlflow_rank.speech.utterance import Utterance

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Answers:
    """What H heads on one layer made of the test utterances.

    `truth` (N,) are the frames' codes, −1 for silence and unknown symbols; `classified` (N, H) the best phone of each
    frame and `decoded` (N, H) the best class, silence included, after smoothing. `frames` (n,) says how many of the
    frames each of the utterances `keys` has.
    """

    keys: tuple[str, ...]
    frames: NDArray[np.int64]
    truth: NDArray[np.int64]
    classified: NDArray[np.uint16]
    decoded: NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class PhoneAnswers:
    """Keep what the heads in the file `heads` (with its `digest`) call the frames of the utterances in `phones`."""

    name: str
    phones: Mapping[str, tuple[Timed, ...]]
    codes: Mapping[str, int]
    heads: Path
    digest: str
    clock: FrameClock | None

    def identity(self) -> object:
        """Return heads and labelled utterances: with other labels the truth is another."""
        clock = None if self.clock is None else [self.clock.first, self.clock.hop]
        phones = sorted((key, list(map(list, value))) for key, value in self.phones.items())
        return [self.name, self.digest, phones, dict(self.codes), clock]

    def wants(self, key: str) -> bool:
        """Return whether the utterance is tested."""
        return key in self.phones

    def keeper(self, encoder: Encoder) -> _Listener:
        """Return an empty keeper with the heads loaded."""
        heads = [PhoneHeads.read(self.heads, position) for position in range(len(encoder.layers))]
        return _Listener(self, heads, [[] for _ in heads], [[] for _ in heads])

    def read(self, files: Sequence[BlockFile], position: int) -> Answers:
        """Return the answers of one layer from the files of a pass.

        Raises:
            RefusedError: none of the utterances could be heard.
        """
        names = ("keys", "frames", "truth", f"{position}/classified", f"{position}/decoded")
        full = [f"{self.name}/{name}" for name in names]
        kept = [stored for file in files if (stored := file.read_kept(full))]
        if not kept:
            raise RefusedError("none of the utterances to test could be heard", remedy="see why they were skipped")
        keys, frames, truth, best, spelt = (np.concatenate([stored[name] for stored in kept]) for name in full)
        return Answers(tuple(map(str, keys)), frames.astype(np.int64), truth.astype(np.int64), best, spelt)


@dataclass(slots=True)
class _Listener:
    wish: PhoneAnswers
    heads: list[PhoneHeads]
    best: list[list[NDArray[np.uint16]]]
    spelt: list[list[NDArray[np.uint16]]]
    keys: list[str] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    truth: list[NDArray[np.int64]] = field(default_factory=list)

    def add(self, utterance: Utterance, frames: Sequence[torch.Tensor], sums: Sequence[torch.Tensor]) -> None:
        wish, count = self.wish, len(frames[0])
        silence = len(wish.codes) - 1
        labels = frame_labels(
            wish.phones[utterance.key],
            frames=count,
            seconds=utterance.duration,
            classes=wish.codes,
            outside=silence,
            clock=wish.clock,
        )
        self.keys.append(utterance.key)
        self.frames.append(count)
        self.truth.append(np.where(labels == silence, -1, labels))
        for position, (heads, layer) in enumerate(zip(self.heads, frames, strict=True)):
            values = heads.decide(layer.float().cpu().numpy())  # (H, T, C + 1)
            best = [classified(each, phones=silence) for each in values]
            spelt = [decoded(each, window=int(width)) for each, width in zip(values, heads.windows, strict=True)]
            self.best[position].append(np.stack(best, axis=1).astype(np.uint16))
            self.spelt[position].append(np.stack(spelt, axis=1).astype(np.uint16))

    def arrays(self) -> Kept:
        name = self.wish.name
        if not self.keys:
            return {}
        kept: dict[str, NDArray[np.generic]] = {
            f"{name}/keys": np.array(self.keys),
            f"{name}/frames": np.array(self.frames),
            f"{name}/truth": np.concatenate(self.truth),
        }
        for position, (best, spelt) in enumerate(zip(self.best, self.spelt, strict=True)):
            kept[f"{name}/{position}/classified"] = np.concatenate(best)
            kept[f"{name}/{position}/decoded"] = np.concatenate(spelt)
        return kept
