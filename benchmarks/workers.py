"""Two worker processes against one, on the same blocks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import numpy as np

from benchmarks.interleaved import interleaved, whole
from benchmarks.material import BASE, SMALL, encoder_call, sound
from benchmarks.table import Limit, Row
from mlflow_rank.encoders.block_cache import BlockCache
from mlflow_rank.encoders.block_moments import BlockFile
from mlflow_rank.encoders.extraction import Protocol
from mlflow_rank.encoders.listening import Listening
from mlflow_rank.spectra import PRESETS, estimate
from mlflow_rank.speech.blocks import Block
from mlflow_rank.speech.sampling import Sampling, draw

HOUR = 3600.0  # s
PROTOCOL = Protocol(PRESETS["robust"].levels)


def run(folder: Path, *, quick: bool) -> list[Row]:
    """Return how much faster two are, with and without their start, and how far their answers differ."""
    import torch

    call = encoder_call(folder, SMALL if quick else BASE)
    encoder = call.load()
    threads = max(1, (os.cpu_count() or 1) // 2)  # what each of two workers takes
    one_thread = torch.get_num_threads()
    torch.set_num_threads(threads)
    corpus = sound(folder, utterances=20, seconds=10)
    blocks = draw(corpus.utterances, Sampling()).blocks
    next_to_nothing = draw(sound(folder, utterances=2, seconds=0.1).utterances, Sampling(blocks=2)).blocks
    files: dict[str, list[BlockFile]] = {}
    place = count()  # a cache is claimed by the first that uses it

    def hear(name: str, workers: int, blocks: Sequence[Block]) -> None:
        cache = BlockCache(folder / f"workers_{next(place)}", encoder, PROTOCOL, blocks)
        cache.prepare(len(blocks), resume=False)
        listening = Listening(call, encoder, PROTOCOL, blocks, cache)
        hear([listening], workers=workers)
        files[name] = listening.files

    times = interleaved(
        {
            "one": whole(lambda: hear("one", 1, blocks)),
            "two": whole(lambda: hear("two", 2, blocks)),
            "start": whole(lambda: hear("start", 2, next_to_nothing)),
        },
        rounds=1 if quick else 2,
        warm_up=False,
    )
    torch.set_num_threads(one_thread)
    one, two, start = (np.array(times.seconds[name]) for name in ("one", "two", "start"))
    audio = sum(each.duration for each in corpus.utterances)
    heard = f"{audio:.0f} s of audio in ten blocks, {threads} thread(s) each"
    hour = one * HOUR / audio
    return [
        Row(
            "two workers against one, without their start",
            tuple(one / (two - start)),
            "×",
            Limit("≥", 1.7),
            f"{heard}; start ({np.median(start):.1f} s: processes, imports, loading) taken off, as timed on no audio",
        ),
        Row("two workers against one, with their start", tuple(one / two), "×", None, heard),
        Row(
            "two workers against one, with their start, 60 min",
            tuple(hour / ((two - start) * HOUR / audio + start)),
            "×",
            Limit("≥", 1.7),
            "computed from the parts above",
        ),
        Row(
            "answers of two workers and of one",
            tuple(_differences(files["one"], files["two"], len(encoder.layers))),
            "relative",
            Limit("≤", 1e-9),
            "relative difference of every estimate of every layer at frame level",
            worst=True,
        ),
    ]


def _differences(ours: list[BlockFile], theirs: list[BlockFile], layers: int) -> list[float]:
    """Return the relative difference of every number of every estimate."""
    differences = []
    for place in ((layer, "frame") for layer in range(layers)):
        a, b = (estimate([file.read_packed(place) for file in files], level="frame") for files in (ours, theirs))
        for one, other in zip(a, b, strict=True):
            if one.value is not None and other.value is not None:
                differences.append(abs(one.value - other.value) / max(abs(one.value), 1e-300))
    return differences
