"""The mean loss between two points, without waiting for a GPU at every step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, SupportsFloat, Union

if TYPE_CHECKING:
    import torch

Loss = Union[SupportsFloat, "torch.Tensor"]


class MeanLoss:
    """Adds losses up as they come, tensors where they are; the mean is read when a point is taken.

    `lost_before` is whether a loss that was a number and not finite came before the last one.

    >>> losses = MeanLoss()
    >>> losses.add(1.0), losses.add(3.0), losses.taken(), losses.taken()
    (None, None, 2.0, None)
    """

    def __init__(self) -> None:
        self._total: float | torch.Tensor = 0.0
        self._count = 0
        self._lost = self.lost_before = False

    def add(self, loss: Loss) -> None:
        """Take the loss of one step.

        Raises:
            Exception: it is no number, or lies on another device than those before; it is left out.
        """
        if hasattr(loss, "detach"):
            self._total = self._total + loss.detach().float().mean()
        else:
            number = float(loss)
            self.lost_before, self._lost = self._lost, self._lost or not math.isfinite(number)
            self._total = self._total + number
        self._count += 1

    def taken(self) -> float | None:
        """Return the mean of what was added since the last call, None for nothing."""
        if not self._count:
            return None
        total, count = self._total, self._count
        self._total, self._count = 0.0, 0
        return float(total) / count
