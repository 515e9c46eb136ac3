"""The labelled clips of a study of short sounds, decoded, in an order whose every beginning is balanced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.encoders.interface import Encoder
from mlflow_rank.errors import MeasurementError, UsageError
from mlflow_rank.probes.items import Items
from mlflow_rank.probes.seeded_order import spread
from mlflow_rank.probes.tasks import Task
from mlflow_rank.speech.decoding import decode
from mlflow_rank.speech.digests import corpus_digest
from mlflow_rank.speech.labelled import GroupUnit, group_of, group_unit, label_of, labelled
from mlflow_rank.speech.skips import UnusableAudio
from mlflow_rank.speech.starter.sounds import make_sound
from mlflow_rank.speech.utterance import Skipped, Utterance
from mlflow_rank.workflow.progress import Progress
from mlflow_rank.workflow.setting import Setting

BLOCKS = 10  # of the jackknife, as everywhere; more where there are a few more groups
MOST_GROUP_BLOCKS = 20  # one block for each group up to here
GROUPS_FOR_BLOCKS = 8  # fewer groups make no jackknife (speech/blocks.py)
LONGEST = 30.0  # s; short sounds are far below it, and whole recordings would be a mistake
MACHINES, RUNS = 8, 4  # of the motor hum: machines that the starter sounds do not have, and runs of each
FIRST_MACHINE = 100


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """A labelled clip: float32 samples (n,) at the encoder's rate, and the digest of its sound."""

    utterance: Utterance
    label: str
    group: str
    digest: str
    wave: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Sounds:
    """The clips in order of use: the first n of them are the sample of n clips, evenly from the classes.

    `blocks` has the jackknife block of each clip: whole groups (speaker, else session) where there are 8 or more.
    """

    source: str
    task: Task
    clips: tuple[Clip, ...]
    rate: int
    group_unit: GroupUnit
    block_unit: str
    blocks: tuple[int, ...]
    skipped: tuple[Skipped, ...]
    left_over: int

    @property
    def digest(self) -> str:
        """The digest of the clips, whatever their order and names."""
        return corpus_digest(clip.digest for clip in self.clips)

    def items(self, count: int) -> Items:
        """Return the first clips as the items of a pilot."""
        clips = self.clips[:count]
        return Items(
            keys=tuple(each.utterance.key for each in clips),
            labels=tuple(each.label for each in clips),
            groups=tuple(each.group for each in clips),
            digests=tuple(each.digest for each in clips),
            sessions=tuple(each.utterance.session for each in clips),
        )


def read_sounds(
    setting: Setting, encoder: Encoder, source: str, task: Task, most: int | None, progress: Progress
) -> Sounds:
    """Decode the labelled clips of a source, at most so many.

    Raises:
        UsageError: no such source, or nothing in it carries the label.
        MeasurementError: too many clips cannot be used.
    """
    listed = labelled(setting.corpus(source, progress), task)
    found = listed.utterances
    unit = group_unit(found)
    labels = [label_of(each, task) for each in found]
    order = spread([each.key for each in found], labels, setting.seed, "short sounds")
    if most is not None:
        order = order[:most]
    skipped = list(listed.corpus.skipped)
    clips = []
    progress.begin("decoding", len(order))
    for place in order:
        utterance = found[place]
        try:
            sound = decode(
                utterance,
                rate=encoder.sampling_rate,
                channel=setting.channel,
                min_duration=encoder.minimum_samples / encoder.sampling_rate,
                max_duration=LONGEST,
            )
        except UnusableAudio as unusable:
            skipped.append(unusable.skipped(utterance.key))
        else:
            clips.append(Clip(utterance, labels[place], group_of(utterance, unit), sound.content_digest, sound.samples))
        progress.advance(1)
    setting.check_skipped(skipped, len(order) + len(listed.corpus.skipped), progress)
    if not clips:
        raise MeasurementError("no clip could be used", got=f"{len(skipped)} skipped", expected="labelled clips")
    block_unit, blocks = _blocks(clips, unit)
    return Sounds(
        source=source,
        task=task,
        clips=tuple(clips),
        rate=encoder.sampling_rate,
        group_unit=unit,
        block_unit=block_unit,
        blocks=blocks,
        skipped=tuple(skipped),
        left_over=len(found) - len(order),
    )


def read_noise(
    setting: Setting, rate: int, source: str | None, sounds: Sounds, progress: Progress
) -> list[NDArray[np.float32]]:
    """Return stretches of noise at a rate: those of a source, or motor hum by formula where there is none.

    Raises:
        UsageError: no such source; or a file of it is among the clips.
        MeasurementError: too much of it cannot be used.
    """
    if source is None:
        return [
            make_sound("hum", FIRST_MACHINE + machine, run, rate=rate, seed=setting.seed).astype(np.float32)
            for machine in range(MACHINES)
            for run in range(RUNS)
        ]
    corpus = setting.corpus(source, progress)
    known = {clip.digest for clip in sounds.clips}
    skipped, noises = list(corpus.skipped), []
    for utterance in corpus.utterances:
        try:
            sound = decode(utterance, rate=rate, channel=setting.channel)
        except UnusableAudio as unusable:
            skipped.append(unusable.skipped(utterance.key))
            continue
        if sound.content_digest in known:
            raise UsageError(
                "the noise is one of the clips",
                got=utterance.key,
                expected="noise that carries no label",
                remedy="give noise of its own with --noise",
            )
        noises.append(sound.samples)
    setting.check_skipped(skipped, len(corpus.utterances) + len(corpus.skipped), progress)
    if not noises:
        raise MeasurementError("no noise could be used", got=source, expected="audio that is not silent")
    return noises


def _blocks(clips: Sequence[Clip], unit: GroupUnit) -> tuple[str, tuple[int, ...]]:
    """Return what blocks never split, and the block of each clip."""
    names = sorted({clip.group for clip in clips})
    if unit == "utterance" or len(names) < GROUPS_FOR_BLOCKS:
        return "utterance", tuple(number % BLOCKS for number in range(len(clips)))
    blocks = len(names) if len(names) <= MOST_GROUP_BLOCKS else BLOCKS
    place = {name: number % blocks for number, name in enumerate(names)}
    return unit, tuple(place[clip.group] for clip in clips)
