"""What one training step hears, and where its randomness comes from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from recipes.starter_encoder.audio import degrade, draw_crops
from recipes.starter_encoder.model import normalised
from recipes.starter_encoder.schedule import Schedule


@dataclass(frozen=True)
class Batch:
    """Crops of the stream: clean and degraded waveforms (batch, samples), each one's first frame, and what is masked.

    The clean ones are as they were recorded, the degraded ones normalised as the encoder hears them.
    """

    clean: torch.Tensor
    degraded: torch.Tensor
    starts: np.ndarray
    mask: torch.Tensor

    @property
    def frames(self) -> int:
        """Frames of each crop."""
        return int(self.mask.shape[1])


class Draws:
    """The two generators that every batch comes from: one for crops and masks, one for what degrades them."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.generator = torch.Generator().manual_seed(seed)

    def batch(self, stream: np.ndarray, schedule: Schedule) -> Batch:
        """Return the next batch."""
        crops, starts = draw_crops(stream, batch=schedule.batch, frames=schedule.frames, rng=self.rng)
        mask = schedule.mask(self.rng)
        return Batch(crops, normalised(degrade(crops, self.generator)), starts, mask)
