"""The encoder that every family becomes: a torch module behind one interface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlflow_rank.encoders.interface import Layer
from mlflow_rank.encoders.weights import state_tensors, weights_digest
from mlflow_rank.errors import UsageError

if TYPE_CHECKING:
    import torch

    from mlflow_rank.encoders.anatomy import Anatomy
    from mlflow_rank.encoders.precision import Precision


class TorchEncoder:
    """A frozen torch module as an `Encoder`: see the interface for what its attributes mean.

    The digest is taken from the float32 weights before anything moves to a device, so it does not depend on where or
    in which format the forward pass runs.
    """

    spec: str
    family: str
    sampling_rate: int
    layers: tuple[Layer, ...]
    digest: str
    minimum_samples: int
    maximum_samples: int | None
    device: str

    def __init__(self, spec: str, anatomy: Anatomy, precision: Precision, **origin: object) -> None:
        self.spec, self.anatomy, self.precision, self._origin = spec, anatomy, precision, origin
        self.family, self.sampling_rate, self.layers = anatomy.family, anatomy.sampling_rate, anatomy.layers
        self.minimum_samples, self.maximum_samples = anatomy.minimum_samples, anatomy.maximum_samples
        tensors = state_tensors(anatomy.module)
        self.digest = weights_digest(tensors)
        self._parameters = sum(parameter.numel() for parameter in anatomy.module.parameters())
        self.device = precision.device.type
        anatomy.module.to(precision.device)

    def encode(self, waveforms: torch.Tensor) -> list[torch.Tensor]:
        """Return the frames of each layer, as the interface says; float32 whatever the precision.

        The tensors may be views of each other and of the model's own results: use them at once, and change none.

        Raises:
            UsageError: the waveforms are not (batch, samples), or shorter or longer than the encoder hears.
        """
        import torch

        if waveforms.ndim != 2 or not waveforms.is_floating_point():
            raise UsageError(
                "waveforms have the wrong form",
                got=f"{str(waveforms.dtype).removeprefix('torch.')} of shape {tuple(waveforms.shape)}",
                expected="float32 of shape (batch, samples)",
            )
        samples, longest = waveforms.shape[1], self.maximum_samples
        if samples < self.minimum_samples or (longest is not None and samples > longest):
            raise UsageError(
                f"the encoder cannot hear a waveform of this length at {self.sampling_rate} Hz",
                got=f"{samples} samples",
                expected=f"at least {self.minimum_samples}" + ("" if longest is None else f" and at most {longest}"),
            )
        with self.precision.applied():
            frames = self.anatomy.forward(waveforms.to(self.precision.device, torch.float32))
        return [layer.float() for layer in frames]

    def describe(self) -> Mapping[str, object]:
        """Return what identifies the encoder in a report; all values are JSON-ready."""
        import torch

        limits = {} if self.maximum_samples is None else {"maximum_samples": self.maximum_samples}
        return {
            "spec": self.spec,
            "family": self.family,
            "digest": self.digest,
            "parameters": self._parameters,
            "sampling_rate": self.sampling_rate,
            "minimum_samples": self.minimum_samples,
            **limits,
            "layers": [{"index": layer.index, "name": layer.name, "dim": layer.dim} for layer in self.layers],
            "dtype": self.precision.dtype,
            "device": self.precision.device.type,
            "torch": torch.__version__,
            **self._origin,
            **self.anatomy.details,
        }
