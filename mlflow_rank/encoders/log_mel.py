"""Log-mel filter banks as an encoder of one layer: the baseline that a trained encoder has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_rank.encoders.anatomy import Anatomy, frozen
from mlflow_rank.encoders.interface import Layer
from mlflow_rank.errors import UsageError
from mlflow_rank.speech.torchaudio_backend import import_torchaudio

if TYPE_CHECKING:
    import torch

RATE = 16_000  # Hz
WINDOW, HOP, BANDS = 400, 160, 80  # 25 ms, 10 ms and 80 bands: Whisper's and most recognisers' log-mel features
FLOOR = 1e-10  # added to the power before the logarithm, as Whisper clips it there: digital silence has a logarithm too


def load_log_mel(layers: str | None) -> Anatomy:
    """Return the baseline: 80 log-mel energies every 10 ms, in nats.

    Raises:
        UsageError: a layer other than its only one, 0, is asked for.
    """
    if layers not in (None, "all", "last", "0"):
        raise UsageError("log-mel features have one layer", got=f"--layers {layers}", expected="0")
    import torch

    torchaudio = import_torchaudio()
    bands = frozen(
        torchaudio.transforms.MelSpectrogram(
            sample_rate=RATE, n_fft=WINDOW, win_length=WINDOW, hop_length=HOP, n_mels=BANDS, center=False
        )
    )

    def forward(waveforms: torch.Tensor) -> Sequence[torch.Tensor]:
        return [torch.log(bands(waveforms) + FLOOR).transpose(1, 2)]

    return Anatomy(
        family="log-mel",
        module=bands,
        layers=(Layer(0, "log-mel", BANDS),),
        forward=forward,
        sampling_rate=RATE,
        minimum_samples=WINDOW,
        maximum_samples=None,
        details={"features": f"{BANDS} log-mel bands, {WINDOW / RATE * 1000:g} ms every {HOP / RATE * 1000:g} ms"},
        save=_nothing_to_save,
    )


def _nothing_to_save(directory: Path) -> dict[str, object]:
    raise UsageError(
        "log-mel features are a formula, not a model to register",
        got=str(directory),
        expected="an encoder with weights",
    )
