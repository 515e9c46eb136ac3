"""Drawing a sample by design: a budget of audio, stratified by speaker and duration, the same for the same seed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from mlflow_rank.errors import UsageError
from mlflow_rank.speech.blocks import Block, BlockUnit, divide, unit_of_blocks
from mlflow_rank.speech.strata import DURATION_BINS, Stratum, chance, order_of_draw, tabulated, total_seconds
from mlflow_rank.speech.utterance import Utterance

SECONDS_PER_HOUR = 3600.0

Reason = Literal["too_short", "too_long", "budget"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to draw a sample; everything up to the budget by default.

    `hours` and `utterances` are budgets, None for no limit; `frame_stride` keeps every n-th frame (used when frames are
    counted, not here); durations are in seconds, limits included; `blocks` is the number of jackknife blocks wanted.

    Raises:
        UsageError: a value outside its range.
    """

    hours: float | None = 1.0
    utterances: int | None = None
    frame_stride: int = 1
    min_duration: float = 0.05  # s; two windows of 25 ms, the span from which speech encoders make one frame
    max_duration: float = 30.0  # s; the longest Whisper hears, above nearly all of LibriSpeech; memory grows with it
    seed: int = 0
    blocks: int = 10

    def __post_init__(self) -> None:
        if self.hours is not None:
            _require("hours", self.hours, self.hours > 0, "a number above 0, or none for no limit")
        if self.utterances is not None:
            _require_whole("utterances", self.utterances, 1, "1 or more, or none for no limit")
        _require_whole("frame_stride", self.frame_stride, 1, "1 (every frame) or more")
        _require("min_duration", self.min_duration, self.min_duration >= 0, "0 s or more")
        _require("max_duration", self.max_duration, self.max_duration > self.min_duration, "more than min_duration")
        _require_whole("seed", self.seed, 0, "0 or more")
        _require_whole("blocks", self.blocks, 2, "2 or more, because the jackknife leaves one out")


def _require(name: str, value: float, holds: bool, expected: str) -> None:
    if not (holds and math.isfinite(value)):
        raise UsageError(f"bad sampling: {name}", got=repr(value), expected=expected)


