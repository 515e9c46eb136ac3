"""What the starter corpus holds: every clip with its text, delivery, labels and degradation, from one seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from mlflow_rank.speech.starter.sentences import GRAMMARS, KEYWORDS
from mlflow_rank.speech.starter.sounds import ALARMS, KINDS
from mlflow_rank.speech.starter.voices import (
    IN_DOMAIN_LANGUAGE,
    IN_DOMAIN_VOICES,
    OUT_OF_DOMAIN_LANGUAGE,
    OUT_OF_DOMAIN_VOICES,
    UNLABELLED_LANGUAGES,
    UNLABELLED_VOICES,
    Delivery,
)

SEED = 20240916  # the day arXiv 2409.10787 appeared
SENTENCES_PER_VOICE = 60  # 32 voices × 60 × ~2.9 s ≈ 90 min unlabelled
UNLABELLED_SHARDS = 4  # as many processes can share the work of the largest part
SOUND_DEVICES, SOUND_TAKES = 12, 8
IN_DOMAIN, OUT_OF_DOMAIN = "in_domain", "out_of_domain"
Condition = Literal["clean", "room", "telephone"]


@dataclass(frozen=True, slots=True)
class Spoken:
    """A clip to synthesise; `key` is its path in the corpus without the suffix."""

    key: str
    manifests: tuple[str, ...]
    text: str
    delivery: Delivery
    session: str
    condition: Condition
    with_phones: bool = False
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sounded:
    """An alarm or machine sound to make; the device is its `session`, so that pilots can keep devices apart."""

    key: str
    manifests: tuple[str, ...]
    kind: str
    device: int
    take: int
    labels: dict[str, str]


Clip = Spoken | Sounded


def plan_shards() -> list[list[Clip]]:
    """Return the clips as shards, each made by one fresh process in this order (see `espeak.py` for why)."""
    return [
        *(_unlabelled_shard(part) for part in range(UNLABELLED_SHARDS)),
        [*_labelled(IN_DOMAIN_VOICES, IN_DOMAIN)],
        [*_labelled(OUT_OF_DOMAIN_VOICES, OUT_OF_DOMAIN), *_sounds()],
    ]


def _unlabelled_shard(part: int) -> list[Clip]:
    return [clip for voice in UNLABELLED_VOICES[part::UNLABELLED_SHARDS] for clip in unlabelled(voice)]


def unlabelled(
    voice: str, *, sentences: int = SENTENCES_PER_VOICE, part: str = "unlabelled", seed: int = SEED
) -> Iterator[Spoken]:
    """Yield sentences of one voice in two languages; a second call with another seed and part gives new ones."""
    rng = _generator(seed, part, voice)
    first = UNLABELLED_VOICES.index(voice)
    for number in range(sentences):
        language = UNLABELLED_LANGUAGES[(first + number % 2) % len(UNLABELLED_LANGUAGES)]
        yield Spoken(
            key=f"{part}/{voice}/{number:03d}",
            manifests=(part,),
            text=GRAMMARS[language].sentence(rng),
            delivery=_deliver(rng, language, voice),
            session=language,
            condition="clean",
            labels={"language": language},
        )


def _labelled(voices: tuple[str, ...], domain: str) -> Iterator[Spoken]:
    """Yield the phone, keyword and speaker sets of one domain."""
    outside = domain == OUT_OF_DOMAIN
    condition: Condition = "telephone" if outside else "room"
    for voice in voices:
        rng = _generator(SEED, domain, voice)
        # phones: out of domain every other sentence is in a language that the unlabelled part does not have
        for number in range(20 if outside else 25):
            foreign = outside and number % 2 == 1
            language = OUT_OF_DOMAIN_LANGUAGE if foreign else IN_DOMAIN_LANGUAGE
            yield _sentence(rng, domain, "phones", voice, number, language, condition, session="reading")
        for take in range(2 if outside else 3):
            for word in KEYWORDS:
                yield Spoken(
                    key=f"{domain}/keywords/{voice}/{word}_{take}",
                    manifests=(f"{domain}/keywords",),
                    text=word,
                    delivery=_deliver(rng, IN_DOMAIN_LANGUAGE, voice),
                    session=f"take{take}",
                    condition=condition,
                    labels={"keyword": word, "language": IN_DOMAIN_LANGUAGE},
                )
        for session in ("morning", "evening"):
            for number in range(12):
                language = OUT_OF_DOMAIN_LANGUAGE if outside and number % 2 else IN_DOMAIN_LANGUAGE
                yield _sentence(rng, domain, "speakers", voice, number, language, condition, session=session)


def _sentence(
    rng: np.random.Generator,
    domain: str,
    task: str,
    voice: str,
    number: int,
    language: str,
    condition: Condition,
    *,
    session: str,
) -> Spoken:
    return Spoken(
        key=f"{domain}/{task}/{voice}/{session}_{number:02d}",
        manifests=(f"{domain}/{task}",),
        text=GRAMMARS[language].sentence(rng),
        delivery=_deliver(rng, language, voice),
        session=session,
        condition=condition,
        with_phones=task == "phones",
        labels={"language": language},
    )


def _sounds() -> Iterator[Sounded]:
    for kind in KINDS:
        for device in range(SOUND_DEVICES):
            for take in range(SOUND_TAKES):
                labels = {"kind": kind, "alarm": "alarm" if kind in ALARMS else "machine"}
                yield Sounded(f"sounds/{kind}/device{device:02d}_{take}", ("sounds",), kind, device, take, labels)


def _deliver(rng: np.random.Generator, language: str, voice: str) -> Delivery:
    """Vary rate (words per minute) and pitch as one person does from one utterance to the next."""
    return Delivery(
        language,
        voice,
        rate=int(rng.integers(140, 200)),
        pitch=int(rng.integers(40, 61)),
        pitch_range=int(rng.integers(35, 66)),
    )


def _generator(seed: int, part: str, voice: str) -> np.random.Generator:
    return np.random.default_rng([seed, *part.encode(), 0, *voice.encode()])
