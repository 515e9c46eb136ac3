"""Many phone classifiers on one layer, applied to frames together, and kept in a file that worker processes read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.errors import UsageError
from mlflow_rank.probes.centroid import ABSENT, CentroidHead
from mlflow_rank.probes.heads import FittedHead
from mlflow_rank.probes.linear_head import LinearHead

STREAMED = ("ridge", "centroid")  # heads that are a few products of matrices, and can be fitted from sums
FIELDS = ("weights", "intercept", "centres", "directions", "absent", "order", "windows")


@dataclass(frozen=True, slots=True, eq=False)
class PhoneHeads:
    """H heads on one layer, linear ones first, then cosines; `order` (H,) puts them as they were given.

    `weights` (D, L·K) and `intercept` (L·K,) are those of the L linear heads with K classes each; `centres` (M, D) and
    `directions` (M, K, D) those of the M others, `absent` (M, K) the classes that they had no items of. `windows` (H,)
    are the frames that each averages over in decoding.
    """

    classes: int
    weights: NDArray[np.float32]
    intercept: NDArray[np.float32]
    centres: NDArray[np.float32]
    directions: NDArray[np.float32]
    absent: NDArray[np.bool_]
    order: NDArray[np.int64]
    windows: NDArray[np.int64]

    @classmethod
    def of(cls, heads: Sequence[FittedHead], windows: Sequence[int], *, classes: int) -> PhoneHeads:
        """Return the heads as arrays; `windows` has one number for each.

        Raises:
            UsageError: a head is of another kind than ridge or centroid.
        """
        linear = [place for place, head in enumerate(heads) if isinstance(head, LinearHead)]
        cosine = [place for place, head in enumerate(heads) if isinstance(head, CentroidHead)]
        if len(linear) + len(cosine) < len(heads):
            raise UsageError(
                "this head cannot be applied to frames as they stream by",
                expected=f"{' or '.join(STREAMED)} for phones",
            )
        of_linear = [head for head in heads if isinstance(head, LinearHead)]
        of_cosine = [head for head in heads if isinstance(head, CentroidHead)]
        dim = (of_linear[0].weights.shape[0] if of_linear else of_cosine[0].centre.size) if heads else 0
        return cls(
            classes=classes,
            weights=_stacked([head.weights for head in of_linear], (dim, 0), axis=1),
            intercept=_stacked([head.intercept for head in of_linear], (0,), axis=0),
            centres=np.array([head.centre for head in of_cosine], dtype=np.float32).reshape(-1, dim),
            directions=np.array([head.directions for head in of_cosine], dtype=np.float32).reshape(-1, classes, dim),
            absent=np.array([head.absent for head in of_cosine], dtype=np.bool_).reshape(-1, classes),
            order=np.array([*linear, *cosine], dtype=np.int64),
            windows=np.array(windows, dtype=np.int64),
        )

    def decide(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the decision values (H, T, K) of the frames (T, D), in float32: they are only compared."""
        linear = frames @ self.weights + self.intercept
        values = np.empty((len(self.order), len(frames), self.classes), dtype=np.float32)
        count = linear.shape[1] // self.classes
        values[self.order[:count]] = linear.reshape(len(frames), count, self.classes).transpose(1, 0, 2)
        cosines = zip(self.order[count:], self.centres, self.directions, self.absent, strict=True)
        for place, centre, directions, absent in cosines:
            around = frames - centre
            lengths = np.linalg.norm(around, axis=1, keepdims=True)
            found = (around @ directions.T) / np.maximum(lengths, np.finfo(np.float32).tiny)
            values[place] = np.where(absent, np.float32(ABSENT), found)
        return values

    def to_arrays(self, position: int) -> dict[str, NDArray[np.generic]]:
        """Return what `read` finds in a file under the layer's position."""
        return {
            f"{position}/classes": np.array(self.classes),
            **{f"{position}/{name}": getattr(self, name) for name in FIELDS},
        }

    @classmethod
    def read(cls, path: Path, position: int) -> PhoneHeads:
        """Return the heads of one layer from a file that `write_heads` made."""
        with np.load(path, allow_pickle=False) as stored:
            return cls(int(stored[f"{position}/classes"]), *(stored[f"{position}/{name}"] for name in FIELDS))


def write_heads(path: Path, layers: Mapping[int, PhoneHeads]) -> None:
    """Write the heads of all layers, by position, into one file."""
    arrays = {name: array for position, heads in layers.items() for name, array in heads.to_arrays(position).items()}
    np.savez(path, allow_pickle=False, **arrays)


def _stacked(arrays: Sequence[NDArray[np.float64]], empty: tuple[int, ...], *, axis: int) -> NDArray[np.float32]:
    if not arrays:
        return np.empty(empty, dtype=np.float32)
    return np.concatenate(arrays, axis=axis).astype(np.float32)
