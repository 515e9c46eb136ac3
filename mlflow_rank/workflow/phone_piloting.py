"""A pilot of phones with times: probes learn from frames as they stream by, and are asked as others stream by.

Two rounds, each utterance heard once: first those that are learned from, whose frames leave sums; then those that are
tested, whose frames leave only what the probes call them. No round holds frames, so memory is that of minutes or hours
alike.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from mlflow_rank.encoders.block_moments import BlockMoments
from mlflow_rank.encoders.interface import Encoder
from mlflow_rank.encoders.listening import Listening
from mlflow_rank.encoders.phone_answers import Answers, PhoneAnswers
from mlflow_rank.encoders.phone_training import PhoneTraining
from mlflow_rank.errors import UsageError
from mlflow_rank.evidence.phone_scores import PhoneTest, predictions, score_sequences
from mlflow_rank.evidence.pilot_result import Piloted
from mlflow_rank.evidence.pilot_scores import Cell, Domain, Scored, score_classes
from mlflow_rank.probes.design import Design, Shots, make_design
from mlflow_rank.probes.edit_errors import collapse, edit_errors
from mlflow_rank.probes.fold_sums import FoldSums, fit_centroid, fit_folds
from mlflow_rank.probes.frame_clock import FrameClock
from mlflow_rank.probes.heads import HEADS, FittedHead
from mlflow_rank.probes.items import Items
from mlflow_rank.probes.leaks import ensure_no_shared_audio
from mlflow_rank.probes.phone_frames import choose_window, classified, frame_labels, reference
from mlflow_rank.probes.phone_heads import STREAMED, PhoneHeads, write_heads
from mlflow_rank.probes.phone_tokens import (
    Spoken,
    class_weights,
    codes_of,
    left_out_phones,
    phone_classes,
    spoken,
    token_items,
    utterance_of,
)
from mlflow_rank.probes.predictions import Predictions
from mlflow_rank.probes.refusals import RefusedError
from mlflow_rank.probes.scores import replicates
from mlflow_rank.probes.tallies import class_tallies
from mlflow_rank.probes.tasks import Task
from mlflow_rank.speech.alignments import SILENCE as SILENCES
from mlflow_rank.speech.blocks import Block, divide
from mlflow_rank.speech.utterance import Skipped, Utterance
from mlflow_rank.workflow.hearing import blocks_of, sound_of
from mlflow_rank.workflow.progress import Progress
from mlflow_rank.workflow.setting import Setting
from mlflow_rank.workflow.subjects import Subject

FOLDS = 5  # of the training speakers, for the choice of the penalty: each costs a matrix of D × D per layer on disk
WHOLE = 12  # utterances of one fold whose frames are kept, to choose the smoothing and the layer: about a minute
CLOCK_SECONDS = (0.31, 0.47, 0.83, 1.37, 1.99)  # s of noise that show the stride of an encoder's frames
FITTED: Mapping[str, Callable[[Sequence[FoldSums]], FittedHead]] = {"ridge": fit_folds, "centroid": fit_centroid}
SKIPPED = "see why utterances were skipped"
SMOOTHED = 5  # frames, where there are too few folds to choose: the best on synthetic speech at 50 frames per second


@dataclass(frozen=True, slots=True)
class Spec:
    """Which head of a layer: its name, how many labels per class it learned from, and which draw of them."""

    head: str
    shots: Shots
    draw: int


@dataclass(frozen=True, slots=True)
class PhonePilot:
    """A pilot of phones before anything is heard: the design over spoken phones, and who is on which side of it."""

    setting: Setting
    task: Task
    design: Design
    rare: Mapping[str, str]
    utterances: Mapping[str, Utterance]
    spoken: Mapping[str, Spoken]
    pool: tuple[str, ...]
    test: Mapping[Domain, tuple[str, ...]]
    heads: tuple[str, ...]

    @classmethod
    def of(
        cls,
        setting: Setting,
        task: Task,
        chosen: Mapping[Domain, Sequence[Utterance]],
        group: Callable[[Utterance, Domain], str],
        *,
        shots: tuple[Shots, ...],
        draws: int,
        seed: int,
        test_share: float,
        heads: tuple[str, ...],
    ) -> PhonePilot:
        """Draw up the design from the labels alone.

        Raises:
            RefusedError: the labels give no number.
            UsageError: a speaker is on both sides; a head that no frames can stream through, ….
        """
        unfit = [name for name in heads if name not in STREAMED]
        if unfit:
            raise UsageError(
                "this head cannot learn from frames as they stream by",
                got=", ".join(unfit),
                expected=" or ".join(STREAMED),
                remedy=f"--heads {','.join(STREAMED)}",
            )
        said = {
            domain: [_spoken(each, group(each, domain)) for each in utterances] for domain, utterances in chosen.items()
        }
        rare = left_out_phones(said["in_domain"], [k for k in shots if k != "all"])
        outside, outside_cause = _outside(said.get("out_of_domain"), rare)
        design = make_design(
            token_items(said["in_domain"], rare),
            outside,
            shots=shots,
            draws=draws,
            seed=seed,
            test_share=test_share,
            disjoint_by=task.disjoint_by,
        )
        design = replace(design, outside_cause=outside_cause or design.outside_cause)
        alone = {design.inside.groups[index] for index in design.pool}
        if len(alone) < 2 and "all" in design.shots:
            cause = (
                f"only {next(iter(alone), 'nobody')} is left to learn from: a penalty is chosen on left-out speakers"
            )
            design = replace(
                design,
                refusals={**design.refusals, "all": cause},
                draws=tuple(draw for draw in design.draws if draw.shots != "all"),
            )
        if len(phone_classes(design)) < 2:
            raise RefusedError("fewer than two phones can be told apart", remedy="label more phones")
        if not design.draws:
            raise RefusedError("; ".join(design.refusals.values()), remedy="label more, or ask for fewer --shots")
        tested = {design.inside.groups[index] for index in design.test}
        inside = said["in_domain"]
        return cls(
            setting=setting,
            task=task,
            design=design,
            rare=rare,
            utterances={sound_of(each): each for utterances in chosen.values() for each in utterances},
            spoken={
                sound_of(each): words
                for domain, utterances in chosen.items()
                for each, words in zip(utterances, said[domain], strict=True)
            },
            pool=_sounds(chosen["in_domain"], inside, {each.group for each in inside} - tested),
            test={
                domain: _sounds(
                    chosen[domain], words, tested if domain == "in_domain" else {each.group for each in words}
                )
                for domain, words in said.items()
            },
            heads=heads,
        )

    @property
    def codes(self) -> dict[str, int]:
        """The code of every phone in use, and of silence."""
        return codes_of(phone_classes(self.design))

    def training(self, subject: Subject) -> Listening:
        """Return what an encoder is to hear first: a block for each fold of the training speakers."""
        heard = [
            replace(self.utterances[sound], key=sound, speaker=self.spoken[sound].group) for sound in sorted(self.pool)
        ]
        folds = divide(heard, blocks=FOLDS, unit="speaker", order=lambda _: 0.0)
        return subject.listening(self.setting, folds, self.setting.protocol(), (self.lesson(subject, folds),))

    def lesson(self, subject: Subject, folds: Sequence[Block]) -> PhoneTraining:
        """Return what is to be kept of the training utterances."""
        sound_by_key = {self.spoken[sound].key: sound for sound in self.pool}
        tokens: dict[str, set[int]] = {}
        for draw in self.design.draws:
            for item in draw.items if draw.shots != "all" else ():
                key, place = utterance_of(self.design.inside.keys[item])
                tokens.setdefault(sound_by_key[key], set()).add(place)
        return PhoneTraining(
            name="phone_training",
            phones={sound: self.spoken[sound].phones for sound in self.pool},
            codes=self.codes,
            weights=class_weights([self.spoken[sound] for sound in self.pool], self.codes),
            tokens={sound: tuple(sorted(places)) for sound, places in tokens.items()},
            whole=frozenset(each.key for each in folds[0].utterances[:WHOLE]),
            clock=clock_of(subject.encoder),
        )

    def examination(self, subject: Subject, path: Path, digest: str) -> Listening:
        """Return what an encoder is to hear second: the test utterances of both domains."""
        sounds = sorted(dict.fromkeys(sound for domain in self.test.values() for sound in domain))
        keeping = PhoneAnswers(
            name="phone_answers",
            phones={sound: self.spoken[sound].phones for sound in sounds},
            codes=self.codes,
            heads=path,
            digest=digest,
            clock=clock_of(subject.encoder),
        )
        blocks = blocks_of([replace(self.utterances[sound], key=sound) for sound in sounds])
        return subject.listening(self.setting, blocks, self.setting.protocol(), (keeping,))


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


def clock_of(encoder: Encoder) -> FrameClock | None:
    """Return when an encoder's frames happen, from how many it gives for noise of known lengths."""
    import torch

    lengths = []
    for seconds in CLOCK_SECONDS:
        samples = int(seconds * encoder.sampling_rate)
        if samples < encoder.minimum_samples or samples > (encoder.maximum_samples or samples):
            continue
        noise = torch.randn(1, samples, generator=torch.Generator().manual_seed(0)) * 0.1
        lengths.append((samples, encoder.encode(noise)[0].shape[1]))
    return FrameClock.of_convolutions(lengths, field=encoder.minimum_samples, rate=encoder.sampling_rate)


def _outside(said: Sequence[Spoken] | None, rare: Mapping[str, str]) -> tuple[Items | None, str]:
    """Return the phones spoken out of domain, or why there are none."""
    if said is None:
        return None, ""
    try:
        items = token_items(said, rare)
    except RefusedError as refused:
        return None, f"out of domain {refused.what}"
    return items, ""


def _spoken(utterance: Utterance, group: str) -> Spoken:
    phones = [(phone.symbol, phone.start, phone.end) for phone in utterance.phones or ()]
    return spoken(utterance.key, group, phones, utterance.duration, SILENCES)


def _sounds(utterances: Sequence[Utterance], said: Sequence[Spoken], groups: set[str]) -> tuple[str, ...]:
    return tuple(sound_of(each) for each, words in zip(utterances, said, strict=True) if words.group in groups)


def _items(pilot: PhonePilot, sounds: Sequence[str], digests: Mapping[str, str]) -> Items:
    return Items(
        keys=tuple(pilot.utterances[sound].key for sound in sounds),
        labels=("",) * len(sounds),
        groups=tuple(pilot.spoken[sound].group for sound in sounds),
        digests=tuple(digests[sound] for sound in sounds),
        sessions=(None,) * len(sounds),
    )
