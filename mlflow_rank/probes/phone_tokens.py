"""Phones as labelled items: each spoken phone with its symbol and its speaker, silence under one name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from mlflow_rank.probes.design import Design
from mlflow_rank.probes.items import Items, listed
from mlflow_rank.probes.phone_frames import Timed
from mlflow_rank.probes.refusals import RefusedError

SILENCE = "sil"  # what every symbol of silence is called here
AT = "@"  # joins the utterance and the place of a phone in it to the key of an item
GAP = 0.02  # s; a frame at 50 per second: what two phones leave between them below that is rounding
TOKENS_PER_SHOT = 2.5  # tokens of a phone for each label asked of it: half are tested, and draws need some choice


@dataclass(frozen=True, slots=True)
class Spoken:
    """One utterance with its phones in time; silence is called `sil`, and so is time that no phone holds."""

    key: str
    group: str
    phones: tuple[Timed, ...]
    seconds: float


def spoken(key: str, group: str, phones: Sequence[Timed], seconds: float, silence: Collection[str]) -> Spoken:
    """Return the utterance with every symbol of silence, and every gap between phones, under one name.

    Many aligners leave silence out; a head that never learns it would hear phones where nothing is spoken.

    >>> spoken("a", "ann", [("x", 0.1, 0.2), ("h#", 0.2, 0.3)], 0.3, {"h#"}).phones
    (('sil', 0.0, 0.1), ('x', 0.1, 0.2), ('sil', 0.2, 0.3))
    """
    named: list[Timed] = []
    reached = 0.0
    for symbol, start, end in phones:
        if start - reached > GAP:
            named.append((SILENCE, reached, start))
        named.append((SILENCE if symbol in silence else symbol, start, end))
        reached = max(reached, end)
    if seconds - reached > GAP:
        named.append((SILENCE, reached, seconds))
    return Spoken(key, group, tuple(named), seconds)


def rare_phones(utterances: Sequence[Spoken], most_shots: int) -> dict[str, str]:
    """Return the phones with too few tokens to be learned from so many shots and tested, and how many there are.

    Rare silence is among them: no phone is to go without a number because there is little silence to draw.
    """
    counts = Counter(symbol for each in utterances for symbol, _, _ in each.phones)
    needed = TOKENS_PER_SHOT * most_shots
    return {
        symbol: f"{count} spoken, {needed:g} needed for {most_shots} shots"
        for symbol, count in sorted(counts.items())
        if count < needed
    }


def left_out_phones(utterances: Sequence[Spoken], shots: Sequence[int]) -> dict[str, str]:
    """Return the phones that are rare for the most shots that leave at least half of the phones, with the cause.

    So the same phones are learned from any number of shots, and asking for many shots costs a small corpus those shots,
    not the pilot.
    """
    phones = {symbol for each in utterances for symbol, _, _ in each.phones} - {SILENCE}
    rare: dict[str, str] = {}
    for most in sorted({1, *shots}, reverse=True):
        rare = rare_phones(utterances, most)
        if 2 * len(phones - set(rare)) >= len(phones):
            break
    return rare


def token_items(utterances: Sequence[Spoken], left_out: Collection[str] = ()) -> Items:
    """Return every phone, and every silence, as an item of its speaker; those of symbols in `left_out` are none.

    Raises:
        RefusedError: nothing but silence is spoken, or nothing but symbols in `left_out`.
    """
    tokens = [
        (f"{each.key}{AT}{place}", symbol, each.group, each.key)
        for each in utterances
        for place, (symbol, _, _) in enumerate(each.phones)
        if symbol not in left_out
    ]
    if all(symbol == SILENCE for _, symbol, _, _ in tokens):
        spoken_at_all = {symbol for each in utterances for symbol, _, _ in each.phones} - {SILENCE}
        if spoken_at_all:
            raise RefusedError(
                f"no phone is spoken often enough ({listed(sorted(spoken_at_all))})",
                remedy="label more speech, or ask for fewer --shots",
            )
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
