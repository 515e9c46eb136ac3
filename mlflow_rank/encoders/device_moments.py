"""Moments of frames that lie on a GPU: the same shifted sums in float64, kept where the frames are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlflow_rank.spectra import Moments

if TYPE_CHECKING:
    import torch


class DeviceMoments:
    """Collects float32 rows of a torch tensor on whatever device they are, and gives their `Moments`.

    The sums are taken around the mean of the first rows, as in `spectra.MomentsAccumulator`, so both agree to rounding.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._count = 0
        self._shift: torch.Tensor | None = None
        self._sum: torch.Tensor | None = None
        self._squares: torch.Tensor | None = None

    def update(self, rows: torch.Tensor) -> None:
        """Add `rows`, finite, of shape (N, dim)."""
        import torch

        if len(rows) == 0:
            return
        values = rows.to(torch.float64)
        if self._shift is None or self._sum is None or self._squares is None:
            self._shift = values.mean(0)
            self._sum = torch.zeros_like(self._shift)
            self._squares = torch.zeros(self.dim, self.dim, dtype=torch.float64, device=rows.device)
        values = values - self._shift
        self._count += len(values)
        self._sum += values.sum(0)
        self._squares.addmm_(values.T, values)

    def moments(self) -> Moments:
        """Return the moments of all rows so far; more may follow."""
        if self._shift is None or self._sum is None or self._squares is None:
            return Moments.zero(self.dim)
        shift, total, squares = (part.cpu().numpy() for part in (self._shift, self._sum, self._squares))
        mean = total / self._count
        scatter = squares - np.outer(total, mean)
        return Moments(self._count, shift + mean, (scatter + scatter.T) / 2)

    def state(self) -> Moments:
        """Return the same: rows on a GPU are never few."""
        return self.moments()
