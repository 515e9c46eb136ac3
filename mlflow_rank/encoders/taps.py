"""Reading what enters or leaves chosen modules during one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mlflow_rank.errors import UsageError

if TYPE_CHECKING:
    import torch
    from torch.utils.hooks import RemovableHandle


@dataclass(frozen=True, slots=True, eq=False)
class Tap:
    """A module and which side of it to read.

    `copied` keeps a copy instead of the tensor itself: needed where later code may change it in place, as hand-written
    residual sums (`x += …`) do.
    """

    name: str
    module: torch.nn.Module
    side: Literal["input", "output"] = "output"
    copied: bool = False


def read_taps(taps: Sequence[Tap], forward: Callable[[], object]) -> list[torch.Tensor]:
    """Run `forward` once and return what each tap saw, in the order of the taps.

    Raises:
        UsageError: a tapped module did not run, ran more than once, or gave no tensor.
    """
    seen: list[list[torch.Tensor]] = [[] for _ in taps]
    handles = [_attach(tap, heard) for tap, heard in zip(taps, seen, strict=True)]
    try:
        forward()
    finally:
        for handle in handles:
            handle.remove()
    for tap, heard in zip(taps, seen, strict=True):
        if len(heard) != 1:
            raise UsageError(
                f"module {tap.name!r} gave frames {len(heard)} times in one forward pass",
                expected="exactly once",
                remedy="tap modules that run once per waveform and return a tensor (see --layers)",
            )
    return [heard[0] for heard in seen]


def _attach(tap: Tap, heard: list[torch.Tensor]) -> RemovableHandle:
    def keep(value: object) -> None:
        tensor = first_tensor(value)
        if tensor is not None:
            heard.append(tensor.clone() if tap.copied else tensor)

    def before(_module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        keep(args or kwargs)

    def after(_module: torch.nn.Module, _args: tuple[Any, ...], output: object) -> None:
        keep(output)

    if tap.side == "input":
        return tap.module.register_forward_pre_hook(before, with_kwargs=True)
    return tap.module.register_forward_hook(after)


def first_tensor(value: object) -> torch.Tensor | None:
    """Return the tensor itself, or the first one in a tuple, list or mapping (such as transformers' outputs)."""
    import torch

    if isinstance(value, torch.Tensor):
        return value
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        return next((item for item in value if isinstance(item, torch.Tensor)), None)
    return None
