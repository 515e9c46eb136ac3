"""One pass for everything: audio that is both measured and labelled is heard once by each encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.encoders.extraction import Protocol
from mlflow_rank.encoders.listening import Listening
from mlflow_rank.encoders.pooled_vectors import PooledVectors, Pooling
from mlflow_rank.speech.blocks import Block
from mlflow_rank.speech.sampling import Sample
from mlflow_rank.speech.utterance import Skipped, Utterance
from mlflow_rank.workflow.setting import Setting
from mlflow_rank.workflow.subjects import Subject

UTTERANCES_PER_BLOCK = 100  # heard in one go: few enough that several processes share a few minutes of words


def sound_of(utterance: Utterance) -> str:
    """Return what names the stretch of sound itself, whatever corpus lists it."""
    return f"{utterance.source}#{utterance.start}-{utterance.end}"


@dataclass(frozen=True, slots=True)
class Wish:
    """Utterances of which a pilot wants one vector per layer; `name` is the pilot's, `sounds` by `sound_of`."""

    name: str
    sounds: Mapping[str, Utterance]
    pooling: Pooling


@dataclass(frozen=True, slots=True)
class Hearing:
    """What one encoder hears: the `ranking`'s sample and what is `labelled` beyond that; `ranked`: what is both."""

    subject: Subject
    ranking: Listening | None
    labelled: Listening | None
    ranked: Mapping[str, str]

    @classmethod
    def prepare(
        cls,
        setting: Setting,
        subject: Subject,
        wishes: Sequence[Wish] = (),
        measured: tuple[Sample, Protocol] | None = None,
    ) -> Hearing:
        """Return what is to be heard for the wishes, and for a measurement of the sample where there is one."""
        known = {} if measured is None else {sound_of(each): each.key for each in measured[0].utterances}
        wanted = {sound: utterance for wish in wishes for sound, utterance in wish.sounds.items()}
        beyond = [replace(wanted[sound], key=sound) for sound in sorted(wanted) if sound not in known]
        ranking = labelled = None
        if measured is not None:
            shared = [(wish, [known[sound] for sound in wish.sounds if sound in known]) for wish in wishes]
            ranking = subject.listening(setting, measured[0].blocks, measured[1], _keepings(shared))
        if beyond:
            own = [(wish, [sound for sound in wish.sounds if sound not in known]) for wish in wishes]
            labelled = subject.listening(setting, blocks_of(beyond), setting.protocol(), _keepings(own))
        return cls(subject, ranking, labelled, known)

    @property
    def listenings(self) -> list[Listening]:
        """Everything that is to be heard."""
        return [listening for listening in (self.ranking, self.labelled) if listening is not None]

    def forget(self) -> None:
        """Remove what was kept for going on: only when nothing can interrupt the use case any more."""
        for listening in self.listenings:
            listening.cache.remove()

    def kept(self, wish: Wish) -> KeptVectors:
        """Return what the pass left of a wish."""
        key_of = {sound: self.ranked.get(sound, sound) for sound in wish.sounds}
        digests: dict[str, str] = {}
        skipped: dict[str, Skipped] = {}
        place: dict[str, int] = {}
        keeping = PooledVectors(wish.name, frozenset(), wish.pooling)
        for listening in self.listenings:
            for listing in (file.read_listing() for file in listening.files):
                digests |= listing.content_digests
                skipped |= {each.key: each for each in listing.skipped}
            for key in keeping.read_keys(listening.files):
                place[key] = len(place)
        return KeptVectors(
            hearing=self,
            keeping=keeping,
            place={sound: place[key] for sound, key in key_of.items() if key in place},
            digests={sound: digests[key] for sound, key in key_of.items() if key in digests},
            skipped={sound: skipped[key] for sound, key in key_of.items() if key in skipped},
        )


@dataclass(frozen=True, slots=True)
class KeptVectors:
    """What one encoder's pass left of a wish: `place` of each sound among the vectors, its digest, or why skipped."""

    hearing: Hearing
    keeping: PooledVectors
    place: Mapping[str, int]
    digests: Mapping[str, str]
    skipped: Mapping[str, Skipped]

    @property
    def layers(self) -> tuple[int, ...]:
        """The index of every layer, by position."""
        return tuple(layer.index for layer in self.hearing.subject.encoder.layers)

    def vectors(self, position: int, sounds: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors (n, P) of one layer, in the order of `sounds`."""
        files = [file for listening in self.hearing.listenings for file in listening.files]
        vectors: NDArray[np.float32] = self.keeping.read(files, position)[[self.place[sound] for sound in sounds]]
        return vectors


def _keepings(wishes: Sequence[tuple[Wish, Sequence[str]]]) -> tuple[PooledVectors, ...]:
    return tuple(PooledVectors(wish.name, frozenset(keys), wish.pooling) for wish, keys in wishes if keys)


def blocks_of(utterances: Sequence[Utterance]) -> list[Block]:
    """Return labelled utterances in blocks that are heard in one go."""
    starts = range(0, len(utterances), UTTERANCES_PER_BLOCK)
    return [Block(index, tuple(utterances[start : start + UTTERANCES_PER_BLOCK])) for index, start in enumerate(starts)]
