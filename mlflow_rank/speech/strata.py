"""The strata of a sample, speaker × duration bin, and the order in which a budget is spent on them."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from mlflow_rank.speech.utterance import Utterance

SHORT_SECONDS = 1.0  # below this a clip's rank mostly reads its number of frames: reported as a stratum of its own
DURATION_EDGES = (SHORT_SECONDS, 2.0, 4.0, 8.0, 16.0)  # s; octaves, on which utterance lengths spread evenly
DURATION_BINS = (
    f"under {DURATION_EDGES[0]:g} s",
    *(f"{low:g} to {high:g} s" for low, high in itertools.pairwise(DURATION_EDGES)),
    f"{DURATION_EDGES[-1]:g} s and over",
)


@dataclass(frozen=True, slots=True)
class Stratum:
    """One cell of the design: a speaker (None where unknown) and a duration bin; what there was, what was taken."""

    speaker: str | None
    duration_bin: str
    available: int
    available_seconds: float
    taken: int
    taken_seconds: float


def duration_bin(seconds: float) -> str:
    """Return the name of the bin that a duration falls into.

    >>> duration_bin(0.4), duration_bin(1.0), duration_bin(20.0)
    ('under 1 s', '1 to 2 s', '16 s and over')
    """
    return DURATION_BINS[sum(seconds >= edge for edge in DURATION_EDGES)]


def total_seconds(utterances: Iterable[Utterance]) -> float:
    """Return the summed duration, exactly rounded, so that no order of adding shows in it."""
    return math.fsum(each.duration for each in utterances)


def chance(seed: int, name: str) -> float:
    """Return a number in [0, 1) for a name: uniform over names, the same on every machine, changed by the seed.

    >>> chance(0, "a.wav") == chance(0, "a.wav") != chance(1, "a.wav")
    True
    """
    digest = hashlib.blake2b(f"{seed}\0{name}".encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) / 2**53  # the 53 bits that a float64 holds exactly


def tabulated(utterances: Iterable[Utterance], taken: AbstractSet[str]) -> tuple[Stratum, ...]:
    """Return every stratum with what was there and what was taken of it (by key), unknown speakers first."""
    table = [
        Stratum(
            speaker,
            name,
            len(members),
            total_seconds(members),
            sum(each.key in taken for each in members),
            total_seconds(each for each in members if each.key in taken),
        )
        for (speaker, name), members in _strata(utterances).items()
    ]
    return tuple(
        sorted(table, key=lambda s: (s.speaker is not None, s.speaker or "", DURATION_BINS.index(s.duration_bin)))
    )


def order_of_draw(utterances: Sequence[Utterance], seed: int) -> tuple[list[Utterance], list[Utterance]]:
    """Return one utterance of each known speaker, in random order, and then all others at the strata's common pace.

    Each stratum is laid out in random order over the interval from 0 to 1, in proportion to duration, from a random
    start; walking all of them at once and stopping anywhere has taken nearly the same share of each.
    """
    paced: list[tuple[float, str, Utterance]] = []
    for (speaker, name), members in _strata(utterances).items():
        members.sort(key=lambda each: (chance(seed, each.key), each.key))
        whole = total_seconds(members)
        start = chance(seed, f"{speaker}\0{name}")  # at random, so that small strata are not all in or all out at once
        walked = 0.0
        for each in members:
            paced.append(((walked + start * each.duration) / whole if whole else start, each.key, each))
            walked += each.duration
    first: dict[str, Utterance] = {}
    for each in sorted(utterances, key=lambda each: (chance(seed, each.key), each.key)):
        if each.speaker is not None:
            first.setdefault(each.speaker, each)
    leaders = {each.key for each in first.values()}
    return list(first.values()), [each for _, key, each in sorted(paced, key=lambda p: p[:2]) if key not in leaders]


def _strata(utterances: Iterable[Utterance]) -> dict[tuple[str | None, str], list[Utterance]]:
    strata: dict[tuple[str | None, str], list[Utterance]] = {}
    for each in utterances:
        strata.setdefault((each.speaker, duration_bin(each.duration)), []).append(each)
    return strata
