"""Jackknife blocks: the groups of utterances that are left out as one, whole speakers where enough are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mlflow_rank.speech.utterance import Utterance

BlockUnit = Literal["speaker", "utterance"]
SPEAKERS_FOR_BLOCKS = 8  # fewer groups give a jackknife variance of fewer than 7 degrees of freedom, of little use


@dataclass(frozen=True, slots=True)
class Block:
    """One group that the jackknife leaves out; utterances in order of key."""

    index: int
    utterances: tuple[Utterance, ...]

    @property
    def seconds(self) -> float:
        """The audio in the block, in seconds."""
        return math.fsum(each.duration for each in self.utterances)


def unit_of_blocks(utterances: Iterable[Utterance]) -> BlockUnit:
    """Return "speaker" where every speaker is known and there are at least 8, else "utterance".

    One unknown speaker is enough for "utterance": it might be any of the others, and a group that shares a speaker with
    another is not independent of it.
    """
    speakers = {each.speaker for each in utterances}
    return "speaker" if None not in speakers and len(speakers) >= SPEAKERS_FOR_BLOCKS else "utterance"


def divide(
    utterances: Sequence[Utterance], *, blocks: int, unit: BlockUnit, order: Callable[[str], float]
) -> tuple[Block, ...]:
    """Divide utterances into blocks of nearly equal duration.

    The longest group goes first, each to the block that holds least so far (Graham 1969: at most 4/3 of the best
    possible longest block). Depends on nothing but the set of utterances and `order`.

    Args:
        utterances: to divide; none is lost or repeated.
        blocks: how many to make, fewer where there are fewer groups.
        unit: what is never split: the audio of a speaker, or an utterance.
        order: a number for a name; decides between groups of equal duration.

    Returns:
        Blocks, none empty.
    """
    groups: dict[str, list[Utterance]] = {}
    for each in utterances:
        groups.setdefault(each.key if unit == "utterance" else str(each.speaker), []).append(each)
    seconds = {name: math.fsum(each.duration for each in group) for name, group in groups.items()}
    filled: list[list[Utterance]] = [[] for _ in range(min(blocks, len(groups)))]
    held = [0.0] * len(filled)
    for name in _longest_first(seconds, order):
        # Fewer groups break ties of seconds, so that groups of no length still spread over all blocks.
        lightest = min(range(len(filled)), key=lambda index: (held[index], len(filled[index]), index))
        filled[lightest] += groups[name]
        held[lightest] += seconds[name]
    return tuple(
        Block(index, tuple(sorted(members, key=lambda each: each.key))) for index, members in enumerate(filled)
    )


def _longest_first(seconds: Mapping[str, float], order: Callable[[str], float]) -> list[str]:
    return sorted(seconds, key=lambda name: (-seconds[name], order(name), name))
