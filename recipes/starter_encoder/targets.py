"""What the encoder learns to predict: k-means clusters, first of MFCC, then of its own middle layer."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.cluster import MiniBatchKMeans
from transformers import HubertModel

from mlflow_rank.speech.torchaudio_backend import import_torchaudio
from recipes.starter_encoder.model import HOP, SAMPLING_RATE, WINDOW, normalised

CHUNK_FRAMES = 1500  # 30 s at a time, so memory stays small


def mfcc(stream: np.ndarray) -> np.ndarray:
    """Return 13 MFCC with first and second differences for every frame, shape (frames, 39), as HuBERT's first step."""
    torchaudio = import_torchaudio()
    transform = torchaudio.transforms.MFCC(
        sample_rate=SAMPLING_RATE,
        n_mfcc=13,
        melkwargs={"n_fft": 512, "win_length": WINDOW, "hop_length": HOP, "n_mels": 40, "center": True},
    )
    wave = torch.from_numpy(stream.astype(np.float32) / 32_768)
    # centred windows: shift so that frame i is centred where the encoder's frame i is, at HOP * i + WINDOW / 2
    shifted = torch.nn.functional.pad(wave[WINDOW // 2 :], (0, WINDOW))
    parts = []
    for start in range(0, len(stream), CHUNK_FRAMES * HOP):
        chunk = shifted[start : start + CHUNK_FRAMES * HOP]
        parts.append(transform(chunk)[:, : len(chunk) // HOP])
    coefficients = torch.cat(parts, dim=1)
    delta = torchaudio.functional.compute_deltas(coefficients)
    both = torch.cat([coefficients, delta, torchaudio.functional.compute_deltas(delta)])
    return both.T.contiguous().numpy()


@torch.inference_mode()
def layer_frames(encoder: HubertModel, stream: np.ndarray, layer: int) -> np.ndarray:
    """Return the frames of one layer for the whole stream, float16 of shape (frames, width)."""
    encoder.eval()
    parts = []
    frames = len(stream) // HOP
    for start in range(0, frames, CHUNK_FRAMES):
        stop = min(start + CHUNK_FRAMES, frames)
        chunk = stream[start * HOP : (stop - 1) * HOP + WINDOW].astype(np.float32) / 32_768
        chunk = np.pad(chunk, (0, (stop - 1 - start) * HOP + WINDOW - len(chunk)))
        output = encoder(normalised(torch.from_numpy(chunk)[None]), output_hidden_states=True)
        parts.append(output.hidden_states[layer][0].half().numpy())
    encoder.train()
    return np.concatenate(parts)


def cluster(features: np.ndarray, clusters: int, *, seed: int) -> np.ndarray:
    """Return the k-means cluster of every row, int64 of shape (frames,), on standardised features."""
    features = features.astype(np.float32)
    features = (features - features.mean(0)) / (features.std(0) + 1e-6)
    kmeans = MiniBatchKMeans(clusters, batch_size=10_000, n_init=3, max_iter=60, random_state=seed)
    kmeans.fit(features[np.random.default_rng(seed).permutation(len(features))[:150_000]])
    return kmeans.predict(features).astype(np.int64)
