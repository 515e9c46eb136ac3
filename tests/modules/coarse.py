"""An encoder for `module:coarse:plain`: a listener with half as many frames per second."""

from __future__ import annotations

import torch
from listeners import Listener


class Coarse(Listener):
    """Two blocks of 8 dimensions; a frame per 20 samples."""

    def __init__(self) -> None:
        super().__init__()
        self.front = torch.nn.Conv1d(1, 8, kernel_size=40, stride=20)


def plain() -> Coarse:
    """Make one; its weights are the same each time, as loading seeds them."""
    return Coarse()
