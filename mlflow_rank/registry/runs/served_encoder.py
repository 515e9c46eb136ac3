"""The encoder as MLflow serves it: waveforms in, one embedding per utterance and layer out.

MLflow copies this file into the model and runs it on loading ("models from code"), so nothing is pickled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd  # noqa: TID253 - MLflow reads the annotation of predict
from mlflow.models import set_model  # noqa: TID253 - this file is MLflow's entry, it runs only inside MLflow
from mlflow.pyfunc import PythonModel  # noqa: TID253

from mlflow_rank.encoders.load import load_encoder
from mlflow_rank.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlflow_rank.encoders.interface import Encoder


class ServedEncoder(PythonModel):  # type: ignore[misc]  # mlflow is untyped here
    """A frozen encoder behind `mlflow.pyfunc.load_model(uri).predict(...)`."""

    encoder: Encoder

    def load_context(self, context: Any) -> None:
        """Load the weights from the model's own files; MLflow calls this once."""
        self.encoder = load_encoder(str(Path(context.artifacts["encoder"])))

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: Mapping[str, object] | None = None
    ) -> pd.DataFrame:
        """Return the mean over time of every layer's frames.

        Args:
            context: unused.
            model_input: one row per utterance; `audio` holds samples in [-1, 1], one list or array of shape (samples,);
                the optional `sampling_rate` in Hz is checked against the encoder's, never resampled here.
            params: unused.

        Returns:
            One row per utterance in the order and with the index of the input; a column `layer_00`, `layer_01`, … per
            layer, each cell a list of floats of length D.

        Raises:
            UsageError: no audio column, a waveform that is empty, not flat, not finite, too short or too long, or
                another sampling rate; names the row.

        """
        columns = [f"layer_{layer.index:02d}" for layer in self.encoder.layers]
        rows = [self._embed(samples) for samples in self._waveforms(model_input)]
        return pd.DataFrame(rows, columns=columns, index=model_input.index)

    def _embed(self, samples: NDArray[np.float32]) -> list[list[float]]:
        import torch

        # One utterance at a time: padding to a common length would change what the encoder hears.
        layers = self.encoder.encode(torch.from_numpy(samples)[None])
        return [frames[0].float().mean(dim=0).tolist() for frames in layers]

    def _waveforms(self, model_input: pd.DataFrame) -> Iterator[NDArray[np.float32]]:
        if "audio" not in model_input:
            raise UsageError(
                "there is no audio in this request",
                got=f"columns {', '.join(map(str, model_input.columns))}",
                expected=f"a column `audio` with samples at {self.encoder.sampling_rate} Hz, one utterance a row",
            )
        rates: Sequence[Any] = list(model_input["sampling_rate"]) if "sampling_rate" in model_input else []
        for row, audio in enumerate(model_input["audio"]):
            if rates and pd.notna(rates[row]) and rates[row] != self.encoder.sampling_rate:
                raise UsageError(
                    f"row {row} has another sampling rate than the encoder",
                    got=f"{rates[row]} Hz",
                    expected=f"{self.encoder.sampling_rate} Hz",
                    remedy="resample it first, for instance with torchaudio.functional.resample",
                )
            try:
                samples = np.array(audio, dtype=np.float32)
            except (TypeError, ValueError) as error:
                raise UsageError(
                    f"row {row} is no list of numbers", got=str(error), expected="samples in [-1, 1]"
                ) from error
            yield self._checked(samples, row)

    def _checked(self, samples: NDArray[np.float32], row: int) -> NDArray[np.float32]:
        shortest, longest = self.encoder.minimum_samples, self.encoder.maximum_samples
        flat, finite = samples.ndim == 1, bool(np.isfinite(samples).all())
        if not flat or not finite or len(samples) < shortest or (longest is not None and len(samples) > longest):
            raise UsageError(
                f"row {row} is no waveform this encoder can hear",
                got=f"shape {samples.shape}" + ("" if finite else " with samples that are not finite"),
                expected=f"one channel of {shortest} to {longest or 'any number of'} samples",
            )
        return samples


set_model(ServedEncoder())
