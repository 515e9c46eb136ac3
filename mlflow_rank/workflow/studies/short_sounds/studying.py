"""Rank and pilot of an encoder and of its shuffled copy, on short sounds heard in many ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import mlflow_rank
from mlflow_rank.encoders.specs import LOG_MEL
from mlflow_rank.encoders.torch_encoder import TorchEncoder
from mlflow_rank.errors import UsageError
from mlflow_rank.probes.tasks import parse_task
from mlflow_rank.speech.digests import content_digest, corpus_digest
from mlflow_rank.studies.short_sounds.readings import Condition, SoundReading
from mlflow_rank.studies.short_sounds.study import (
    RANDOM,
    SHUFFLED,
    TRAINED,
    ShortSoundsStudy,
    Targets,
    short_sounds_study,
)
from mlflow_rank.workflow.progress import Progress, Silence
from mlflow_rank.workflow.setting import Setting
from mlflow_rank.workflow.studies.short_sounds.hearing import HEAD, Pass, PilotPlan, hear_sounds
from mlflow_rank.workflow.studies.short_sounds.kept import KeptReadings
from mlflow_rank.workflow.studies.short_sounds.sounds import Sounds, read_noise, read_sounds
from mlflow_rank.workflow.studies.short_sounds.variants import Noises, SoundRequest, Variant
from mlflow_rank.workflow.subjects import subjects

STARTER_SOUNDS = "starter:sounds"
UNTRAINED = ("random:", "shuffled:")


@dataclass(frozen=True, slots=True)
class SoundsAsked:
    """Whose sounds, which conditions, and how precise.

    `most` is the most clips used; `noise` a source of audio, None for motor hum by formula; `layer` None for the one
    that the pilot of whole clips chooses; `keep` where readings are kept, None for nowhere. Whether random weights are
    heard beside the shuffled ones, on whole clips only, is the setting's `control`.
    """

    labels: str = STARTER_SOUNDS
    task: str = "label:kind"
    conditions: SoundRequest = field(default_factory=SoundRequest)
    most: int | None = None
    noise: str | None = None
    layer: int | None = None
    targets: Targets = field(default_factory=Targets)
    plan: PilotPlan = field(default_factory=PilotPlan)
    keep: Path | None = None


def study_short_sounds(setting: Setting, asked: SoundsAsked, progress: Progress | None = None) -> ShortSoundsStudy:
    """Hear the clips in every way with each encoder, and compare.

    Raises:
        UsageError: nothing trained to shuffle, no such sounds, or a condition that cannot be.
        MeasurementError: too many clips cannot be used, an encoder returns NaN, no layer can be chosen.
        KeyboardInterrupt: what was heard is kept where `keep` says; the same request goes on from there.
    """
    progress = progress or Silence()
    setting.check()
    _check(setting, asked)
    task = parse_task(asked.task)
    if task.kind != "label":
        raise UsageError("no such task for short sounds", got=asked.task, expected="keyword, or label:FIELD")
    with subjects(setting, progress) as loaded:
        candidate = loaded.candidate
        asked.conditions.check(candidate.encoder)
        layers = [layer.index for layer in candidate.encoder.layers]
        if asked.layer is not None and asked.layer not in layers:
            raise UsageError("no such layer", got=str(asked.layer), expected=", ".join(map(str, layers)))
        progress.say("its shuffled copy: the same weights, the entries of each tensor in another order")
        shuffled = replace(candidate.call, spec=f"shuffled:{candidate.call.spec}").load()
        encoders = {TRAINED: candidate.encoder, SHUFFLED: shuffled}
        if loaded.control is not None:
            encoders[RANDOM] = loaded.control.encoder
        sounds = read_sounds(setting, candidate.encoder, asked.labels, task, asked.most, progress)
        noises: Noises = []
        if asked.conditions.ratios:
            noises = read_noise(setting, candidate.encoder.sampling_rate, asked.noise, sounds, progress)
        readings = _Listening(encoders, sounds, noises, setting, asked).readings(progress)
        settings = _settings(setting, asked, sounds, encoders, noises)
    return short_sounds_study(readings, layer=asked.layer, targets=asked.targets, settings=settings)


def _check(setting: Setting, asked: SoundsAsked) -> None:
    if setting.model == LOG_MEL or setting.model.startswith(UNTRAINED):
        raise UsageError(
            "there is nothing trained to shuffle", got=f"--model {setting.model}", expected="an encoder with weights"
        )
    if not 0.0 < asked.plan.test_share < 1.0:
        raise UsageError("no such share to test", got=f"{asked.plan.test_share:g}", expected="above 0 and below 1")
    for target in (asked.targets.rank, asked.targets.pilot):
        if not 0.0 < target < 1.0:
            raise UsageError("bad precision", got=f"{target:g}", expected="above 0 and below 1, such as 0.05")
    if asked.most is not None and asked.most < 1:
        raise UsageError("too few clips", got=str(asked.most), expected="1 or more")


@dataclass(frozen=True, slots=True, eq=False)
class _Listening:
    encoders: Mapping[str, TorchEncoder]
    sounds: Sounds
    noises: Noises
    setting: Setting
    asked: SoundsAsked

    def readings(self, progress: Progress) -> dict[str, list[SoundReading]]:
        """Return the readings by role, every role's in the same order of conditions."""
        kept = KeptReadings(self.asked.keep)
        found: dict[str, list[SoundReading]] = {role: [] for role in self.encoders}
        variants = self.asked.conditions.variants()
        passes = [(variant, role) for variant in variants for role in self._roles(variant)]
        total = sum(self._count(variant) for variant, _ in passes)
        progress.begin(f"hearing {len(self.sounds.clips)} clips in {len(variants)} ways", total)
        known = 0
        for variant in variants:  # condition by condition, so that a study that is stopped has whole comparisons
            wanted, waves = self._pass(variant), None
            for role in self._roles(variant):
                encoder = self.encoders[role]
                identity = self._identity(encoder, variant, wanted)
                readings = kept.read(identity)
                if readings is None:
                    waves = self._waves(variant) if waves is None else waves
                    readings = hear_sounds(encoder, self.sounds, waves, wanted, self.asked.plan, after=progress.advance)
                    kept.write(identity, readings)
                else:
                    known += 1
                    progress.advance(self._count(variant))
                found[role] += readings
        if known:
            progress.say(f"{known} of {len(passes)} passes were kept from before")
        return found

    def _roles(self, variant: Variant) -> list[str]:
        """Return who hears this form: random weights are a reference, and hear whole clips only."""
        return [role for role in self.encoders if role != RANDOM or variant.condition.family == "whole"]

    def _count(self, variant: Variant) -> int:
        """Return how many clips are heard in this form."""
        clips, each = len(self.sounds.clips), self.asked.conditions.each
        return clips if variant.condition.family == "whole" or each is None else min(each, clips)

    def _pass(self, variant: Variant) -> Pass:
        if variant.condition.family != "whole":
            return Pass(variant.condition)
        conditions, clips = self.asked.conditions, len(self.sounds.clips)
        wanted = {*conditions.counts, *(() if conditions.each is None else (conditions.each,))}
        counts = [Condition("count", f"{each} clips", each) for each in sorted(wanted) if each < clips]
        strides = [Condition("stride", f"every {_nth(each)} frame", each) for each in sorted(conditions.strides)]
        return Pass(variant.condition, tuple(counts), tuple(strides))

    def _waves(self, variant: Variant) -> list[np.typing.NDArray[np.float32]]:
        # The same noise behind a clip at every ratio: then conditions differ in nothing else.
        clips = self.sounds.clips[: self._count(variant)]
        draws = [np.random.default_rng((self.setting.seed, number)) for number in range(len(clips))]
        return [
            variant.of(clip.wave, self.sounds.rate, self.noises, draw) for clip, draw in zip(clips, draws, strict=True)
        ]

    def _identity(self, encoder: TorchEncoder, variant: Variant, wanted: Pass) -> dict[str, object]:
        return {
            "version": mlflow_rank.__version__,
            "encoder": [encoder.digest, [layer.name for layer in encoder.layers], encoder.describe()["dtype"]],
            "sounds": [
                self.sounds.digest,
                [clip.utterance.key for clip in self.sounds.clips],
                list(self.sounds.blocks),
            ],
            "labels": [clip.label for clip in self.sounds.clips],
            "groups": [clip.group for clip in self.sounds.clips],
            "channel": self.setting.channel,
            "seed": self.setting.seed,
            "variant": asdict(variant),
            "clips": self._count(variant),
            "noise": _noise_digest(self.noises, self.sounds.rate) if variant.snr is not None else None,
            "conditions": [asdict(each) for each in wanted.conditions],
            "pilot": [HEAD, asdict(self.asked.plan)],
        }


