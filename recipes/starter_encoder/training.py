"""One iteration of masked prediction: draw, degrade, mask, predict, step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch

from recipes.starter_encoder.batch import Batch, Draws
from recipes.starter_encoder.cluster_prediction import ClusterPrediction, FrameClusters, Targets
from recipes.starter_encoder.model import MaskedPredictor
from recipes.starter_encoder.schedule import Schedule

CLIPPED_AT = 5.0  # norm of the gradient


class Objective(Protocol):
    """What is predicted of masked frames, and how wrong it is."""

    model: MaskedPredictor
    targets: Targets

    def predicted(self, batch: Batch) -> torch.Tensor:
        """Return what the model predicts of every frame."""
        ...

    def losses(self, predicted: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, float]:
        """Return the loss of every frame, shape (batch, frames), and a score of the masked ones, for people."""
        ...

    def after_step(self, progress: float) -> None:
        """Follow the encoder, after each step of the optimiser; `progress` is the share of the iteration behind it."""
        ...


class Iteration:
    """An objective trained for the steps of a schedule, one `advance` at a time; `done` of them are behind it."""

    def __init__(
        self, objective: Objective, stream: np.ndarray, schedule: Schedule, *, seed: int, bfloat16: bool = False
    ) -> None:
        self.objective, self.stream, self.schedule, self.bfloat16 = objective, stream, schedule, bfloat16
        self.draws = Draws(seed)
        self.done = 0
        self.optimizer = torch.optim.AdamW(
            objective.model.parameters(), lr=schedule.learning_rate, betas=(0.9, 0.98), weight_decay=0.01
        )
        objective.model.train()

    def advance(self) -> tuple[float, float]:
        """Take one step and return its loss and its score."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate(self.done)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bfloat16):
            batch = self.draws.batch(self.stream, self.schedule)
            predicted = self.objective.predicted(batch)
        losses, score = self.objective.losses(predicted, batch)
        loss = losses[batch.mask].mean() + self.schedule.unmasked_weight * losses[~batch.mask].mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.objective.model.parameters(), CLIPPED_AT)
        self.optimizer.step()
        self.done += 1
        self.objective.after_step(self.done / self.schedule.steps)
        return loss.item(), score


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
    objective = ClusterPrediction(model, FrameClusters(targets))
    iteration = Iteration(objective, stream, schedule, seed=seed, bfloat16=bfloat16)
    while iteration.done < schedule.steps:
        loss, accuracy = iteration.advance()
        after_step(iteration.done, loss, accuracy)
