"""What a pass leaves of chosen utterances beside moments: the interface by which pilots get vectors and frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.encoders.interface import Encoder
from mlflow_rank.speech.utterance import Utterance

if TYPE_CHECKING:
    import torch

Kept = Mapping[str, NDArray[np.generic]]
"""Arrays by name. Each has a leading axis along which those of two passes are put together."""


class Keeper(Protocol):
    """Collects what one keeping asks for, during one pass over some utterances."""

    def add(self, utterance: Utterance, frames: Sequence[torch.Tensor], sums: Sequence[torch.Tensor]) -> None:
        """Take one utterance: for each layer its frames, float32 (T, D), and their float64 sum (D,)."""
        ...

    def arrays(self) -> Kept:
        """Return everything kept until now, in the order in which it came."""
        ...


class Keeping(Protocol):
    """A wish to keep something of some utterances; frozen, picklable, and known by its `identity`."""

    @property
    def name(self) -> str:
        """What its arrays are filed under; no two keepings of one pass share it."""
        ...

    def identity(self) -> object:
        """Return what makes this keeping another one, JSON-ready."""
        ...

    def wants(self, key: str) -> bool:
        """Return whether the utterance is one of those."""
        ...

    def keeper(self, encoder: Encoder) -> Keeper:
        """Return an empty keeper for a pass with this encoder."""
        ...


def together(a: Kept, b: Kept) -> Kept:
    """Return the arrays of two passes as those of one.

    >>> together({"x": np.array([1.0])}, {"x": np.array([2.0]), "y": np.array([3])})["x"].tolist()
    [1.0, 2.0]
    """
    return {name: np.concatenate([kept[name] for kept in (a, b) if name in kept]) for name in dict.fromkeys((*a, *b))}
