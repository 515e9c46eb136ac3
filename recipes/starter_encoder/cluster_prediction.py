"""HuBERT's objective: name the cluster of every frame, the masked ones too."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch

from recipes.starter_encoder.batch import Batch
from recipes.starter_encoder.model import MaskedPredictor


class Targets(Protocol):
    """What is to be predicted of a batch."""

    def of(self, batch: Batch) -> torch.Tensor:
        """Return the targets, shape (batch, frames) or (batch, frames, width)."""
        ...


class FrameClusters:
    """The cluster of every frame of the stream, int64 of shape (frames,)."""

    def __init__(self, clusters: np.ndarray) -> None:
        self.clusters = clusters

    def of(self, batch: Batch) -> torch.Tensor:
        """Return the clusters of the batch's frames, shape (batch, frames)."""
        return torch.from_numpy(np.stack([self.clusters[start : start + batch.frames] for start in batch.starts]))


class ClusterPrediction:
    """Cross entropy in nats between the predicted clusters and those of the clean audio."""

    def __init__(self, model: MaskedPredictor, targets: Targets) -> None:
        self.model, self.targets = model, targets

    def predicted(self, batch: Batch) -> torch.Tensor:
        """Return logits of shape (batch, frames, clusters)."""
        return self.model(batch.degraded, batch.mask)

    def losses(self, predicted: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, float]:
        """Return the loss of every frame, shape (batch, frames), and the share of masked frames named rightly."""
        wanted = self.targets.of(batch)
        losses = torch.nn.functional.cross_entropy(predicted.float().transpose(1, 2), wanted, reduction="none")
        return losses, float((predicted.argmax(-1) == wanted)[batch.mask].float().mean())

    def after_step(self, progress: float) -> None:
        """Nothing of it follows the encoder."""
