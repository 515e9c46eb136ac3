"""Making clips: each shard in one fresh process, from planned clip to a 16-kHz WAV file and a manifest row."""

from __future__ import annotations

import multiprocessing
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import firwin, resample_poly

from mlflow_rank.speech.starter import degrade
from mlflow_rank.speech.starter.espeak import Espeak, Speech
from mlflow_rank.speech.starter.plan import SEED, Clip, Sounded, Spoken
from mlflow_rank.speech.starter.sounds import make_sound

RATE = 16_000  # Hz; what wav2vec 2.0-family encoders listen to
FULL_SCALE = 32_767


def make_shards(shards: Sequence[Sequence[Clip]], directory: Path, *, workers: int) -> list[dict[str, Any]]:
    """Write every clip below `directory` and return the manifest rows, in the order of the plan.

    The bytes do not depend on `workers`: a shard is always one process from start to end.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, max_tasks_per_child=1) as pool:
        made = pool.map(_make_shard, range(len(shards)), shards, [directory] * len(shards))
        return [row for rows in made for row in rows]


def _make_shard(index: int, clips: Sequence[Clip], directory: Path) -> list[dict[str, Any]]:
    import soundfile

    rows = []
    for clip, samples, row in synthesise(clips, seed=SEED + index):
        path = directory / f"{clip.key}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples, RATE, subtype="PCM_16")
        rows.append(row | {"manifests": clip.manifests})
    return rows


def synthesise(clips: Sequence[Clip], *, seed: int) -> Iterator[tuple[Clip, NDArray[np.int16], dict[str, Any]]]:
    """Yield each clip with its int16 samples at 16 kHz and its manifest row; call it in a fresh process."""
    espeak: Espeak | None = None
    for clip in clips:
        # one generator for each clip, so that adding a clip leaves the others' noise as it was
        rng = np.random.default_rng([seed, zlib.crc32(clip.key.encode())])
        row: dict[str, Any] = {"path": f"{clip.key}.wav"}
        if isinstance(clip, Sounded):
            wave = make_sound(clip.kind, clip.device, clip.take, rate=RATE, seed=SEED)
            row |= {"session": f"device{clip.device:02d}"}
        else:
            espeak = espeak or Espeak(seed)
            speech = espeak.say(clip.text, clip.delivery)
            wave = _degraded(_at_rate(speech), clip, rng)
            row |= {"speaker": clip.delivery.variant, "session": clip.session, "text": clip.text}
            if clip.with_phones:
                row["phones"] = [[p.symbol, round(p.start, 5), round(p.end, 5)] for p in speech.phones]
        samples = np.rint(np.clip(wave, -1, 1) * FULL_SCALE).astype(np.int16)
        yield clip, samples, row | {"duration": len(samples) / RATE} | clip.labels


def _at_rate(speech: Speech) -> NDArray[np.float64]:
    up, down, taps = _resampler(speech.rate)
    wave = resample_poly(speech.samples.astype(np.float64), up, down, window=taps)  # type: ignore[call-overload]
    return np.asarray(wave / np.abs(wave).max() * 0.5)  # peak at −6 dB, so voices differ in sound, not in level


@cache
def _resampler(rate: int) -> tuple[int, int, NDArray[np.float64]]:
    """Return up, down and the low-pass filter, designed once: scipy would design it anew for every clip."""
    up, down = RATE // gcd(RATE, rate), rate // gcd(RATE, rate)
    longest = max(up, down)
    return up, down, firwin(2 * 10 * longest + 1, 1 / longest, window=("kaiser", 5.0))  # resample_poly's own default


def _degraded(wave: NDArray[np.float64], clip: Spoken, rng: np.random.Generator) -> NDArray[np.float64]:
    if clip.condition == "room":
        return degrade.room(wave, rng)
    if clip.condition == "telephone":
        return degrade.telephone(wave, rng, rate=RATE)
    return wave
