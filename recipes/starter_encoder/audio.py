"""The unlabelled starter corpus as one stream, and the crops with noise, equaliser and gain that training hears."""

from __future__ import annotations

import json

import numpy as np
import soundfile
import torch

from mlflow_rank.speech.starter.corpus import StarterCorpus
from recipes.starter_encoder.model import HOP, SAMPLING_RATE


def read_stream(corpus: StarterCorpus, *, minutes: float | None = None) -> np.ndarray:
    """Return the unlabelled part, or its first minutes, as one int16 stream.

    Each utterance is cut to whole frames, so that frames of the stream are frames of utterances.
    """
    parts: list[np.ndarray] = []
    left = None if minutes is None else round(minutes * 60 * SAMPLING_RATE)
    for line in corpus.manifest("unlabelled").read_text(encoding="utf-8").splitlines():
        if left is not None and sum(map(len, parts)) >= left:
            break
        samples, _ = soundfile.read(corpus.directory / json.loads(line)["path"], dtype="int16")
        parts.append(samples[: len(samples) // HOP * HOP])
    return np.concatenate(parts)


def draw_crops(
    stream: np.ndarray, *, batch: int, frames: int, rng: np.random.Generator
) -> tuple[torch.Tensor, np.ndarray]:
    """Return clean crops, float32 of shape (batch, samples), and the index of each one's first frame."""
    samples = (frames - 1) * HOP + 400
    starts = rng.integers(0, len(stream) // HOP - frames - 1, size=batch)
    crops = np.stack([stream[start * HOP : start * HOP + samples] for start in starts])
    return torch.from_numpy(crops.astype(np.float32) / 32_768), starts


def degrade(crops: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return the crops through a random equaliser, coloured noise 5 to 35 dB down, and sometimes a telephone band."""
    batch, samples = crops.shape
    spectrum = torch.fft.rfft(crops)
    bins = spectrum.shape[1]
    # equaliser: a smooth curve through 10 points of ±8 dB
    points = (torch.rand(batch, 1, 10, generator=generator) - 0.5) * 16
    curve = torch.nn.functional.interpolate(points, size=bins, mode="linear", align_corners=True)[:, 0]
    frequency = torch.linspace(0, SAMPLING_RATE / 2, bins)
    on_telephone = torch.rand(batch, 1, generator=generator) < 0.15
    in_band = (frequency > 300) & (frequency < 3400)  # Hz; ITU-T G.712 speech band
    curve = torch.where(on_telephone & ~in_band, -30.0, curve)
    speech = torch.fft.irfft(spectrum * 10 ** (curve / 20), n=samples)
    colour = torch.rand(batch, 1, generator=generator)  # power spectrum between white (0) and pink (1)
    noise = torch.fft.rfft(torch.randn(batch, samples, generator=generator))
    noise = torch.fft.irfft(noise * torch.arange(1, bins + 1).float() ** (-colour / 2), n=samples)
    snr = 5 + 30 * torch.rand(batch, 1, generator=generator)
    level = speech.pow(2).mean(1, keepdim=True).sqrt() / noise.pow(2).mean(1, keepdim=True).sqrt()
    return speech + noise * level * 10 ** (-snr / 20)
