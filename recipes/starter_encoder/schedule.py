"""How long and how hard one iteration of masked prediction trains, and how much of a crop it hides."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Schedule:
    """How long and how hard one iteration trains."""

    steps: int
    learning_rate: float
    warmup: int = 300
    batch: int = 8
    frames: int = 99  # 2 s
    mask_starts: float = 0.1  # share of frames where a mask of `mask_span` frames starts; about 45 % end up masked
    mask_span: int = 6
    unmasked_weight: float = 1.0  # masked frames alone stay near the unigram plateau for many steps at this size

    def rate(self, step: int) -> float:
        """Return the learning rate at `step`: linear warm-up, then cosine to zero."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        progress = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))

    def mask(self, rng: np.random.Generator) -> torch.Tensor:
        """Return a mask of shape (batch, frames), true where a span covers the frame."""
        starts = rng.random((self.batch, self.frames)) < self.mask_starts
        mask = np.zeros_like(starts)
        for offset in range(self.mask_span):
            mask[:, offset:] |= starts[:, : self.frames - offset]
        return torch.from_numpy(mask)
