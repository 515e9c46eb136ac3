"""Checkpoints of a tiny encoder, as a training writes them: in one go, or slowly, or broken."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

WEIGHTS = "model.safetensors"


def write_checkpoint(tiny: Path, place: Path, *, seed: int = 0, lost: bool = False, loss: float | None = None) -> Path:
    """Write the encoder in `tiny` with weights of its own into `place`.

    Args:
        tiny: a directory in transformers' form.
        place: the checkpoint's.
        seed: of what its weights differ by.
        lost: whether a weight of the last block is NaN.
        loss: what the Trainer logged.
    """
    shutil.copytree(tiny, place)
    weights = load_file(place / WEIGHTS)
    noise = torch.Generator().manual_seed(seed)
    for name, tensor in weights.items():
        weights[name] = tensor + 0.01 * torch.randn(tensor.shape, generator=noise)
    if lost:
        weights["encoder.layers.1.final_layer_norm.weight"][0] = torch.nan
    save_file(weights, place / WEIGHTS, metadata={"format": "pt"})
    if loss is not None:
        step = int(place.name.rpartition("-")[2])
        history = [{"step": step - 1, "loss": 9.0}, {"step": step, "loss": loss}, {"step": step, "eval_loss": 1.0}]
        (place / "trainer_state.json").write_text(json.dumps({"log_history": history}))
    return place


def cut_off(checkpoint: Path) -> bytes:
    """Cut the weights of a checkpoint off, as one that is being written; return what is missing."""
    whole = (checkpoint / WEIGHTS).read_bytes()
    half = len(whole) // 2
    (checkpoint / WEIGHTS).write_bytes(whole[:half])
    return whole[half:]
