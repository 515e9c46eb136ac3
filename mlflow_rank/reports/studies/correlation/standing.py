"""What a row of correlations, or a choice of layers, amounts to: one word each, by rules that look at tests only."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from mlflow_rank.reports.studies.correlation.results import (
    LEVEL,
    ByLayer,
    Family,
    Known,
    Result,
    Unknown,
    known,
    why_none,
)


class Tracking(Enum):
    """How rank goes with a pilot score, over all layers."""

    TRACKED = "in most layers or all"
    PARTLY = "in some layers only"
    AGAINST = "the other way round"
    MIXED = "with it in some layers, against it in others"
    NOT_SHOWN = "not shown"
    TOO_FEW = "too few data for any layer to pass the correction"
    NO_NUMBER = "no number"


class Choice(Enum):
    """How good the layer of highest rank is, beside layers chosen without rank."""

    PICKED = "better than a random layer, and no worse than the best fixed one or the last"
    BETTER_THAN_RANDOM = "better than a random layer, not told apart from the best fixed one or the last"
    NOT_SHOWN = "not told apart from a random layer"
    WORSE = "worse than a layer chosen without rank"
    OPEN = "not enough data to compare"


@dataclass(frozen=True, slots=True)
class Standing:
    """A row of correlations, one a layer: those that count after correction, and the one in the middle.

    `middle` is the layer with the median (the lower of two), with its number; None where there is no number.
    """

    tracking: Tracking
    numbers: Mapping[int, Known]
    above: tuple[int, ...]
    below: tuple[int, ...]
    cause: str

    @property
    def middle(self) -> tuple[int, Known] | None:
        """The layer whose number is in the middle of all."""
        ordered = sorted(self.numbers.items(), key=lambda each: each[1].value)
        return ordered[(len(ordered) - 1) // 2] if ordered else None

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest number."""
        values = [each.value for each in self.numbers.values()]
        return min(values), max(values)


def standing_of(results: ByLayer, family: Family | None) -> Standing:
    """Return what correlations of all layers amount to.

    Rank tracked a score where at least half of the layers that have a number are above 0 after correction, and none is
    below. What too few data could never have shown is not called missing.
    """
    numbers = {layer: each for layer, each in results.items() if isinstance(each, Known)}
    above = tuple(layer for layer, each in numbers.items() if each.counts and each.value > 0)
    below = tuple(layer for layer, each in numbers.items() if each.counts and each.value < 0)
    if not numbers:
        tracking = Tracking.NO_NUMBER
    elif above and below:
        tracking = Tracking.MIXED
    elif below:
        tracking = Tracking.AGAINST
    elif above:
        tracking = Tracking.TRACKED if 2 * len(above) >= len(numbers) else Tracking.PARTLY
    else:
        tracking = Tracking.TOO_FEW if hopeless(numbers.values(), family) else Tracking.NOT_SHOWN
    return Standing(tracking, numbers, above, below, why_none(results.values()))


def hopeless(numbers: Iterable[Known], family: Family | None) -> bool:
    """Say whether not even the smallest p that the data could give would have passed the correction."""
    smallest = [each.smallest_p for each in numbers if each.smallest_p is not None]
    return bool(smallest) and min(smallest) * worst_factor(family) > LEVEL


def worst_factor(family: Family | None) -> int:
    """Return by how much the smallest p of a family is multiplied at most, if all others are as small with BH."""
    return family.tests if family is not None and family.correction == "holm" else 1


def choice_of(more_lost: Mapping[str, Result]) -> Choice:
    """Return how the layer of highest rank compares with others; only intervals decide.

    Args:
        more_lost: how much more it lost than `fixed`, `last` and `random`.
    """
    bounds = {name: each.interval for name, each in more_lost.items() if isinstance(each, Known)}
    intervals = {name: each for name, each in bounds.items() if each is not None}
    if any(low > 0 for low, _ in intervals.values()):
        return Choice.WORSE
    if "random" not in intervals:
        return Choice.OPEN
    if intervals["random"][1] >= 0:
        return Choice.NOT_SHOWN
    others = [intervals[name] for name in ("fixed", "last") if name in intervals]
    return Choice.PICKED if others and all(high <= 0 for _, high in others) else Choice.BETTER_THAN_RANDOM


def median_of(results: ByLayer) -> float | None:
    """Return the median over layers, None where there is no number."""
    values = [each.value for each in known(results.values())]
    return statistics.median(values) if values else None


def causes_of(results: Mapping[str, Result]) -> str:
    """Return why there is no interval to compare with."""
    for each in results.values():
        if isinstance(each, Unknown):
            return each.cause
        if each.interval is None:
            return each.no_interval
    return "nothing was looked at"
