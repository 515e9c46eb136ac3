"""What an encoder is: named layers, a sampling rate, and frames for every layer from one forward pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Layer:
    """One place in the encoder whose frames are measured.

    `index` is 0 for what enters the first transformer block and 1…L for block outputs; `name` is the module's or the
    convention's name; `dim` is the width D of its frames.
    """

    index: int
    name: str
    dim: int


class Encoder(Protocol):
    """A frozen speech model in eval mode.

    `digest` is `sha256:…` over names, dtypes, shapes and bytes of all parameters and buffers, so two copies of the
    same weights agree wherever they lie. `minimum_samples` is the shortest waveform that gives one frame, in samples
    at `sampling_rate`. `maximum_samples` is the longest the encoder accepts, or None. `device` is "cpu" or "cuda".
    """

    spec: str
    family: str
    sampling_rate: int
    layers: tuple[Layer, ...]
    digest: str
    minimum_samples: int
    maximum_samples: int | None
    device: str

    def encode(self, waveforms: torch.Tensor) -> Sequence[torch.Tensor]:
        """Return, for each of `layers` in order, the frames of equally long waveforms.

        Args:
            waveforms: float32 in [-1, 1], shape (batch, samples), at `sampling_rate`; never padded.

        Returns:
            One float tensor of shape (batch, frames, dim) per layer.
        """
        ...

    def describe(self) -> Mapping[str, object]:
        """Return what identifies the encoder in a report: spec, family, parameter count, dtype, device, seed, ….

        All values JSON-ready.
        """
        ...
