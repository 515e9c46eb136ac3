"""The control: the same architecture with seeded random weights."""

from __future__ import annotations

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
    # The old torch.nn.utils.weight_norm keeps weight_g and weight_v, and overwrites what a reset draws.
    if reset is None or any(f"{tensor.removesuffix('_g')}_v" in part._parameters for tensor in part._parameters):
        raise _cannot_redraw(name, part, f"owns {', '.join(part._parameters)} and cannot redraw them")
    reset()


def _redraw_parametrised(name: str, part: Any) -> None:
    """Redraw a module whose weight is computed from others (weight norm), where its own reset would have no effect.

    A stand-in of the module's original class, with the computed weights as plain ones, is reset in its place, and what
    it drew goes back through the parametrisation's `right_inverse`. (Removing the parametrisation from a copy would
    not do: torch removes it from the class, which the copy shares.)
    """
    from torch.nn import Parameter
    from torch.nn.utils import parametrize

    computed = {tensor: Parameter(getattr(part, tensor).detach().clone()) for tensor in part.parametrizations}
    original_class: Any = parametrize.type_before_parametrizations(part)
    plain = original_class.__new__(original_class)
    plain.__dict__.update(part.__dict__)
    plain.__dict__["_parameters"] = {**part._parameters, **computed}
    plain.__dict__["_modules"] = {
        child: module for child, module in part._modules.items() if child != "parametrizations"
    }
    _reset(name, plain)
    for tensor, value in computed.items():
        try:
            setattr(part, tensor, value.detach())
        except (RuntimeError, NotImplementedError) as error:
            steps = ", ".join(type(step).__name__ for step in part.parametrizations[tensor])
            raise _cannot_redraw(name, part, f"computes {tensor} by {steps}, without right_inverse") from error


def _cannot_redraw(name: str, part: Any, why: str) -> UsageError:
    return UsageError(
        "this module cannot be given random weights",
        got=f"submodule {name or '(the module itself)'} of type {type(part).__name__}, which {why}",
        expected="a reset_parameters method on every submodule that owns weights",
        remedy="add reset_parameters to it, or measure a factory that returns random weights as a model of its own",
    )
