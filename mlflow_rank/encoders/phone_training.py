"""What phone probes learn from, as it streams by: sums of every fold, frames of the drawn phones, a few utterances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.encoders.block_moments import BlockFile
from mlflow_rank.encoders.interface import Encoder
from mlflow_rank.encoders.keeping import Kept
from mlflow_rank.probes.fold_sums import FoldSums
from mlflow_rank.probes.frame_clock import FrameClock
from mlflow_rank.probes.phone_frames import Timed, frame_labels, token_centres
from mlflow_rank.speech.utterance import Utterance

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class PhoneTraining:
    """Keep what phone probes need of the utterances in `phones` (by key), whose blocks are the folds.

    For every layer: the sums of all frames, weighted by `weights` of their class; the frame at the centre of each phone
    in `tokens` (places in `phones`, by key); and all frames of the utterances in `whole`. `codes` are class codes,
    silence the last; `clock` says when frames happen, None shares the time equally among them.
    """

    name: str
    phones: Mapping[str, tuple[Timed, ...]]
    codes: Mapping[str, int]
    weights: tuple[float, ...]
    tokens: Mapping[str, tuple[int, ...]]
    whole: frozenset[str]
    clock: FrameClock | None

    def identity(self) -> object:
        """Return everything: other labels leave other sums."""
        phones = sorted((key, list(map(list, value))) for key, value in self.phones.items())
        tokens = sorted((key, list(value)) for key, value in self.tokens.items())
        clock = None if self.clock is None else [self.clock.first, self.clock.hop]
        return [self.name, phones, dict(self.codes), list(self.weights), tokens, sorted(self.whole), clock]

    def wants(self, key: str) -> bool:
        """Return whether the utterance is one to learn from."""
        return key in self.phones

    def keeper(self, encoder: Encoder) -> _Learner:
        """Return an empty keeper."""
        sums = [FoldSums(layer.dim, len(self.codes)) for layer in encoder.layers]
        return _Learner(self, encoder.sampling_rate, sums, [[] for _ in sums], [[] for _ in sums])

    def folds(self, files: Sequence[BlockFile], position: int) -> list[FoldSums]:
        """Return the sums of one layer, one for each file."""
        folds = []
        for file in files:
            names = [f"{self.name}/{position}/sums/{part}" for part in file.read_names(f"{self.name}/{position}/sums/")]
            stored = file.read_kept(names)
            parts = [
                FoldSums.from_arrays({name.rpartition("/")[2]: array[number] for name, array in stored.items()})
                for number in range(len(next(iter(stored.values()))))
            ]
            total = parts[0]
            for part in parts[1:]:
                total = total.merge(part)
            folds.append(total)
        return folds

    def token_frames(self, files: Sequence[BlockFile], position: int) -> tuple[list[str], NDArray[np.float32]]:
        """Return utterance and place of the kept phones as `key@place`, and their frames (n, D)."""
        names = _joined(files, f"{self.name}/tokens")
        return [str(name) for name in names], _joined(files, f"{self.name}/{position}/tokens").astype(np.float32)

    def whole_frames(self, files: Sequence[BlockFile], position: int) -> dict[str, NDArray[np.float32]]:
        """Return all frames (T, D) of each whole utterance, by key."""
        keys = [str(key) for key in _joined(files, f"{self.name}/whole")]
        ends = np.cumsum(_joined(files, f"{self.name}/lengths").astype(np.int64))
        frames = _joined(files, f"{self.name}/{position}/whole").astype(np.float32)
        return dict(zip(keys, np.split(frames, ends[:-1]), strict=True)) if keys else {}


@dataclass(slots=True)
class _Learner:
    wish: PhoneTraining
    rate: int
    sums: list[FoldSums]
    token_frames: list[list[NDArray[np.float32]]]
    whole_frames: list[list[NDArray[np.float32]]]
    tokens: list[str] = field(default_factory=list)
    whole: list[str] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)

    def add(self, utterance: Utterance, frames: Sequence[torch.Tensor], sums: Sequence[torch.Tensor]) -> None:
        wish, key = self.wish, utterance.key
        phones, count, seconds = wish.phones[key], len(frames[0]), utterance.duration
        silence = len(wish.codes) - 1
        labels = frame_labels(
            phones, frames=count, seconds=seconds, classes=wish.codes, outside=silence, clock=wish.clock
        )
        weights = np.where(labels < 0, 0.0, np.asarray(wish.weights)[labels])
        centres = token_centres(phones, frames=count, seconds=seconds, clock=wish.clock)
        placed = ((place, centres[place]) for place in wish.tokens.get(key, ()))
        kept = [(place, centre) for place, centre in placed if centre is not None]
        for position, layer in enumerate(frames):
            rows = layer.float().cpu().numpy()
            self.sums[position].update(rows, labels, weights)
            if kept:
                self.token_frames[position].append(rows[[centre for _, centre in kept]])
            if key in wish.whole:
                self.whole_frames[position].append(rows.copy())
        self.tokens += [f"{key}@{place}" for place, _ in kept]
        if key in wish.whole:
            self.whole.append(key)
            self.lengths.append(count)

    def arrays(self) -> Kept:
        name = self.wish.name
        kept: dict[str, NDArray[np.generic]] = {}
        for position, sums in enumerate(self.sums):
            # A leading axis of one: what an interrupted and a resumed pass leave is put together along it.
            kept |= {f"{name}/{position}/sums/{part}": array[None] for part, array in sums.to_arrays().items()}
        if self.tokens:
            kept[f"{name}/tokens"] = np.array(self.tokens)
            kept |= {f"{name}/{at}/tokens": np.concatenate(rows) for at, rows in enumerate(self.token_frames)}
        if self.whole:
            kept[f"{name}/whole"], kept[f"{name}/lengths"] = np.array(self.whole), np.array(self.lengths)
            kept |= {f"{name}/{at}/whole": np.concatenate(rows) for at, rows in enumerate(self.whole_frames)}
        return kept


def _joined(files: Sequence[BlockFile], name: str) -> NDArray[np.generic]:
    arrays = [kept[name] for file in files if name in (kept := file.read_kept([name]))]
    return np.concatenate(arrays) if arrays else np.empty(0)
