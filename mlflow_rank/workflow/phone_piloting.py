"""A pilot of phones with times: probes learn from frames as they stream by, and are asked as others stream by.

Two rounds, each utterance heard once: first those that are learned from, whose frames leave sums; then those that are
tested, whose frames leave only what the probes call them. No round holds frames, so memory is that of minutes or hours
alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mlflow_rank.encoders.block_moments import BlockMoments
from mlflow_rank.encoders.listening import Listening
from mlflow_rank.encoders.phone_answers import Answers, PhoneAnswers
from mlflow_rank.evidence.phone_scores import PhoneTest, predictions, score_sequences
from mlflow_rank.evidence.pilot_result import Piloted
from mlflow_rank.evidence.pilot_scores import Cell, Scored, score_classes
from mlflow_rank.probes.design import Shots
from mlflow_rank.probes.items import Items
from mlflow_rank.probes.leaks import ensure_no_shared_audio
from mlflow_rank.probes.phone_frames import reference
from mlflow_rank.probes.phone_tokens import (
    phone_classes,
)
from mlflow_rank.probes.predictions import Predictions
from mlflow_rank.probes.refusals import RefusedError
from mlflow_rank.speech.utterance import Skipped
from mlflow_rank.workflow.phone_design import PhonePilot
from mlflow_rank.workflow.phone_teaching import SKIPPED, Taught, teach
from mlflow_rank.workflow.progress import Progress
from mlflow_rank.workflow.subjects import Subject


def examined(
    pilot: PhonePilot, listening: Listening, taught: Taught
) -> tuple[list[Predictions], dict[Cell, Scored], PhoneTest]:
    """Return what one encoder's heads called the test frames, and all scores."""
    (keeping,) = (each for each in listening.keepings if isinstance(each, PhoneAnswers))
    encoder = listening.encoder
    answers = {layer.index: keeping.read(listening.files, at) for at, layer in enumerate(encoder.layers)}
    held_out = {layer.index: taught.held_out[at] for at, layer in enumerate(encoder.layers)}
    test = _test(pilot, next(iter(answers.values())))
    if not len(test.frames["in_domain"]):
        raise RefusedError("no phone could be heard in domain", remedy=SKIPPED)
    columns: dict[tuple[str, Shots], list[int]] = {}
    for column, spec in enumerate(taught.specs):
        columns.setdefault((spec.head, spec.shots), []).append(column)
    predicted, spelt = predictions(answers, held_out, columns, test, labels=[taught.labels[s] for s in taught.specs])
    scored = score_classes(pilot.task, test.tested, predicted)
    return predicted, scored | score_sequences(pilot.task, test, spelt), test


def _test(pilot: PhonePilot, answers: Answers) -> PhoneTest:
    silence = len(pilot.codes) - 1
    return PhoneTest.of(
        answers,
        sides=pilot.test,
        groups={sound: pilot.spoken[sound].group for sound in answers.keys},
        references={
            sound: reference(pilot.spoken[sound].phones, classes=pilot.codes, silence=silence) for sound in answers.keys
        },
        classes=phone_classes(pilot.design),
        outside_cause=pilot.design.outside_cause,
    )


def check_leaks(pilot: PhonePilot, digests: Mapping[str, str]) -> None:
    """Raise a LeakError where the same audio was learned from and tested, now that the audio was heard."""
    for sounds in pilot.test.values():
        items = [_items(pilot, [sound for sound in each if sound in digests], digests) for each in (pilot.pool, sounds)]
        ensure_no_shared_audio(items[0], range(len(items[0])), items[1], range(len(items[1])))


def piloted(
    pilot: PhonePilot,
    found: Mapping[str, tuple[list[Predictions], dict[Cell, Scored], PhoneTest]],
) -> Piloted:
    """Return the pilot's result from those of all encoders, by role."""
    predicted, scored, test = found["candidate"]
    others = (found[role][1] if role in found else {} for role in ("control", "log_mel", "champion"))
    design = replace(pilot.design, unused_classes={**pilot.design.unused_classes, **pilot.rare})
    return Piloted(design, test.tested, predicted, scored, *others)


@dataclass(slots=True)
class PhoneCourse:
    """The two rounds of a phone pilot for every encoder, by role; where the labels give no number, no round."""

    pilot: PhonePilot | RefusedError
    roles: Mapping[str, Subject]
    lessons: dict[str, Listening] = field(default_factory=dict)
    taught: dict[str, Taught] = field(default_factory=dict)
    exams: dict[str, Listening] = field(default_factory=dict)

    def first(self) -> list[Listening]:
        """Return what is to be heard in the first round."""
        if isinstance(self.pilot, PhonePilot):
            self.lessons = {role: self.pilot.training(subject) for role, subject in self.roles.items()}
        return list(self.lessons.values())

    def second(self, folder: Path, progress: Progress) -> list[Listening]:
        """Fit the probes, once the first round was heard, and return what is to be heard in the second."""
        if isinstance(self.pilot, PhonePilot):
            progress.begin("training probes", sum(len(each.encoder.layers) for each in self.lessons.values()))
            for role, lesson in self.lessons.items():
                try:
                    taught = self.taught[role] = teach(self.pilot, lesson, folder, progress)
                except RefusedError as refused:
                    if role == "candidate":
                        self.pilot = refused
                        break
                else:
                    self.exams[role] = self.pilot.examination(self.roles[role], taught.path, taught.digest)
        return list(self.exams.values())

    def result(self, progress: Progress) -> Piloted | RefusedError:
        """Return what was found, once the second round was heard.

        Raises:
            LeakError: the same audio was learned from and tested.
        """
        if isinstance(self.pilot, RefusedError):
            return self.pilot
        check_leaks(self.pilot, self.digests)
        progress.begin("scoring phones", len(self.exams))
        found = {}
        for role, exam in self.exams.items():
            try:
                found[role] = examined(self.pilot, exam, self.taught[role])
            except RefusedError as refused:
                if role == "candidate":
                    return refused
            progress.advance(1)
        return piloted(self.pilot, found)

    @property
    def digests(self) -> dict[str, str]:
        """Content digests of what the candidate heard."""
        return {key: digest for listing in self._listings() for key, digest in listing.content_digests.items()}

    @property
    def skipped(self) -> dict[str, Skipped]:
        """What the candidate could not hear, and why."""
        return {each.key: each for listing in self._listings() for each in listing.skipped}

    def _listings(self) -> list[BlockMoments]:
        rounds = [rounds["candidate"] for rounds in (self.lessons, self.exams) if "candidate" in rounds]
        return [file.read_listing() for each in rounds for file in each.files]

    def forget(self) -> None:
        """Remove what was kept for going on."""
        for listening in (*self.lessons.values(), *self.exams.values()):
            listening.cache.remove()


def _items(pilot: PhonePilot, sounds: Sequence[str], digests: Mapping[str, str]) -> Items:
    return Items(
        keys=tuple(pilot.utterances[sound].key for sound in sounds),
        labels=("",) * len(sounds),
        groups=tuple(pilot.spoken[sound].group for sound in sounds),
        digests=tuple(digests[sound] for sound in sounds),
        sessions=(None,) * len(sounds),
    )
