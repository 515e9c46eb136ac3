"""Rank of frames that are already stored, against the singular value decompositions that others take of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmarks.interleaved import interleaved, whole
from benchmarks.table import Limit, Row
from mlflow_rank.spectra import Moments, MomentsAccumulator, Spectrum
from mlflow_rank.spectra.family import rankme

if TYPE_CHECKING:
    import torch

EPSILON = 1e-5  # stable-pretraining's, in place of the published 1e-7, so that both sides compute the same number
AGREEMENT = 1e-3  # relative: what float32 leaves of the others' decompositions, well below what a wrong formula moves


def run(folder: Path, *, quick: bool) -> list[Row]:
    """Return how many times as long each of the others takes."""
    import torch

    count, dim = (2_000, 128) if quick else (25_600, 768)  # RankMe's number of rows, HuBERT-base's dimensions
    frames = _frames(count, dim)
    tensor, moments = torch.from_numpy(frames), _moments(frames)
    actions = {
        "ours": lambda: _ours(_moments(frames)),
        "svdvals": lambda: _by_svdvals(tensor),
        "numpy": lambda: _by_numpy(frames),
        "query": lambda: _ours(moments),
    }
    answers = {name: action() for name, action in actions.items()}
    if any(abs(answer / answers["ours"] - 1) > AGREEMENT for answer in answers.values()):
        raise RuntimeError(f"these should agree, so nothing is compared: {answers}")
    times = interleaved(
        {name: whole(action) for name, action in actions.items()}, rounds=3 if quick else 7, warm_up=False
    )
    size = f"{count} × {dim} float32, {torch.get_num_threads()} thread, RankMe with ε = 1e-5 by each"
    others = "torch.linalg.svdvals, as stable-pretraining's RankMe"
    return [
        Row(
            "stored frames: against stable-pretraining",
            times.ratios("svdvals", "ours"),
            "×",
            Limit("≥", 1.8),
            f"{others}; {size}",
        ),
        Row(
            "stored frames: against numpy.linalg.svd",
            times.ratios("numpy", "ours"),
            "×",
            Limit("≥", 4),
            f"values only; {size}",
        ),
        Row(
            "a query after the pass: against stable-pretraining",
            times.ratios("svdvals", "query"),
            "×",
            Limit("≥", 20),
            f"spectrum and rank from moments; {others}; {size}",
        ),
    ]


def _frames(count: int, dim: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((dim, dim)) / np.arange(1, dim + 1)  # a power-law spectrum, in general position
    return (rng.standard_normal((count, dim)) @ mixing.T + rng.standard_normal(dim)).astype(np.float32)


def _moments(frames: NDArray[np.float32]) -> Moments:
    accumulator = MomentsAccumulator(frames.shape[1])
    accumulator.update(frames)
    return accumulator.moments()


def _ours(moments: Moments) -> float:
    return rankme(Spectrum.of(moments, centred=False), EPSILON)


def _by_svdvals(frames: torch.Tensor) -> float:
    import torch

    values = torch.linalg.svdvals(frames)
    shares = values / values.sum() + EPSILON
    return float(torch.exp(-(shares * torch.log(shares)).sum()))


def _by_numpy(frames: NDArray[np.float32]) -> float:
    values = np.linalg.svd(frames, compute_uv=False)
    shares = values / values.sum() + EPSILON
    return float(np.exp(-(shares * np.log(shares)).sum()))
