"""What can be made to go wrong, and how: mistakes that people really make.

None is graded by what an alarm sees. Targets are replaced whole, and the learning rate is raised by 30, one and a half
orders of magnitude: after 600 healthy steps the loss was back at that of guessing within 40 more. `no_stop_gradient` is
more than a forgotten `detach`: the encoder itself takes the place of its slow copy (without the copy there is nothing
for a gradient to move), hears in training mode as it is, and its targets are no longer normalised, which by itself
would keep them from becoming constant. To make oneself predictable is all that is left to learn, and saying nothing is
the easiest way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch

from mlflow_rank.errors import UsageError
from recipes.pretraining.self_distillation import OwnTargets, SelfDistillation
from recipes.starter_encoder.batch import Batch
from recipes.starter_encoder.cluster_prediction import Targets
from recipes.starter_encoder.training import Iteration

NONE = "none"
HIGH_LR_FACTOR = 30.0  # times the schedule's rate


class ConstantTargets:
    """The same target for every frame: zeros of the shape and kind of the true ones."""

    def __init__(self, true: Targets) -> None:
        self.true = true

    def of(self, batch: Batch) -> torch.Tensor:
        """Return zeros."""
        return torch.zeros_like(self.true.of(batch))


class RandomTargets:
    """Targets that have nothing to do with the audio, drawn anew for every batch.

    Clusters are uniform, vectors normal with variance 1, as normalised targets have it. The draw depends on the seed
    and on where the crops lie, so that a run that goes on draws what it would have drawn.
    """

    def __init__(self, true: Targets, clusters: int, *, seed: int) -> None:
        self.true, self.clusters, self.seed = true, clusters, seed

    def of(self, batch: Batch) -> torch.Tensor:
        """Return noise of the shape and kind of the true targets."""
        true = self.true.of(batch)
        rng = np.random.default_rng([self.seed, *batch.starts.tolist()])
        if true.is_floating_point():
            return torch.from_numpy(rng.standard_normal(true.shape)).to(true.dtype)
        return torch.from_numpy(rng.integers(0, self.clusters, true.shape))


def _high_lr(iteration: Iteration, seed: int) -> None:
    schedule = iteration.schedule
    iteration.schedule = replace(schedule, learning_rate=HIGH_LR_FACTOR * schedule.learning_rate)


def _constant_targets(iteration: Iteration, seed: int) -> None:
    iteration.objective.targets = ConstantTargets(iteration.objective.targets)


def _random_targets(iteration: Iteration, seed: int) -> None:
    objective = iteration.objective
    objective.targets = RandomTargets(objective.targets, objective.model.head.out_features, seed=seed)


def _no_stop_gradient(iteration: Iteration, seed: int) -> None:
    """Let the encoder teach itself: no slow copy, no normalised targets, and the gradient flowing through them."""
    objective = iteration.objective
    if isinstance(objective, SelfDistillation):
        objective.targets = OwnTargets(objective.model.encoder)


_INJECT: Mapping[str, Callable[[Iteration, int], None]] = {
    "high_lr": _high_lr,
    "no_stop_gradient": _no_stop_gradient,
    "constant_targets": _constant_targets,
    "random_targets": _random_targets,
}
FAULTS = (NONE, *_INJECT)
OF_SELF_DISTILLATION = frozenset({"no_stop_gradient"})


def objective_of(fault: str) -> str:
    """Return the objective that a fault belongs to: clusters, unless it is one of self-distillation's own.

    >>> objective_of("no_stop_gradient"), objective_of("high_lr")
    ('self_distillation', 'clusters')
    """
    return "self_distillation" if fault in OF_SELF_DISTILLATION else "clusters"


def check_fault(fault: str, objective: str) -> None:
    """Refuse a fault that does not exist, or that an objective cannot have.

    Raises:
        UsageError: it is one of these.
    """
    if fault not in FAULTS:
        raise UsageError("no such fault", got=fault, expected=", ".join(FAULTS))
    if fault in OF_SELF_DISTILLATION and objective != "self_distillation":
        raise UsageError(
            f"{fault} is a fault of self-distillation: clusters have no gradient to stop",
            got=f"objective {objective}",
            expected="objective self_distillation",
        )


def inject(fault: str, iteration: Iteration, *, seed: int) -> None:
    """Make an iteration go wrong from its next step on; to be called once, and not at all without a fault.

    Raises:
        UsageError: there is no such fault.
    """
    if fault not in _INJECT:
        raise UsageError("no such fault", got=fault, expected=", ".join(_INJECT))
    _INJECT[fault](iteration, seed)
