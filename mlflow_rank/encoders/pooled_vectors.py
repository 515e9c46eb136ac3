"""One vector of every layer for each labelled utterance: what probes of whole utterances are fed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.encoders.block_moments import BlockFile
from mlflow_rank.encoders.interface import Encoder
from mlflow_rank.encoders.keeping import Kept
from mlflow_rank.errors import UsageError
from mlflow_rank.speech.utterance import Utterance

if TYPE_CHECKING:
    import torch

Pooling = Literal["mean", "mean_std", "segments"]
POOLINGS: tuple[Pooling, ...] = ("mean", "mean_std", "segments")
SEGMENTS = 4  # time segments of an utterance: enough to tell beginning, middle and end of a word apart


def check_pooling(name: str) -> Pooling:
    """Return the pooling of this name.

    Raises:
        UsageError: there is none.
    """
    for pooling in POOLINGS:
        if name == pooling:
            return pooling
    raise UsageError("no such pooling", got=repr(name), expected=" or ".join(POOLINGS))


@dataclass(frozen=True, slots=True)
class PooledVectors:
    """Keep one float32 vector per layer of each utterance in `keys`, under a `name` of its own.

    `mean`: the mean of its frames, (D,). `mean_std`: that and their standard deviation, (2D,). `segments`: the means of
    four equal stretches of time one after the other, (4D,), which keeps the order that tells words apart.
    """

    name: str
    keys: frozenset[str]
    pooling: Pooling = "mean"

    def identity(self) -> object:
        """Return pooling and utterances."""
        return [self.name, self.pooling, sorted(self.keys)]

    def wants(self, key: str) -> bool:
        """Return whether this utterance's vectors are kept."""
        return key in self.keys

    def keeper(self, encoder: Encoder) -> _Pooler:
        """Return an empty keeper."""
        return _Pooler(self.name, self.pooling, [[] for _ in encoder.layers])

    def read_keys(self, files: Sequence[BlockFile]) -> list[str]:
        """Return the keys of the utterances whose vectors lie in the files of a pass, in the order of `read`."""
        return [str(key) for array in self._arrays(files, "keys") for key in array]

    def read(self, files: Sequence[BlockFile], position: int) -> NDArray[np.float32]:
        """Return the vectors (n, P) of one layer from the files of a pass."""
        vectors = self._arrays(files, str(position))
        return np.concatenate(vectors).astype(np.float32) if vectors else np.empty((0, 0), dtype=np.float32)

    def _arrays(self, files: Sequence[BlockFile], part: str) -> list[NDArray[np.generic]]:
        name = f"{self.name}/{part}"
        return [kept[name] for file in files if name in (kept := file.read_kept([name]))]


@dataclass(slots=True)
class _Pooler:
    name: str
    pooling: Pooling
    vectors: list[list[NDArray[np.float32]]]
    keys: list[str] = field(default_factory=list)

    def add(self, utterance: Utterance, frames: Sequence[torch.Tensor], sums: Sequence[torch.Tensor]) -> None:
        for vectors, each, total in zip(self.vectors, frames, sums, strict=True):
            vectors.append(pooled(each, total, self.pooling).float().cpu().numpy())
        self.keys.append(utterance.key)

    def arrays(self) -> Kept:
        if not self.keys:
            return {}
        vectors = {f"{self.name}/{position}": np.stack(each) for position, each in enumerate(self.vectors)}
        return {f"{self.name}/keys": np.array(self.keys), **vectors}


def pooled(frames: torch.Tensor, total: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """Return the vector (P,) of one utterance from its frames (T, D) and their sum (D,).

    >>> import torch
    >>> frames = torch.tensor([[0.0], [2.0], [4.0], [6.0]])
    >>> pooled(frames, frames.sum(0), "mean").tolist(), pooled(frames, frames.sum(0), "segments").tolist()
    ([3.0], [0.0, 2.0, 4.0, 6.0])
    """
    import torch

    mean = total / len(frames)
    if pooling == "mean":
        return mean
    if pooling == "mean_std":
        return torch.cat([mean.to(frames.dtype), frames.std(0, correction=0)])
    # Fewer frames than segments: neighbours share one, so that every utterance has a vector of the same length.
    count = len(frames)
    first = [segment * count // SEGMENTS for segment in range(SEGMENTS)]
    last = [max(start + 1, (segment + 1) * count // SEGMENTS) for segment, start in enumerate(first)]
    return torch.cat([frames[start:end].mean(0) for start, end in zip(first, last, strict=True)])
