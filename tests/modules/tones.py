"""Speech whose phones are tones: each phone has a frequency, each speaker a loudness, a pitch and a noise."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

RATE = 16_000
TONES = {"a": 400.0, "o": 1000.0, "e": 2300.0, "s": 5200.0, "sil": 0.0}  # Hz
SPEAKERS = ("ann", "bob", "cid", "dot", "eve", "fay", "gus", "hal")
Row = dict[str, Any]


def tones(
    directory: Path,
    *,
    speakers: Sequence[str] = SPEAKERS,
    each: int = 3,
    phones: int = 8,
    frequencies: Mapping[str, float] = TONES,
    noise: float = 0.02,
    name: str = "phones.jsonl",
) -> Path:
    """Write utterances of all lengths that differ, and the manifest of their phones; return its path.

    Silence is written down at the start of each; the one at its end is a gap that the labels leave out.
    """
    directory.mkdir(parents=True, exist_ok=True)
    spoken = [symbol for symbol in frequencies if symbol != "sil"]
    rows: list[Row] = []
    for speaker in speakers:
        rng = np.random.default_rng(list(speaker.encode()))
        loudness, pitch = rng.uniform(0.2, 0.8), rng.uniform(0.97, 1.03)
        for number in range(each):
            order = [spoken[(place + number) % len(spoken)] for place in range(phones)]
            rng.shuffle(order)
            pieces, timed, at = [], [], 0
            for symbol in ["sil", *order, "sil"]:
                samples = int(rng.uniform(0.08, 0.12) * RATE)
                wave = np.sin(2 * np.pi * pitch * frequencies.get(symbol, 0.0) * np.arange(samples) / RATE)
                pieces.append(loudness * 0.5 * wave + 0.01 * noise * rng.normal(size=samples))
                timed.append([symbol, at / RATE, (at + samples) / RATE])
                at += samples
            path = f"{speaker}_{number}.wav"
            soundfile.write(directory / path, np.concatenate(pieces), RATE, subtype="FLOAT")
            rows.append({"path": path, "speaker": speaker, "phones": timed[:-1]})
    return listed(directory / name, rows)


def listed(manifest: Path, rows: Sequence[Row]) -> Path:
    """Write a manifest."""
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return manifest


def rows_of(manifest: Path) -> list[Row]:
    """Read a manifest."""
    return [json.loads(line) for line in manifest.read_text().splitlines()]
