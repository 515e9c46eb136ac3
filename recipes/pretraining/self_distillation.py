"""Self-distillation as data2vec has it: name what a slow copy of oneself hears in the frames that one does not.

Source: Baevski et al. 2022 (arXiv 2202.03555), in small: the teacher is an exponential moving average, hears the clean
crop unmasked, and the target is the mean of its top blocks, each channel normalised over time.
"""

from __future__ import annotations

import copy

import torch
from transformers import HubertModel

from recipes.starter_encoder.batch import Batch
from recipes.starter_encoder.cluster_prediction import Targets
from recipes.starter_encoder.model import MaskedPredictor, normalised

TOP_BLOCKS = 3  # of 5; data2vec averages the top 8 of 12
DECAY_FROM, DECAY_TO = 0.99, 0.999  # of the teacher, linear over the run; data2vec's .999 to .9999 is for long runs


class TeacherTargets:
    """What a slow copy of the encoder hears: no gradient reaches it."""

    def __init__(self, encoder: HubertModel) -> None:
        self.teacher = copy.deepcopy(encoder).eval().requires_grad_(False)

    def of(self, batch: Batch) -> torch.Tensor:
        """Return the targets of the batch's frames, shape (batch, frames, width)."""
        with torch.no_grad():
            blocks = top_blocks(self.teacher, batch)
            normal = [torch.nn.functional.instance_norm(block.transpose(1, 2)).transpose(1, 2) for block in blocks]
            return torch.stack(normal).mean(0)

    @torch.no_grad()
    def follow(self, encoder: HubertModel, progress: float) -> None:
        """Move towards the encoder; `progress` is the share of the run behind it."""
        decay = DECAY_FROM + (DECAY_TO - DECAY_FROM) * progress
        for own, theirs in zip(self.teacher.parameters(), encoder.parameters(), strict=True):
            own.lerp_(theirs, 1 - decay)


class OwnTargets:
    """What the encoder itself hears, as it is, the gradient flowing through: the easy way out is to say nothing."""

    def __init__(self, encoder: HubertModel) -> None:
        self.encoder = encoder

    def of(self, batch: Batch) -> torch.Tensor:
        """Return the targets of the batch's frames, shape (batch, frames, width)."""
        return torch.stack(top_blocks(self.encoder, batch)).mean(0)


class SelfDistillation:
    """Mean squared error per channel between what is predicted of every frame and the teacher's targets."""

    def __init__(self, encoder: HubertModel) -> None:
        self.model = MaskedPredictor(encoder, encoder.config.hidden_size)
        self.teaching = TeacherTargets(encoder)
        self.targets: Targets = self.teaching

    def predicted(self, batch: Batch) -> torch.Tensor:
        """Return vectors of shape (batch, frames, width)."""
        return self.model(batch.degraded, batch.mask)

    def losses(self, predicted: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, float]:
        """Return the loss of every frame, shape (batch, frames), and the explained share of the masked targets."""
        wanted = self.targets.of(batch)
        losses = (predicted.float() - wanted).pow(2).mean(-1)
        with torch.no_grad():
            variance = wanted[batch.mask].var(0).mean()
            explained = 1 - losses[batch.mask].mean() / variance.clamp_min(1e-12)
        return losses, float(explained)

    def after_step(self, progress: float) -> None:
        """Let the teacher follow."""
        self.teaching.follow(self.model.encoder, progress)


def top_blocks(encoder: HubertModel, batch: Batch) -> list[torch.Tensor]:
    """Return the outputs of the top blocks for the clean crops, each of shape (batch, frames, width)."""
    nothing = torch.zeros_like(batch.mask)  # said, as transformers draws masks of its own where it trains unasked
    states = encoder(normalised(batch.clean), mask_time_indices=nothing, output_hidden_states=True).hidden_states
    return list(states[-TOP_BLOCKS:])
