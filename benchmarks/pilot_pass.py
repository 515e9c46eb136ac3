"""What a pilot adds to a pass that is made anyway for the ranks: vectors of utterances, or sums of labelled frames."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import numpy as np

from benchmarks.interleaved import interleaved, whole
from benchmarks.material import BASE, SMALL, encoder_call, sound
from benchmarks.overhead import Stopwatch
from benchmarks.table import Limit, Row
from mlflow_rank.encoders.extraction import Extraction, Protocol
from mlflow_rank.encoders.keeping import Keeping
from mlflow_rank.encoders.phone_training import PhoneTraining
from mlflow_rank.encoders.pooled_vectors import POOLINGS, PooledVectors
from mlflow_rank.spectra import PRESETS
from mlflow_rank.speech.decoding import decode
from mlflow_rank.speech.utterance import Utterance

SECONDS, PHONE_SECONDS, PHONES = 10.0, 0.08, 40  # s of an utterance; s of a phone, about English's; kinds of phones
LEVELS = PRESETS["robust"].levels


def run(folder: Path, *, quick: bool) -> list[Row]:
    """Return the share of a forward pass that each keeping costs beside the moments of the ranks."""
    import torch

    plain = encoder_call(folder, SMALL if quick else BASE).load()
    heard = sound(folder, utterances=4, seconds=SECONDS).utterances
    waveforms = {each.key: torch.from_numpy(decode(each, rate=plain.sampling_rate).samples)[None] for each in heard}
    keys = frozenset(waveforms)
    encoder = Stopwatch(plain)
    turn = cycle(heard)

    def hearing(keepings: tuple[Keeping, ...], levels: tuple[str, ...]) -> Callable[[], float]:
        extraction = Extraction(encoder, Protocol(levels), keepings)
        extraction.hear(heard[:1], after=_nothing)  # a pass is seldom at its beginning
        own = cycle(heard)

        def once() -> float:
            extraction.hear([next(own)], after=_nothing)
            return encoder.seconds

        return once

    actions = {
        "forward": whole(lambda: plain.encode(waveforms[next(turn).key])),
        "ranks": hearing((), LEVELS),
        **{name: hearing((PooledVectors(name, keys, name),), LEVELS) for name in POOLINGS},
        "nothing": hearing((), ()),
        "phones": hearing((_lesson(heard),), ()),
    }
    times = interleaved(actions, rounds=2 if quick else 10)
    forward = np.array(times.seconds["forward"])
    rows = []
    for name, beside in (*((pooling, "ranks") for pooling in POOLINGS), ("phones", "nothing")):
        share = 100 * (np.array(times.seconds[name]) - np.array(times.seconds[beside])) / forward
        what = "sums of labelled frames for phone probes" if name == "phones" else f"one vector per utterance, {name}"
        how = f"{len(plain.layers)} layers, {SECONDS:g}-s utterances; beside " + (
            "the moments of the ranks" if beside == "ranks" else "a pass that keeps nothing"
        )
        rows.append(Row(f"pilot's share of a pass: {what}", tuple(share), "%", Limit("≤", 3), how))
    return rows


def _lesson(heard: tuple[Utterance, ...]) -> PhoneTraining:
    codes = {f"p{number}": number for number in range(PHONES)} | {"sil": PHONES}
    times = np.arange(0, SECONDS, PHONE_SECONDS)
    phones = tuple((f"p{number % PHONES}", float(at), float(at + PHONE_SECONDS)) for number, at in enumerate(times))
    return PhoneTraining(
        "phones", {each.key: phones for each in heard}, codes, (1.0,) * len(codes), {}, frozenset(), None
    )


def _nothing(_: Utterance) -> None:
    """Tell nobody."""
