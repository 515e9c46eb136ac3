"""Weights as bytes: their digest, and reading them from a file without executing anything in it."""

from __future__ import annotations

import hashlib
import json
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_rank.encoders.foreign_errors import first_line, pickle_refused
from mlflow_rank.errors import UsageError

if TYPE_CHECKING:
    import torch


def state_tensors(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return a module's parameters and persistent buffers by name, sorted.

    Buffers that a module does not save (position tables, windows) are derived from its configuration, so they are no
    part of its weights.

    Raises:
        UsageError: the module keeps state that is not a tensor, which no weights file can carry.
    """
    import torch

    state = module.state_dict()
    strange = [name for name, value in state.items() if not isinstance(value, torch.Tensor)]
    if strange:
        raise UsageError(
            "the module keeps state that is not a tensor",
            got=", ".join(strange[:5]),
            expected="parameters and buffers only",
            remedy="drop get_extra_state from the module, or wrap it in one without",
        )
    return {name: state[name].detach() for name in sorted(state)}


def weights_digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """Return `sha256:…` over (name, dtype, shape, bytes) of the tensors in the order of their names.

    Each tensor is preceded by its header as one JSON line, so no two sets of tensors give the same stream. Tensors are
    hashed one by one in place; nothing is copied but what is not contiguous or not on the CPU.

    >>> import torch
    >>> weights_digest({"a": torch.zeros(2), "b": torch.ones(1)}) == weights_digest(
    ...     {"b": torch.ones(1), "a": torch.zeros(2)})
    True
    """
    import torch

    sha = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        header = [name, str(tensor.dtype).removeprefix("torch."), list(tensor.shape)]
        sha.update(json.dumps(header).encode() + b"\n")
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return f"sha256:{sha.hexdigest()}"


def read_state_file(path: Path) -> dict[str, torch.Tensor]:
    """Read a file of named tensors: safetensors, or torch's format restricted to tensors (`weights_only`).

    A checkpoint that keeps its weights under "state_dict" or "model", as training loops do, is opened there.

    Raises:
        UsageError: there is no such file, it holds more than plain tensors, or it is damaged.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise UsageError("no such weights file", got=str(path), expected="a .safetensors file or a torch state file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on odd pickle protocols, right before the refusal that we report
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise pickle_refused(path, error) from error
    except (SafetensorError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise UsageError(
            "this weights file cannot be read", got=f"{path}: {first_line(error)}", expected="an undamaged file"
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise UsageError("this file holds no named tensors", got=str(path), expected="a state dict: names to tensors")
    return dict(loaded)


def write_state_file(module: torch.nn.Module, path: Path) -> None:
    """Write a module's weights as safetensors; tensors that share memory are written out one by one."""
    from safetensors.torch import save_file

    save_file({name: tensor.cpu().clone().contiguous() for name, tensor in state_tensors(module).items()}, path)
