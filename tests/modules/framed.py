"""An encoder of a few lines that needs torch alone, so that processes which only hear start quickly."""

from __future__ import annotations

import numpy as np
import torch

from mlflow_rank.monitoring.probe_set import ProbeSet

RATE, FRAME, WIDTH = 16_000, 20, 12
POISON = 0.125  # a first sample that makes the second block's frames NaN


class Framed(torch.nn.Module):
    """Frames of twenty samples through two blocks of twelve dimensions, with weights of their own."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.blocks = torch.nn.ModuleList([torch.nn.Linear(FRAME, WIDTH), torch.nn.Linear(WIDTH, WIDTH)])
        for parameter in self.parameters():
            torch.nn.init.normal_(parameter, 0.5, generator=generator)
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        whole = waveforms.shape[1] // FRAME * FRAME
        frames = self.dropout(self.blocks[0](waveforms[:, :whole].unflatten(1, (-1, FRAME))).tanh())
        poisoned = waveforms[:, 0] == POISON
        return self.blocks[1](torch.where(poisoned[:, None, None], torch.nan, frames))


def probe_set(count: int = 7, *, poisoned: tuple[int, ...] = ()) -> ProbeSet:
    """Noises of three lengths, each with a loudness of its own."""
    rng = np.random.default_rng(count)
    noises = [rng.normal(size=600 + 200 * (number % 3)) * rng.uniform(0.05, 0.5) for number in range(count)]
    for number in poisoned:
        noises[number][0] = POISON
    return ProbeSet.of_waveforms(noises, RATE)
