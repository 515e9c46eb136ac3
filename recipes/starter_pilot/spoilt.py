"""A deliberately spoilt encoder: the weights of a checkpoint, shuffled inside each tensor.

`python -m recipes.starter_pilot.spoilt DIRECTORY` makes one of the starter encoder.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from mlflow_rank.encoders.specs import STARTER

WEIGHTS = "model.safetensors"


def write_spoilt(checkpoint: Path, directory: Path, *, seed: int = 0) -> None:
    """Copy a Hugging Face checkpoint into `directory` with the values of every tensor in a random order.

    Each tensor keeps its values, so their mean and spread, and loses everything that training put into their places.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for file in checkpoint.iterdir():
        if file.is_file() and file.name != WEIGHTS:
            shutil.copy(file, directory / file.name)
    rng = np.random.default_rng(seed)
    tensors = {
        name: rng.permutation(tensor.ravel()).reshape(tensor.shape)
        for name, tensor in sorted(load_file(checkpoint / WEIGHTS).items())
    }
    save_file(tensors, directory / WEIGHTS, metadata={"format": "pt"})


if __name__ == "__main__":
    write_spoilt(STARTER, Path(sys.argv[1]))
