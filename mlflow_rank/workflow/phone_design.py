"""Which speakers phone probes learn from and which are tested, and what each round keeps of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mlflow_rank.encoders.interface import Encoder
from mlflow_rank.encoders.listening import Listening
from mlflow_rank.encoders.phone_answers import PhoneAnswers
from mlflow_rank.encoders.phone_training import PhoneTraining
from mlflow_rank.errors import UsageError
from mlflow_rank.evidence.pilot_scores import Domain
from mlflow_rank.probes.design import Design, Shots, make_design
from mlflow_rank.probes.frame_clock import FrameClock
from mlflow_rank.probes.items import Items
from mlflow_rank.probes.phone_heads import STREAMED
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
from mlflow_rank.probes.refusals import RefusedError
from mlflow_rank.probes.tasks import Task
from mlflow_rank.speech.alignments import SILENCE as SILENCES
from mlflow_rank.speech.blocks import Block, divide
from mlflow_rank.speech.utterance import Utterance
from mlflow_rank.workflow.hearing import blocks_of, sound_of
from mlflow_rank.workflow.setting import Setting
from mlflow_rank.workflow.subjects import Subject

FOLDS = 5  # of the training speakers, for the choice of the penalty: each costs a matrix of D × D per layer on disk
WHOLE = 12  # utterances of one fold whose frames are kept, to choose the smoothing and the layer: about a minute
CLOCK_SECONDS = (0.31, 0.47, 0.83, 1.37, 1.99)  # s of noise that show the stride of an encoder's frames


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
