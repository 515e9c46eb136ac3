"""The control: the same architecture with seeded random weights."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mlflow_rank.errors import UsageError

if TYPE_CHECKING:
    import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw torch's random numbers from `seed` inside, and leave the caller's generator as it was."""
    import torch

    with torch.random.fork_rng(devices=[]):  # models are built on the CPU
        torch.manual_seed(seed)
        yield


def redraw(module: torch.nn.Module, seed: int) -> None:
    """Draw every weight of a module anew, each submodule by its own `reset_parameters`, parents after children.

    Raises:
        UsageError: a submodule owns weights that it cannot redraw; leaving them would make a half-trained control.
    """
    with seeded(seed):
        for name, part in reversed(list(module.named_modules())):
            # Read from the instance's own tables: a parametrised weight is no parameter of the module that uses it.
            if getattr(part, "parametrizations", None):
                _redraw_parametrised(name, part)
            elif part._parameters and type(part).__name__ not in _PARAMETRISATION_PARTS:
                _reset(name, part)


_PARAMETRISATION_PARTS = ("ParametrizationList",)
"""Their tensors (original0, …) belong to the module that they parametrise, which redraws them."""


def _reset(name: str, part: Any) -> None:
    reset = getattr(part, "reset_parameters", None) or getattr(part, "_reset_parameters", None)
    if reset is None or any(f"{tensor.removesuffix('_g')}_v" in part._parameters for tensor in part._parameters):
        raise UsageError(
            "this module cannot be given random weights",
            got=f"submodule {name or '(the module itself)'} of type {type(part).__name__}, "
            f"which owns {', '.join(part._parameters)} and cannot redraw them",
            expected="a reset_parameters method on every submodule that owns weights",
            remedy="add reset_parameters to it, or pass a factory that returns random weights as a model of its own",
        )
    reset()


def _redraw_parametrised(name: str, part: Any) -> None:
    """Redraw a module whose weight is computed from others (weight norm), where its own reset would have no effect."""
    from torch.nn.utils import parametrize

    plain = copy.deepcopy(part)
    parametrised = list(part.parametrizations)
    for tensor in parametrised:
        parametrize.remove_parametrizations(plain, tensor, leave_parametrized=True)
    _reset(name, plain)
    for tensor, value in plain.named_parameters(recurse=False):
        if tensor in parametrised:
            setattr(part, tensor, value.detach())  # goes through the parametrisation's right_inverse
        else:
            getattr(part, tensor).data.copy_(value.data)
