"""Rank from streamed moments against the singular values of the stored frames, both in float64."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.table import Limit, Row
from mlflow_rank.spectra import MomentsAccumulator, Spectrum
from mlflow_rank.spectra.family import effective_rank

UTTERANCE = 499  # frames in 10 s at 50 Hz: how rows arrive in a pass
CONDITIONS = tuple(10.0**power for power in range(9))  # largest over smallest singular value, 1e0 … 1e8


def run(folder: Path, *, quick: bool) -> list[Row]:
    """Return the worst error over all conditions, of frames stored as float64 and as float32, centred and not."""
    count, dim = (500, 64) if quick else (4_096, 768)
    rows = []
    for kept_as in ("float64", "float32"):
        errors = tuple(
            100 * abs(streamed / stored - 1)
            for condition in CONDITIONS
            for streamed, stored in _both(_frames(count, dim, condition).astype(kept_as))
        )
        rows.append(
            Row(
                f"error of effective rank, frames in {kept_as}",
                errors,
                "% off",
                Limit("≤", 0.001),
                f"moments of a stream against numpy's float64 SVD of the {count} × {dim} stored frames; "
                "singular values from 1 down to 1e0 … 1e-8, centred and not, mean as long as the widest direction",
                worst=True,
            )
        )
    return rows


def _frames(count: int, dim: int, condition: float) -> NDArray[np.float64]:
    """Return rows whose centred singular values fall evenly in log from 1 to 1/condition, rotated, with a mean."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((count, dim))
    left, _ = np.linalg.qr(noise - noise.mean(axis=0))
    right, _ = np.linalg.qr(rng.standard_normal((dim, dim)))
    return (left * np.geomspace(1, 1 / condition, dim)) @ right.T + right[0] / np.sqrt(count)


def _both(frames: NDArray[np.floating]) -> Iterator[tuple[float, float]]:
    """Yield the effective rank from the stream and from the stored frames, centred and then not."""
    accumulator = MomentsAccumulator(frames.shape[1])
    for first in range(0, len(frames), UTTERANCE):
        accumulator.update(frames[first : first + UTTERANCE])
    moments, stored = accumulator.moments(), frames.astype(np.float64)
    for centred in (True, False):
        values = np.linalg.svd(stored - stored.mean(axis=0) if centred else stored, compute_uv=False)
        shares = values / values.sum()
        shares = shares[shares > 0]
        yield effective_rank(Spectrum.of(moments, centred=centred)), float(np.exp(-shares @ np.log(shares)))
