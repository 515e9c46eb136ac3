"""One iteration of masked prediction: draw, degrade, mask, predict, step; and save as it goes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from recipes.starter_encoder.audio import degrade, draw_crops
from recipes.starter_encoder.model import MaskedPredictor, normalised


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


def train(
    model: MaskedPredictor,
    stream: np.ndarray,
    targets: np.ndarray,
    schedule: Schedule,
    *,
    seed: int,
    after_step: Callable[[int, float, float], None],
    bfloat16: bool = False,
) -> None:
    """Train in place; `after_step(step, loss, masked_accuracy)` runs after every step, counted from 1."""
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=schedule.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    model.train()
    for step in range(schedule.steps):
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate(step)
        crops, starts = draw_crops(stream, batch=schedule.batch, frames=schedule.frames, rng=rng)
        wanted = torch.from_numpy(np.stack([targets[start : start + schedule.frames] for start in starts]))
        mask = _spans(schedule, rng)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
            logits = model(normalised(degrade(crops, generator)), mask)
        losses = torch.nn.functional.cross_entropy(logits.float().transpose(1, 2), wanted, reduction="none")
        loss = losses[mask].mean() + schedule.unmasked_weight * losses[~mask].mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        accuracy = (logits.argmax(-1) == wanted)[mask].float().mean()
        after_step(step + 1, loss.item(), accuracy.item())


def _spans(schedule: Schedule, rng: np.random.Generator) -> torch.Tensor:
    """Return a mask of shape (batch, frames), true where a span covers the frame."""
    starts = rng.random((schedule.batch, schedule.frames)) < schedule.mask_starts
    mask = np.zeros_like(starts)
    for offset in range(schedule.mask_span):
        mask[:, offset:] |= starts[:, : schedule.frames - offset]
    return torch.from_numpy(mask)