def _settings(
    setting: Setting, asked: SoundsAsked, sounds: Sounds, encoders: Mapping[str, TorchEncoder], noises: Noises
) -> dict[str, Any]:
    """Return everything that whoever makes the study again needs, JSON-ready."""
    trained = encoders[TRAINED]
    return {
        "model": setting.model,
        "encoders": {role: encoder.digest for role, encoder in encoders.items()},
        "dtype": setting.dtype,
        "channel": setting.channel,
        "seed": setting.seed,
        "labels": asked.labels,
        "task": sounds.task.name,
        "sounds_digest": sounds.digest,
        "clips": len(sounds.clips),
        "clips_left_over": sounds.left_over,
        "clips_skipped": len(sounds.skipped),
        "classes": len({clip.label for clip in sounds.clips}),
        "groups": len({clip.group for clip in sounds.clips}),
        "group_unit": sounds.group_unit,
        "block_unit": sounds.block_unit,
        "blocks": len(set(sounds.blocks)),
        "median_seconds": float(np.median([len(clip.wave) for clip in sounds.clips])) / sounds.rate,
        "sampling_rate": sounds.rate,
        "noise": asked.noise or "motor hum by formula",
        "noise_digest": _noise_digest(noises, sounds.rate) if noises else None,
        "metric": "effective_rank",
        "centred": True,
        "pooling": "mean",
        "pilot_metric": "balanced_accuracy",
        "head": HEAD,
        "shots": "all",
        "test_share": asked.plan.test_share,
        "dims": {str(layer.index): layer.dim for layer in trained.layers},
        "conditions": asdict(asked.conditions),
    }


def _noise_digest(noises: Noises, rate: int) -> str:
    return corpus_digest(content_digest(noise[:, None], rate) for noise in noises)


def _nth(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10 if number % 100 // 10 != 1 else 0, "th")
    return f"{number}{ending}"
