"""The rows behind an estimate: their blocks, their halves, and what so many rows can and cannot tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlflow_rank.errors import UsageError
from mlflow_rank.spectra.effective_size import effective_size
from mlflow_rank.spectra.intervals import balanced_halves
from mlflow_rank.spectra.moments import Moments, merge_all
from mlflow_rank.spectra.packed import Block, unpacked

ROWS_TO_MEASURE = 1.0  # rows per dimension below which a rank mostly reads N: the N rows span all they can
ROWS_TO_CORRECT = 4.0  # rows per dimension from which the half-split correction is good to 1 %; below it over-corrects


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Blocks that hold rows, their merger, and two halves of them for the correction of bias.

    `no_blocks` says why there are no blocks to compare and no halves; None where there are.
    """

    blocks: tuple[Block, ...]
    total: Moments
    halves: tuple[Moments, ...]
    n_effective: float | None
    no_blocks: str | None

    @classmethod
    def of(cls, blocks: Sequence[Block], total: Moments | None, *, compare: bool) -> Sample:
        """Return the sample of these blocks; empty ones are passed over.

        `total` is their merger where it is known apart, `compare` whether blocks are compared with one another.

        Raises:
            UsageError: there are no blocks, their dimensions differ, or the total has other rows.
        """
        if not blocks:
            raise UsageError("there are no blocks to estimate from", expected="at least one, which may be empty")
        filled = tuple(block for block in blocks if block.count)
        count = sum(block.count for block in filled)
        halves: tuple[Moments, ...] = ()
        if compare and len(filled) > 1:
            sides = balanced_halves([block.count for block in filled])
            halves = tuple(merge_all(unpacked(filled[index]) for index in side) for side in sides)
        if total is None:
            total = merge_all(halves or (unpacked(block) for block in filled or blocks[:1]))
        elif (total.dim, total.count) != (blocks[0].dim, count):
            raise UsageError(
                "the total is not that of the blocks",
                got=f"{total.count} rows of {total.dim} dimensions",
                expected=f"{count} rows of {blocks[0].dim} dimensions",
            )
        if len(filled) < 2:
            return cls(filled, total, (), None, "fewer than two blocks of rows: neither interval nor correction")
        n_effective = effective_size(filled, total)
        if not compare:
            return cls(filled, total, (), n_effective, "neither interval nor correction was asked for")
        return cls(filled, total, halves, n_effective, None)

    @property
    def counts(self) -> list[int]:
        """The rows of each block."""
        return [block.count for block in self.blocks]

    @property
    def rows_per_dim(self) -> float:
        """N/D, on which the bias of a rank depends almost alone."""
        return self.total.count / self.total.dim

    @property
    def no_value(self) -> str | None:
        """Why no spectrum can be trusted, or None."""
        if self.rows_per_dim >= ROWS_TO_MEASURE:
            return None
        n, dim = self.total.count, self.total.dim
        if n == 0:
            return "no rows"
        return (
            f"{n} rows for {dim} dimensions, where a rank mostly reads the rows: at least {dim} needed, {dim - n} more"
        )

    @property
    def no_correction(self) -> str | None:
        """Why no correction of the bias can be trusted, or None."""
        if self.rows_per_dim < ROWS_TO_CORRECT:
            return (
                f"not corrected, as N/D = {self.rows_per_dim:.1f} is below {ROWS_TO_CORRECT:g}: ranks read low "
                f"(the effective rank of independent rows about {plug_in_share(self.rows_per_dim):.0%} of the truth)"
            )
        if self.no_blocks is None and min(half.count for half in self.halves) < self.total.dim:
            return "not corrected, as one block holds most rows: the other half has fewer rows than dimensions"
        return self.no_blocks


def plug_in_share(rows_per_dim: float) -> float:
    """Return what share of the true effective rank the plug-in value of independent rows reads, at 1 ≤ N/D ≤ 16.

    >>> plug_in_share(2.0)
    0.92
    """
    # Measured on Gaussian rows with flat and power-law spectra at D = 256, of which the share hardly depends; steeper
    # (exponential) spectra read up to half as low. Linear in log2(N/D) in between.
    return float(np.interp(np.log2(rows_per_dim), [0, 1, 2, 3, 4], [0.80, 0.92, 0.96, 0.98, 0.99]))
