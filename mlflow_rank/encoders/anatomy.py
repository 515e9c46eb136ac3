"""An encoder taken apart: its module, its layers, and how a waveform becomes their frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_rank.encoders.interface import Layer

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, eq=False)
class Anatomy:
    """What a family of models contributes to an encoder.

    `forward` takes float32 waveforms (batch, samples) on the module's device to one (batch, frames, dim) tensor per
    layer. `save` writes into a directory what `load_encoder` needs to build the same module again, and returns the
    entries by which the export record finds it. `details` go into the encoder's description.
    """

    family: str
    module: torch.nn.Module
    layers: tuple[Layer, ...]
    forward: Callable[[torch.Tensor], Sequence[torch.Tensor]]
    sampling_rate: int
    minimum_samples: int
    maximum_samples: int | None
    details: Mapping[str, object]
    save: Callable[[Path], Mapping[str, object]]


def frozen(module: torch.nn.Module) -> torch.nn.Module:
    """Return the module in eval mode (no dropout, LayerDrop or masking), float32, without gradients."""
    return module.float().eval().requires_grad_(requires_grad=False)
