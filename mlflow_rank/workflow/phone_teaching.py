"""Every phone probe of one encoder, fitted to what the first round left."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from mlflow_rank.encoders.listening import Listening
from mlflow_rank.encoders.phone_training import PhoneTraining
from mlflow_rank.probes.design import Shots
from mlflow_rank.probes.edit_errors import collapse, edit_errors
from mlflow_rank.probes.fold_sums import FoldSums, fit_centroid, fit_folds
from mlflow_rank.probes.heads import HEADS, FittedHead
from mlflow_rank.probes.phone_frames import choose_window, classified, frame_labels, reference
from mlflow_rank.probes.phone_heads import PhoneHeads, write_heads
from mlflow_rank.probes.phone_tokens import (
    utterance_of,
)
from mlflow_rank.probes.refusals import RefusedError
from mlflow_rank.probes.scores import replicates
from mlflow_rank.probes.tallies import class_tallies
from mlflow_rank.workflow.phone_design import PhonePilot
from mlflow_rank.workflow.progress import Progress

FITTED: Mapping[str, Callable[[Sequence[FoldSums]], FittedHead]] = {"ridge": fit_folds, "centroid": fit_centroid}
SKIPPED = "see why utterances were skipped"
SMOOTHED = 5  # frames, where there are too few folds to choose: the best on synthetic speech at 50 frames per second


@dataclass(frozen=True, slots=True)
class Spec:
    """Which head of a layer: its name, how many labels per class it learned from, and which draw of them."""

    head: str
    shots: Shots
    draw: int


@dataclass(frozen=True, slots=True, eq=False)
class Taught:
    """The heads of every layer of one encoder, in the order of `specs`, and how good each was on frames kept aside."""

    specs: tuple[Spec, ...]
    held_out: Mapping[int, tuple[float | None, ...]]
    labels: Mapping[Spec, int]
    path: Path
    digest: str


def teach(pilot: PhonePilot, listening: Listening, folder: Path, progress: Progress) -> Taught:
    """Fit all heads of one encoder from what the first round left, and write them where the second round finds them."""
    (keeping,) = (each for each in listening.keepings if isinstance(each, PhoneTraining))
    layers: dict[int, PhoneHeads] = {}
    held_out: dict[int, tuple[float | None, ...]] = {}
    specs: tuple[Spec, ...] = ()
    labels: dict[Spec, int] = {}
    for position in range(len(listening.encoder.layers)):
        with threadpool_limits(1):
            fitted, window, labels = _fitted(pilot, keeping, listening, position)
        specs = tuple(fitted)
        layers[position] = PhoneHeads.of(
            [head for head, _ in fitted.values()], [window] * len(fitted), classes=len(pilot.codes)
        )
        held_out[position] = tuple(good for _, good in fitted.values())
        progress.advance(1)
    digest = _digest(pilot, listening, specs)
    path = folder / f"heads_{digest}.npz"
    write_heads(path, layers)
    return Taught(specs, held_out, labels, path, digest)


def _digest(pilot: PhonePilot, listening: Listening, specs: Sequence[Spec]) -> str:
    """Return what the heads are known by: what they learned from, not their bytes, which no two machines share."""
    learned_from = listening.cache.directory.name  # a digest of encoder, utterances and labels
    items = {(draw.shots, draw.number): draw.items for draw in pilot.design.draws}
    drawn = [
        [spec.head, spec.shots, spec.draw, [pilot.design.inside.keys[item] for item in items[spec.shots, spec.draw]]]
        for spec in specs
    ]
    return hashlib.sha256(json.dumps([learned_from, drawn]).encode()).hexdigest()[:24]


def _fitted(
    pilot: PhonePilot, keeping: PhoneTraining, listening: Listening, position: int
) -> tuple[dict[Spec, tuple[FittedHead, float | None]], int, dict[Spec, int]]:
    files = listening.files
    folds = keeping.folds(files, position)
    fitted: dict[Spec, tuple[FittedHead, float | None]] = {}
    labels: dict[Spec, int] = {}
    window, accuracy = SMOOTHED, None
    heard = sum(1 for fold in folds if fold.weight > 0)
    if heard < min(len(folds), 2):
        raise RefusedError("too few of the speakers to learn from could be heard", remedy=SKIPPED)
    for name in pilot.heads if pilot.design.draws_of("all") else ():
        if heard > 2 and folds[0].weight > 0:
            head = FITTED[name](folds[1:])
            width, accuracy = _chosen(pilot, keeping, head, keeping.whole_frames(files, position))
            window = window if fitted else width  # that of the first head
        spec = Spec(name, "all", 0)
        fitted[spec] = (FITTED[name](folds), accuracy)
        labels[spec] = len(pilot.design.draws_of("all")[0].items)
    names, frames = keeping.token_frames(files, position)
    row = {name: number for number, name in enumerate(names)}
    sound_by_key = {pilot.spoken[sound].key: sound for sound in pilot.pool}
    codes = pilot.codes
    units = {group: number for number, group in enumerate(sorted(set(pilot.design.inside.groups)))}
    for draw in pilot.design.draws:
        if draw.shots == "all":
            continue
        items = []
        for item in draw.items:
            key, place = utterance_of(pilot.design.inside.keys[item])
            if f"{sound_by_key[key]}@{place}" in row:  # else too short to hold the centre of a frame
                items.append((item, row[f"{sound_by_key[key]}@{place}"]))
        truth = np.array([codes[pilot.design.inside.labels[item]] for item, _ in items])
        if len(set(truth.tolist())) < 2:
            raise RefusedError("too few of the phones to learn from could be heard", remedy=SKIPPED)
        groups = np.array([units[pilot.design.inside.groups[item]] for item, _ in items])
        for name in pilot.heads:
            head = HEADS[name].fit(frames[[at for _, at in items]], truth, groups, classes=len(codes))
            fitted[Spec(name, draw.shots, draw.number)] = (head, head.held_out)
            labels[Spec(name, draw.shots, draw.number)] = len(items)
    return fitted, window, labels


def _chosen(
    pilot: PhonePilot, keeping: PhoneTraining, head: FittedHead, frames: Mapping[str, NDArray[np.float32]]
) -> tuple[int, float | None]:
    """Return the smoothing with the fewest errors, and the balanced accuracy, on utterances the head has not heard."""
    silence = len(pilot.codes) - 1
    values = {sound: head.decide(rows) for sound, rows in frames.items()}
    said = {sound: keeping.phones[sound] for sound in frames}
    window = choose_window(
        list(values.values()),
        [reference(said[sound], classes=pilot.codes, silence=silence) for sound in values],
        errors=partial(_errors, silence=silence),
    )
    truth, best = [], []
    for sound, rows in values.items():
        labels = frame_labels(
            said[sound],
            frames=len(rows),
            seconds=pilot.spoken[sound].seconds,
            classes=pilot.codes,
            outside=silence,
            clock=keeping.clock,
        )
        truth.append(np.where(labels == silence, -1, labels))
        best.append(classified(rows, phones=silence))
    codes, called = np.concatenate(truth), np.concatenate(best)
    if not (codes >= 0).any():
        return window, None
    tallies = class_tallies(codes, called[None], ["held out"] * len(codes), classes=silence)
    return window, float(replicates("balanced_frame_accuracy", tallies).full[0])


def _errors(labels: NDArray[np.int64], truth: Sequence[int], *, silence: int) -> int:
    return int(edit_errors([truth], [collapse(labels, dropped=(silence,))])[0, :3].sum())
