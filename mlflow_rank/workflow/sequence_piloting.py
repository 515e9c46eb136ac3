"""A pilot of phones without times: every frame is kept on disk, and linear CTC heads learn to spell from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mlflow_rank.encoders.block_moments import BlockMoments
from mlflow_rank.encoders.listening import Listening
from mlflow_rank.encoders.stored_frames import StorageRate, StoredFrames, ensure_room
from mlflow_rank.errors import MeasurementError
from mlflow_rank.evidence.pilot_result import Piloted
from mlflow_rank.evidence.pilot_scores import Cell, Domain, Scored
from mlflow_rank.evidence.sequence_scores import CTC, SequenceTest, Spelled, score_spelled
from mlflow_rank.probes.ctc import EPOCHS, fit_ctc, shortest_for
from mlflow_rank.probes.design import Design, Shots
from mlflow_rank.probes.items import Items
from mlflow_rank.probes.leaks import LeakError
from mlflow_rank.probes.phone_frames import UNLABELLED
from mlflow_rank.probes.predictions import Predictions
from mlflow_rank.probes.refusals import RefusedError
from mlflow_rank.probes.sequence_design import SPELLED, sequence_design
from mlflow_rank.speech.alignments import SILENCE
from mlflow_rank.speech.blocks import Block
from mlflow_rank.speech.labelled import phones_in_order
from mlflow_rank.speech.utterance import Skipped, Utterance
from mlflow_rank.workflow.hearing import sound_of
from mlflow_rank.workflow.progress import Progress
from mlflow_rank.workflow.setting import Setting
from mlflow_rank.workflow.subjects import Subject

HEADS_EACH = 3  # of every layer, each with a seed of its own: the fewest whose spread can be told
HEADS_IN_WORDS = {
    CTC: f"one linear layer trained with CTC (blank last) by AdamW in at most {EPOCHS} epochs, as many as make the "
    "fewest errors on training speakers held out; features standardised on those learned from; greedy decoding; "
    f"mean of {HEADS_EACH} seeds"
}
POOLING = "none"  # every frame is spelled from
KEEPING = "sequence_frames"

GroupOf = Callable[[Utterance, Domain], str]


@dataclass(frozen=True, slots=True)
class SequencePilot:
    """A pilot of phone sequences before anything is heard: the utterances of each domain and how they are split."""

    setting: Setting
    utterances: Mapping[Domain, tuple[Utterance, ...]]
    group_of: GroupOf
    shots: tuple[Shots, ...]
    seed: int
    test_share: float

    @classmethod
    def of(
        cls,
        setting: Setting,
        utterances: Mapping[Domain, Sequence[Utterance]],
        group_of: GroupOf,
        *,
        shots: tuple[Shots, ...],
        seed: int,
        test_share: float,
    ) -> SequencePilot:
        """Check that the labels give a number before anything is heard.

        Raises:
            RefusedError: they give none.
            UsageError: a speaker or a file is on both sides.
        """
        chosen = {domain: tuple(each) for domain, each in utterances.items()}
        pilot = cls(setting, chosen, group_of, shots, seed, test_share)
        pilot.design({sound: sound for sound in pilot.sounds})
        return pilot

    @property
    def sounds(self) -> dict[str, Utterance]:
        """Every utterance by its sound, each once."""
        return {sound_of(each): each for utterances in self.utterances.values() for each in utterances}

    def design(self, digests: Mapping[str, str], too_fast: Mapping[str, str] | None = None) -> Design:
        """Return the design over the utterances that have a digest.

        Args:
            digests: of the audio, by sound.
            too_fast: sounds that cannot be learned from, and why.

        Raises:
            RefusedError: there is nothing to test or to learn from.
            LeakError: the same audio or speaker is on both sides.
        """
        items = {domain: self._items(domain, digests) for domain in self.utterances}
        sequences = {
            domain: {each.key: spoken(each) for each in utterances} for domain, utterances in self.utterances.items()
        }
        fast = too_fast or {}
        return sequence_design(
            items["in_domain"],
            items.get("out_of_domain"),
            sequences["in_domain"],
            sequences.get("out_of_domain", {}),
            shots=self.shots,
            seed=self.seed,
            test_share=self.test_share,
            unlearnable={
                each.key: fast[sound_of(each)] for each in self.utterances["in_domain"] if sound_of(each) in fast
            },
        )

    def listening(self, subject: Subject, rate: StorageRate) -> Listening:
        """Return what an encoder is to hear: everything, in blocks whose frames fit into memory."""
        keeping = StoredFrames(KEEPING, frozenset(self.sounds))
        heard = [replace(utterance, key=sound) for sound, utterance in sorted(self.sounds.items())]
        blocks = [Block(index, tuple(run)) for index, run in enumerate(rate.runs(heard))]
        return subject.listening(self.setting, blocks, self.setting.protocol(), (keeping,))

    def _items(self, domain: Domain, digests: Mapping[str, str]) -> Items:
        heard = [each for each in self.utterances[domain] if sound_of(each) in digests]
        return Items(
            keys=tuple(each.key for each in heard),
            labels=(SPELLED,) * len(heard),
            groups=tuple(self.group_of(each, domain) for each in heard),
            digests=tuple(digests[sound_of(each)] for each in heard),
            sessions=tuple(each.session for each in heard),
        )


def spoken(utterance: Utterance) -> tuple[str, ...]:
    """Return the phones of an utterance in order, without silence."""
    return tuple(symbol for symbol in phones_in_order(utterance) if symbol not in SILENCE)


@dataclass(slots=True)
class SequenceCourse:
    """The one round of a sequence pilot for every encoder, by role; where the labels give no number, no round."""

    pilot: SequencePilot | RefusedError
    roles: Mapping[str, Subject]
    listenings: dict[str, Listening] = field(default_factory=dict)

    def first(self) -> list[Listening]:
        """Return what is to be heard.

        Raises:
            MeasurementError: there is no disk space for the frames.
        """
        if isinstance(self.pilot, SequencePilot):
            rates = {role: StorageRate.of(subject.encoder) for role, subject in self.roles.items()}
            for role, subject in self.roles.items():
                self.listenings[role] = self.pilot.listening(subject, rates[role])
            try:
                ensure_room(list(self.listenings.values()), list(rates.values()))
            except MeasurementError:
                if not self.pilot.setting.resume:  # nothing is there to go on from
                    self.forget()
                raise
        return list(self.listenings.values())

    def second(self, folder: Path, progress: Progress) -> list[Listening]:
        """Return nothing: heads are trained on what is kept, however often it takes."""
        return []

    def result(self, progress: Progress) -> Piloted | RefusedError:
        """Train the heads and return what was found, once everything was heard.

        Raises:
            LeakError: the same audio is learned from and tested.
        """
        if isinstance(self.pilot, RefusedError):
            return self.pilot
        try:
            design = self.pilot.design(self.digests, self._too_fast(self.pilot))
        except RefusedError as refused:
            return refused
        except LeakError:
            self.forget()  # other labels are other frames: nothing goes on from these
            raise
        layers = sum(len(each.encoder.layers) for each in self.listenings.values())
        progress.begin("training CTC heads", layers * HEADS_EACH)
        test = sequence_test(design, self.pilot)
        predicted: dict[str, list[Predictions]] = {}
        scored: dict[str, dict[Cell, Scored]] = {}
        for role, listening in self.listenings.items():
            spelled = {
                layer.index: _spelled(self.pilot, design, listening, position, progress)
                for position, layer in enumerate(listening.encoder.layers)
            }
            predicted[role], scored[role] = score_spelled(spelled, test, labels=len(design.pool))
        others = (scored.get(role, {}) for role in ("control", "log_mel", "champion"))
        return Piloted(design, test.tested, predicted["candidate"], scored["candidate"], *others)

    @property
    def digests(self) -> dict[str, str]:
        """Content digests of what every encoder heard."""
        heard = [
            {key: digest for listing in self._listings(role) for key, digest in listing.content_digests.items()}
            for role in self.listenings
        ]
        return {key: digest for key, digest in heard[0].items() if all(key in each for each in heard)} if heard else {}

    @property
    def skipped(self) -> dict[str, Skipped]:
        """What could not be heard and why, by the candidate or, with its part named, by another encoder."""
        skipped: dict[str, Skipped] = {}
        for role in self.listenings:
            for each in (each for listing in self._listings(role) for each in listing.skipped):
                detail = each.detail if role == "candidate" else f"{role}: {each.detail}"
                skipped.setdefault(each.key, replace(each, detail=detail))
        return skipped

    def forget(self) -> None:
        """Remove the frames."""
        for listening in self.listenings.values():
            listening.cache.remove()

    def _listings(self, role: str) -> list[BlockMoments]:
        return [file.read_listing() for file in self.listenings[role].files]

    def _too_fast(self, pilot: SequencePilot) -> dict[str, str]:
        """Return which utterances have too few frames for their phones, in any layer of any encoder."""
        needed = {sound: shortest_for(_numbered(spoken(each))) for sound, each in pilot.sounds.items()}
        fewest: dict[str, int] = {}
        for listening in self.listenings.values():
            (keeping,) = _keepings(listening)
            for position in range(len(listening.encoder.layers)):
                for sound, length in keeping.lengths(listening.files, position).items():
                    fewest[sound] = min(length, fewest.get(sound, length))
        return {
            sound: f"{length} frames, {needed[sound]} needed to spell its phones"
            for sound, length in fewest.items()
            if length < needed[sound]
        }


def sequence_test(design: Design, pilot: SequencePilot) -> SequenceTest:
    """Return the test utterances of a design, in its order."""
    codes = {phone: code for code, phone in enumerate(design.classes)}
    sides: dict[Domain, tuple[Items, tuple[int, ...]]] = {"in_domain": (design.inside, design.test)}
    if design.outside is not None:
        sides["out_of_domain"] = (design.outside, design.outside_test)
    by_key = {domain: {each.key: each for each in utterances} for domain, utterances in pilot.utterances.items()}
    return SequenceTest(
        references={
            domain: [
                [codes.get(phone, UNLABELLED) for phone in spoken(by_key[domain][items.keys[index]])]
                for index in chosen
            ]
            for domain, (items, chosen) in sides.items()
        },
        groups={domain: [items.groups[index] for index in chosen] for domain, (items, chosen) in sides.items()},
        classes=design.classes,
        outside_cause=design.outside_cause,
    )


def _spelled(pilot: SequencePilot, design: Design, listening: Listening, position: int, progress: Progress) -> Spelled:
    """Train the heads of one layer, and return what they spell of the test utterances."""
    (keeping,) = _keepings(listening)
    codes = {phone: code for code, phone in enumerate(design.classes)}
    inside = {each.key: each for each in pilot.utterances["in_domain"]}
    learned = [inside[design.inside.keys[index]] for index in design.pool]
    frames = keeping.read(listening.files, position, {sound_of(each) for each in learned})
    heads = []
    for number in range(HEADS_EACH):
        heads.append(
            fit_ctc(
                [frames[sound_of(each)] for each in learned],
                [[codes[phone] for phone in spoken(each)] for each in learned],
                symbols=len(codes),
                groups=[design.inside.groups[index] for index in design.pool],
                seed=pilot.seed * HEADS_EACH + number,  # no two pilots' seeds share a head's
                device=listening.encoder.device,
                keys=[each.key for each in learned],
            )
        )
        progress.advance(1)
    del frames
    tested: dict[Domain, list[str]] = {"in_domain": [sound_of(inside[design.inside.keys[at]]) for at in design.test]}
    if design.outside is not None:
        outside = {each.key: each for each in pilot.utterances["out_of_domain"]}
        tested["out_of_domain"] = [sound_of(outside[design.outside.keys[at]]) for at in design.outside_test]
    heard = keeping.read(listening.files, position, {sound for sounds in tested.values() for sound in sounds})
    return Spelled(
        {
            domain: [[head.decode(heard[sound]) for sound in sounds] for head in heads]
            for domain, sounds in tested.items()
        },
        [head.held_out_per for head in heads],
    )


def _keepings(listening: Listening) -> list[StoredFrames]:
    return [each for each in listening.keepings if isinstance(each, StoredFrames)]


def _numbered(phones: Sequence[str]) -> list[int]:
    codes = {phone: code for code, phone in enumerate(sorted(set(phones)))}
    return [codes[phone] for phone in phones]
