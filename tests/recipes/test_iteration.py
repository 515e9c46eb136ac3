"""One iteration of masked prediction, held against the same loop written out."""

from __future__ import annotations

import numpy as np
import torch

from recipes import starter_encoder  # noqa: F401  # before the first import of transformers
from recipes.starter_encoder.audio import degrade, draw_crops
from recipes.starter_encoder.model import HubertConfig, HubertModel, MaskedPredictor, normalised
from recipes.starter_encoder.schedule import Schedule
from recipes.starter_encoder.training import train

STREAM = np.random.default_rng(0).integers(-3_000, 3_000, 4 * 16_000, dtype=np.int16)
CLUSTERS = np.random.default_rng(1).integers(0, 7, 200)
SCHEDULE = Schedule(steps=3, learning_rate=1e-3, warmup=2, batch=2, frames=20)


def model() -> MaskedPredictor:
    """Random weights, the same each time, and dropout that goes on from them."""
    torch.manual_seed(0)
    narrow = HubertConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, conv_dim=(8,) * 7,
        num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2, mask_time_prob=0.5,
    )  # fmt: skip
    return MaskedPredictor(HubertModel(narrow), 7)


def written_out(ours: MaskedPredictor) -> list[float]:
    rng, generator = np.random.default_rng(5), torch.Generator().manual_seed(5)
    optimizer = torch.optim.AdamW(ours.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01)
    ours.train()
    losses = []
    for step in range(3):
        optimizer.param_groups[0]["lr"] = SCHEDULE.rate(step)
        crops, starts = draw_crops(STREAM, batch=2, frames=20, rng=rng)
        wanted = torch.from_numpy(np.stack([CLUSTERS[start : start + 20] for start in starts]))
        mask = SCHEDULE.mask(rng)
        logits = ours(normalised(degrade(crops, generator)), mask)
        each = torch.nn.functional.cross_entropy(logits.transpose(1, 2), wanted, reduction="none")
        loss = each[mask].mean() + each[~mask].mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(ours.parameters(), 5.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_an_iteration_is_draw_degrade_mask_predict_and_step():
    told: list[tuple[int, float]] = []
    trained = model()
    train(
        trained, STREAM, CLUSTERS, SCHEDULE, seed=5,
        after_step=lambda step, loss, accuracy: told.append((step, loss)),
    )  # fmt: skip

    plain = model()
    assert told == list(enumerate(written_out(plain), start=1))
    for ours, theirs in zip(trained.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert [SCHEDULE.rate(step) for step in range(3)] == [0.5e-3, 1e-3, 1e-3]
