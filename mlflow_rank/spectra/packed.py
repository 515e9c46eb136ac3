"""Moments at half or a quarter of the memory, for the many blocks of a jackknife."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.spectra.moments import Moments, frozen
from mlflow_rank.spectra.triangle import pack, spread, unpack


@dataclass(frozen=True, slots=True, eq=False)
class PackedMoments:
    """Moments of which only the upper triangle of the scatter is kept.

    With float64 nothing is lost. With float32 every entry is rounded once to 24 bits: enough for a block of a
    jackknife, where the total is kept apart in float64.

    >>> block = Moments.of(np.eye(3))
    >>> bool((PackedMoments.of(block).unpack().scatter == block.scatter).all())
    True
    """

    count: int
    mean: NDArray[np.float64]
    triangle: NDArray[np.float64] | NDArray[np.float32]

    @classmethod
    def of(cls, moments: Moments, dtype: Literal["float64", "float32"] = "float64") -> PackedMoments:
        """Return `moments` with its scatter as a packed triangle of `dtype`."""
        triangle = pack(moments.scatter).astype(dtype, copy=False)
        triangle.flags.writeable = False
        return cls(moments.count, frozen(moments.mean), triangle)

    @property
    def dim(self) -> int:
        """The number of dimensions D."""
        return self.mean.size

    @property
    def diagonal(self) -> NDArray[np.float64]:
        """The diagonal of the scatter, (D,)."""
        last = np.arange(self.dim)
        return np.asarray(self.triangle[last * (last + 3) // 2], dtype=np.float64)  # where column j ends

    def unpack(self) -> Moments:
        """Return the moments with the full float64 scatter."""
        return Moments(self.count, self.mean, unpack(self.triangle.astype(np.float64, copy=False), self.dim))


Block = Moments | PackedMoments


def upper_scatter(block: Block) -> NDArray[np.float64]:
    """Return a Fortran-ordered matrix (D, D) whose upper triangle is that of the scatter; ignore what lies below."""
    return spread(block.triangle.astype(np.float64), block.dim) if isinstance(block, PackedMoments) else block.scatter.T


def unpacked(block: Block) -> Moments:
    """Return the moments of a block, packed or not."""
    return block.unpack() if isinstance(block, PackedMoments) else block
