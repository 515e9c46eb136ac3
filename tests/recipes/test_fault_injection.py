"""Each fault changes what it says it changes, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mlflow_rank.errors import UsageError
from recipes import pretraining  # noqa: F401  # before the first import of transformers
from recipes.pretraining.fault_injection import FAULTS, HIGH_LR_FACTOR, inject
from recipes.pretraining.self_distillation import SelfDistillation
from recipes.starter_encoder.batch import Batch, Draws
from recipes.starter_encoder.cluster_prediction import ClusterPrediction, FrameClusters
from recipes.starter_encoder.model import HubertConfig, HubertModel, MaskedPredictor
from recipes.starter_encoder.schedule import Schedule
from recipes.starter_encoder.training import Iteration

STREAM = np.random.default_rng(0).integers(-3_000, 3_000, 4 * 16_000, dtype=np.int16)
CLUSTERS = np.random.default_rng(1).integers(0, 7, 200)
SCHEDULE = Schedule(steps=10, learning_rate=1e-3, warmup=1, batch=2, frames=20)


def encoder() -> HubertModel:
    """Random weights of a narrow encoder."""
    torch.manual_seed(0)
    return HubertModel(
        HubertConfig(
            hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=16, conv_dim=(8,) * 7,
            num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2, mask_time_prob=0.5,
        )
    )  # fmt: skip


def of_clusters() -> Iteration:
    objective = ClusterPrediction(MaskedPredictor(encoder(), 7), FrameClusters(CLUSTERS))
    return Iteration(objective, STREAM, SCHEDULE, seed=0)


def of_self_distillation() -> Iteration:
    return Iteration(SelfDistillation(encoder()), STREAM, SCHEDULE, seed=0)


def batch(seed: int = 0) -> Batch:
    return Draws(seed).batch(STREAM, SCHEDULE)


@pytest.mark.parametrize("iteration", [of_clusters, of_self_distillation])
def test_constant_targets_are_one_target_for_every_frame_of_the_kind_that_was_there(iteration):
    broken = iteration()
    true = broken.objective.targets.of(batch())
    inject("constant_targets", broken, seed=0)

    wanted = broken.objective.targets.of(batch())

    assert wanted.unique().numel() == 1
    assert true.unique().numel() > 1
    assert (wanted.shape, wanted.dtype) == (true.shape, true.dtype)


@pytest.mark.parametrize("iteration", [of_clusters, of_self_distillation])
def test_random_targets_are_new_for_every_batch_the_same_for_one_and_of_the_kind_that_was_there(iteration):
    broken = iteration()
    true = broken.objective.targets.of(batch())
    inject("random_targets", broken, seed=3)

    wanted = broken.objective.targets.of(batch())

    assert (wanted.shape, wanted.dtype) == (true.shape, true.dtype)
    assert torch.equal(wanted, broken.objective.targets.of(batch()))
    assert not torch.equal(wanted, broken.objective.targets.of(batch(1)))
    other = iteration()
    inject("random_targets", other, seed=4)
    assert not torch.equal(wanted, other.objective.targets.of(batch()))
    if not wanted.is_floating_point():
        assert set(wanted.unique().tolist()) == set(range(7))


def test_a_high_learning_rate_is_the_schedules_times_a_constant_at_every_step():
    healthy, broken = of_clusters(), of_clusters()
    inject("high_lr", broken, seed=0)

    for _ in range(2):
        healthy.advance()
        broken.advance()
        assert broken.optimizer.param_groups[0]["lr"] == pytest.approx(
            HIGH_LR_FACTOR * healthy.optimizer.param_groups[0]["lr"]
        )


def test_without_a_stop_the_gradient_reaches_the_encoder_through_the_targets():
    broken = of_self_distillation()
    assert not broken.objective.targets.of(batch()).requires_grad
    inject("no_stop_gradient", broken, seed=0)

    wanted = broken.objective.targets.of(batch())
    wanted.pow(2).mean().backward()

    assert all(
        block.attention.q_proj.weight.grad is not None for block in broken.objective.model.encoder.encoder.layers
    )


def test_the_teacher_follows_slowly_and_hears_without_a_mask():
    iteration = of_self_distillation()
    objective = iteration.objective
    before = [each.clone() for each in objective.teaching.teacher.parameters()]
    iteration.advance()

    moved = [
        (new - old).norm() / (student - old).norm()
        for old, new, student in zip(
            before, objective.teaching.teacher.parameters(), objective.model.encoder.parameters(), strict=True
        )
        if not torch.equal(student, old)
    ]

    assert max(moved) < 0.02  # at most 1 − the decay
    assert min(moved) > 0.0
    hidden = Batch(batch().clean, batch().degraded, batch().starts, torch.ones_like(batch().mask))
    assert torch.equal(objective.targets.of(batch()), objective.targets.of(hidden))


def test_an_unknown_fault_is_refused():
    with pytest.raises(UsageError, match="no such fault"):
        inject("rain", of_clusters(), seed=0)
    assert FAULTS[0] == "none"
