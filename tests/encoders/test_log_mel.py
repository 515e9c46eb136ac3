"""The baseline of pilots: log-mel filter banks as an encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mlflow_rank.encoders.export import export_encoder
from mlflow_rank.encoders.load import load_encoder
from mlflow_rank.errors import UsageError
from mlflow_rank.speech.torchaudio_backend import import_torchaudio


@pytest.fixture(scope="module")
def waveforms() -> torch.Tensor:
    return 0.1 * torch.randn(2, 1600, generator=torch.Generator().manual_seed(5))


def test_it_is_one_layer_of_80_bands_every_10_ms(waveforms: torch.Tensor) -> None:
    encoder = load_encoder("log-mel", device="cpu")
    (frames,) = encoder.encode(waveforms)
    assert [(layer.index, layer.name, layer.dim) for layer in encoder.layers] == [(0, "log-mel", 80)]
    assert frames.shape == (2, 1 + (1600 - 400) // 160, 80)
    assert (encoder.family, encoder.sampling_rate, encoder.minimum_samples) == ("log-mel", 16_000, 400)
    assert encoder.encode(waveforms[:, :400])[0].shape == (2, 1, 80)
    assert encoder.describe()["parameters"] == 0


def test_it_is_the_logarithm_of_torchaudio_s_mel_power(waveforms: torch.Tensor) -> None:
    torchaudio = import_torchaudio()
    mel = torchaudio.transforms.MelSpectrogram(16_000, n_fft=400, hop_length=160, n_mels=80, center=False)(waveforms)
    (frames,) = load_encoder("log-mel", device="cpu").encode(waveforms)
    np.testing.assert_allclose(frames.numpy(), np.log(mel.numpy() + 1e-10).transpose(0, 2, 1), rtol=1e-5)


def test_its_power_is_that_of_the_hann_windowed_frame(waveforms: torch.Tensor) -> None:
    # By numpy alone: filters are convex weights of the power spectrum, so their sum over bands is a known quadratic.
    torchaudio = import_torchaudio()
    filters = torchaudio.functional.melscale_fbanks(201, 0.0, 8000.0, 80, 16_000).numpy()
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    power = np.abs(np.fft.rfft(waveforms[0, 160:560].numpy() * window)) ** 2
    (frames,) = load_encoder("log-mel", device="cpu").encode(waveforms)
    np.testing.assert_allclose(np.exp(frames[0, 1].numpy()), power @ filters + 1e-10, rtol=1e-3)


def test_digital_silence_is_finite() -> None:
    (frames,) = load_encoder("log-mel", device="cpu").encode(torch.zeros(1, 800))
    np.testing.assert_allclose(frames.numpy(), np.log(1e-10), rtol=1e-6)


@pytest.mark.parametrize("layers", ["all", "last", "0"])
def test_its_only_layer_may_be_asked_for(layers: str) -> None:
    assert len(load_encoder("log-mel", layers=layers, device="cpu").layers) == 1


@pytest.mark.parametrize("layers", ["1", "0,1", "0-2", "blocks.*"])
def test_no_other_layer_may(layers: str) -> None:
    with pytest.raises(UsageError, match="one layer") as raised:
        load_encoder("log-mel", layers=layers)
    assert raised.value.got == f"--layers {layers}"


def test_it_has_no_random_weights() -> None:
    with pytest.raises(UsageError, match="no weights to draw at random") as raised:
        load_encoder("random:log-mel")
    assert raised.value.got == "random:log-mel"


def test_it_is_no_model_to_register(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a formula, not a model"):
        export_encoder(load_encoder("log-mel", device="cpu"), tmp_path / "exported")