def _require_whole(name: str, value: int, least: int, expected: str) -> None:
    if not isinstance(value, int) or value < least:
        raise UsageError(f"bad sampling: {name}", got=repr(value), expected=f"a whole number, {expected}")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How much of the corpus the design leaves out for one reason."""

    reason: Reason
    utterances: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Sample:
    """What was drawn.

    `blocks` partition the sample; `block_unit` is what they never split. `left_out` accounts for every utterance of the
    corpus that is not in it, `strata` for every one within the duration limits.
    """

    sampling: Sampling
    blocks: tuple[Block, ...]
    block_unit: BlockUnit
    left_out: tuple[LeftOut, ...]
    strata: tuple[Stratum, ...]

    @property
    def utterances(self) -> tuple[Utterance, ...]:
        """All utterances, in order of key."""
        return tuple(sorted((each for block in self.blocks for each in block.utterances), key=lambda each: each.key))

    @property
    def seconds(self) -> float:
        """The audio in the sample, in seconds."""
        return total_seconds(each for block in self.blocks for each in block.utterances)

    @property
    def speakers(self) -> int:
        """The number of known speakers."""
        return len({each.speaker for block in self.blocks for each in block.utterances} - {None})

    def describe(self) -> dict[str, object]:
        """Return the design and what came of it, JSON-ready; strata are summed over speakers."""
        return {
            "design": asdict(self.sampling),
            "utterances": sum(len(block.utterances) for block in self.blocks),
            "hours": self.seconds / SECONDS_PER_HOUR,
            "speakers": self.speakers,
            "block_unit": self.block_unit,
            "blocks": [
                {"index": block.index, "utterances": len(block.utterances), "seconds": block.seconds}
                for block in self.blocks
            ],
            "left_out": [asdict(part) for part in self.left_out],
            "strata": [row for name in DURATION_BINS if (row := _over_speakers(name, self.strata))["available"]],
        }


def draw(utterances: Iterable[Utterance], sampling: Sampling) -> Sample:
    """Draw a sample: everything within the duration limits if it fits the budget, else a stratified part of it.

    Order comes from a hash of seed and key, so neither the order of files nor the place of the corpus matters. One
    utterance of every speaker is taken before all others, so that each is heard where the budget allows; the rest of
    the budget is spent at the same pace on every stratum (speaker × duration bin), in share of its duration.

    Args:
        utterances: of the corpus, keys distinct.
        sampling: the design.

    Raises:
        UsageError: a key is there twice; or nothing can be drawn, because every utterance is too short, too long, or
            longer than the budget.
    """
    known = sorted(utterances, key=lambda each: each.key)
    for one, following in itertools.pairwise(known):
        if one.key == following.key:
            raise UsageError("the same utterance twice in one corpus", got=one.key, expected="each key once")
    short = [each for each in known if each.duration < sampling.min_duration]
    long = [each for each in known if each.duration > sampling.max_duration]
    fitting = [each for each in known if sampling.min_duration <= each.duration <= sampling.max_duration]
    taken = _within_budget(fitting, sampling)
    if not taken:
        raise _nothing_to_draw(fitting, short, long, sampling)
    keys = {each.key for each in taken}
    unit = unit_of_blocks(taken)
    return Sample(
        sampling=sampling,
        blocks=divide(taken, blocks=sampling.blocks, unit=unit, order=lambda name: chance(sampling.seed, name)),
        block_unit=unit,
        left_out=(
            _left_out("too_short", short),
            _left_out("too_long", long),
            _left_out("budget", [each for each in fitting if each.key not in keys]),
        ),
        strata=tabulated(fitting, keys),
    )


def _within_budget(fitting: Sequence[Utterance], sampling: Sampling) -> list[Utterance]:
    most_seconds = math.inf if sampling.hours is None else sampling.hours * SECONDS_PER_HOUR
    most = len(fitting) if sampling.utterances is None else sampling.utterances
    if len(fitting) <= most and total_seconds(fitting) <= most_seconds:
        return list(fitting)
    first_of_speakers, others = order_of_draw(fitting, sampling.seed)
    taken: list[Utterance] = []
    seconds = 0.0
    for each in first_of_speakers:
        if len(taken) < most and seconds + each.duration <= most_seconds:
            taken.append(each)
            seconds += each.duration
    for each in others:
        if len(taken) >= most or seconds + each.duration > most_seconds:
            break  # to go on with whatever still fits would favour short utterances
        taken.append(each)
        seconds += each.duration
    return taken


def _left_out(reason: Reason, utterances: Sequence[Utterance]) -> LeftOut:
    return LeftOut(reason, len(utterances), total_seconds(utterances))


def _over_speakers(duration_bin: str, strata: Sequence[Stratum]) -> dict[str, object]:
    cells = [stratum for stratum in strata if stratum.duration_bin == duration_bin]
    return {
        "duration": duration_bin,
        "available": sum(cell.available for cell in cells),
        "available_seconds": math.fsum(cell.available_seconds for cell in cells),
        "taken": sum(cell.taken for cell in cells),
        "taken_seconds": math.fsum(cell.taken_seconds for cell in cells),
    }


def _nothing_to_draw(
    fitting: Sequence[Utterance], short: Sequence[Utterance], long: Sequence[Utterance], sampling: Sampling
) -> UsageError:
    if fitting:
        return UsageError(
            "the budget holds no utterance",
            got=f"{sampling.hours} h",
            expected=f"more than the shortest utterance, {min(each.duration for each in fitting):g} s",
            remedy="raise the budget of hours",
        )
    return UsageError(
        "no utterance within the duration limits",
        got=f"{len(short)} under {sampling.min_duration:g} s, {len(long)} over {sampling.max_duration:g} s",
        expected="at least one utterance",
        remedy="change the limits, or cut long recordings by start and end in a manifest",
    )
