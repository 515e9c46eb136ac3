"""Phones as labelled items: each spoken phone with its symbol and its speaker, silence under one name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from mlflow_rank.probes.design import Design
from mlflow_rank.probes.items import Items
from mlflow_rank.probes.phone_frames import Timed
from mlflow_rank.probes.refusals import RefusedError

SILENCE = "sil"  # what every symbol of silence is called here
AT = "@"  # joins the utterance and the place of a phone in it to the key of an item
TOKENS_PER_SHOT = 2.5  # tokens of a phone for each label asked of it: half are tested, and draws need some choice


@dataclass(frozen=True, slots=True)
class Spoken:
    """One utterance with its phones in time; silence is called `sil`."""

    key: str
    group: str
    phones: tuple[Timed, ...]
    seconds: float


def spoken(key: str, group: str, phones: Sequence[Timed], seconds: float, silence: Collection[str]) -> Spoken:
    """Return the utterance with every symbol of silence under one name."""
    named = tuple((SILENCE if symbol in silence else symbol, start, end) for symbol, start, end in phones)
    return Spoken(key, group, named, seconds)


def rare_phones(utterances: Sequence[Spoken], most_shots: int) -> dict[str, str]:
    """Return the phones with too few tokens to be learned from so many shots and tested, and how many there are."""
    counts = Counter(symbol for each in utterances for symbol, _, _ in each.phones if symbol != SILENCE)
    needed = TOKENS_PER_SHOT * most_shots
    return {
        symbol: f"{count} spoken, {needed:g} needed for {most_shots} shots"
        for symbol, count in sorted(counts.items())
        if count < needed
    }


def token_items(utterances: Sequence[Spoken], left_out: Collection[str] = ()) -> Items:
    """Return every phone, and every silence, as an item of its speaker; those of symbols in `left_out` are none.

    Raises:
        RefusedError: nothing but silence is spoken.
    """
    tokens = [
        (f"{each.key}{AT}{place}", symbol, each.group, each.key)
        for each in utterances
        for place, (symbol, _, _) in enumerate(each.phones)
        if symbol not in left_out
    ]
    if all(symbol == SILENCE for _, symbol, _, _ in tokens):
        raise RefusedError(
            "every labelled stretch of time is silence", remedy="give phone labels, or name silence as such"
        )
    keys, labels, groups, recordings = zip(*tokens, strict=True)
    return Items(keys, labels, groups, recordings, (None,) * len(keys))


def phone_classes(design: Design) -> tuple[str, ...]:
    """Return the phones in use, silence not among them: their places are their codes, silence comes after them."""
    return tuple(symbol for symbol in design.classes if symbol != SILENCE)


def codes_of(phones: Sequence[str]) -> dict[str, int]:
    """Return the code of every phone, and of silence the next."""
    return {symbol: code for code, symbol in enumerate((*phones, SILENCE))}


def utterance_of(token: str) -> tuple[str, int]:
    """Return the key of a token's utterance, and the place of the phone in it.

    >>> utterance_of("a@b.wav@12")
    ('a@b.wav', 12)
    """
    key, _, place = token.rpartition(AT)
    return key, int(place)


def class_weights(utterances: Sequence[Spoken], codes: Mapping[str, int]) -> tuple[float, ...]:
    """Return for every code the weight of its frames: so that all classes count equally, and the mean frame 1.

    Known before anything is heard, because it is taken from how long each class is spoken.
    """
    seconds = [0.0] * len(codes)
    for each in utterances:
        for symbol, start, end in each.phones:
            if symbol in codes:
                seconds[codes[symbol]] += end - start
    total, present = sum(seconds), sum(1 for each in seconds if each > 0)
    return tuple(total / (present * each) if each > 0 else 0.0 for each in seconds)
