"""What the benchmarks listen to and listen with: synthetic sound, and encoders with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from scipy.signal import lfilter

from mlflow_rank.encoders.hub import quiet
from mlflow_rank.encoders.listening import EncoderCall
from mlflow_rank.speech.corpus import Corpus
from mlflow_rank.speech.sources import open_corpus
from mlflow_rank.speech.torchaudio_backend import import_torchaudio

RATE = 16_000  # Hz, what HuBERT hears

BASE: dict[str, Any] = {}  # the defaults of transformers' HubertConfig are HuBERT-base: 12 blocks of 768, 94 M weights
SMALL: dict[str, Any] = {  # the starter encoder's size: 5 blocks of 160, 1.7 M weights
    "conv_dim": (32, 48, 64, 96, 96, 128, 128),
    "hidden_size": 160,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "intermediate_size": 640,
}


def encoder_call(folder: Path, config: dict[str, Any], *, seed: int = 0) -> EncoderCall:
    """Return how to load, on the CPU, a HuBERT with random weights that is saved in `folder` once."""
    directory = folder / f"hubert_{config.get('hidden_size', 'base')}"
    if not directory.exists():
        import torch

        import_torchaudio()  # transformers imports it by itself, and fails beside a CPU-only torch without this
        from transformers import HubertConfig, HubertModel

        torch.manual_seed(seed)
        with quiet():
            HubertModel(HubertConfig(**config)).save_pretrained(directory)
    return EncoderCall(str(directory), device="cpu")


def sound(folder: Path, *, utterances: int, seconds: float, seed: int = 0) -> Corpus:
    """Return a directory of WAV files of equal length: noise whose spectrum and loudness vary like a voice's.

    What is heard does not change the cost of hearing it.
    """
    directory = folder / f"sound_{utterances}_{seconds:g}"
    if not directory.exists():
        directory.mkdir()
        rng = np.random.default_rng(seed)
        for number in range(utterances):
            _write(directory / f"{number:04d}.wav", seconds, rng)
    return open_corpus(directory)


def _write(path: Path, seconds: float, rng: np.random.Generator) -> None:
    count = round(seconds * RATE)
    resonance, width = rng.uniform(0.05, 0.6), rng.uniform(0.9, 0.98)  # a pole pair: one formant
    noise = lfilter([1.0], [1.0, -2 * width * np.cos(resonance), width**2], rng.standard_normal(count))
    syllables = np.interp(
        np.arange(count), np.arange(0, count, RATE // 4), rng.uniform(0.1, 1, -(-count // (RATE // 4)))
    )
    voiced = noise * syllables
    soundfile.write(path, 0.5 * voiced / np.abs(voiced).max(), RATE, subtype="PCM_16")
