"""A study of correlation as it is read: a number with its interval and its test, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

Document = Mapping[str, Any]
HEADLINE = ("rank_frame", "rankme_t")  # the rank that is shown first everywhere, and that of arXiv 2409.10787
LEVEL = 0.05  # at or below which a test that was corrected counts: intervals are of 95 %
VIEWS = ("raw", "partial", "differences")
STATISTICS = ("spearman", "pearson", "kendall")  # the headline first
CHOICES = ("fixed", "last", "random")  # ways to a layer that need no rank, beside the pilot's


@dataclass(frozen=True, slots=True)
class Known:
    """A number; `interval` is None where `no_interval` says why, `p` and `adjusted` where nothing was tested.

    `smallest_p` is the lowest that so few data could give.
    """

    value: float
    interval: tuple[float, float] | None = None
    no_interval: str = ""
    p: float | None = None
    adjusted: float | None = None
    smallest_p: float | None = None

    @property
    def counts(self) -> bool:
        """Whether it differs from nothing after correction."""
        return self.adjusted is not None and self.adjusted <= LEVEL


@dataclass(frozen=True, slots=True)
class Unknown:
    """No number, and why; `too_few` says that there was not enough of something."""

    cause: str
    too_few: bool = False


Result = Known | Unknown
ByLayer = Mapping[int, Result]


@dataclass(frozen=True, slots=True)
class Family:
    """The tests that were corrected together."""

    tests: int
    significant: int
    correction: str


@dataclass(frozen=True)
class Correlated:
    """What the document of a `CorrelationStudy` says, found by what it is about."""

    document: Document

    @cached_property
    def predictors(self) -> tuple[str, ...]:
        """Names of the ranks, the headline ones first."""
        given = [str(name) for name in self.document["predictors"]]
        return tuple(dict.fromkeys([*(name for name in HEADLINE if name in given), *given]))

    @cached_property
    def headline(self) -> tuple[str, ...]:
        """Names of the ranks that are shown first; the first of all where neither is there."""
        return tuple(name for name in self.predictors if name in HEADLINE) or self.predictors[:1]

    @cached_property
    def outcomes(self) -> tuple[Document, ...]:
        """The pilot scores, the domains of a task beside each other."""
        tasks = dict.fromkeys(each["task"] for each in self.document["outcomes"])
        return tuple(each for task in tasks for each in self.document["outcomes"] if each["task"] == task)

    @cached_property
    def layers(self) -> tuple[int, ...]:
        """Indices of the layers."""
        return tuple(int(layer) for layer in self.document["layers"])

    @cached_property
    def runs(self) -> tuple[str, ...]:
        """Names of the training runs."""
        return tuple(str(run["run"]) for run in self.document["runs"])

    def within(self, predictor: str, outcome: str, view: str = "partial", statistic: str = "spearman") -> ByLayer:
        """Return the association over checkpoints within each layer."""
        return _by_layer(self._cells["within_layer"].get((predictor, outcome), ()), view, statistic)

    def cells(self, predictor: str, outcome: str) -> Sequence[Document]:
        """Return the cells within layers as they stand in the document."""
        return self._cells["within_layer"].get((predictor, outcome), ())

    def between(self, predictor: str, outcome: str, statistic: str = "spearman") -> ByLayer:
        """Return the association between runs at matched steps of each layer."""
        return _by_layer(self._cells["between_runs"].get((predictor, outcome), ()), "matched_step", statistic)

    def across(self, predictor: str, outcome: str, statistic: str = "spearman") -> Result:
        """Return the association over layers within a checkpoint."""
        for cell in self._cells["across_layers"].get((predictor, outcome), ()):
            return read_result(cell["views"]["checkpoint"][statistic])
        return Unknown("not looked at")

    def baseline(self, name: str, outcome: str, view: str = "raw") -> ByLayer:
        """Return the association within each layer of `step` or `loss` in the place of a rank."""
        cells = [cell for cell in self.document["baselines"].get(name, ()) if cell["outcome"] == outcome]
        return _by_layer(cells, view, "spearman")

    def chance(self, outcome: str, noise: str, view: str = "raw") -> tuple[float, float] | None:
        """Return the widest 95 % range over layers of the association with noise of a kind, None where unknown."""
        ranges = [
            (float(each["low"]), float(each["high"]))
            for each in self.document["baselines"].get("random", ())
            if (each["outcome"], each["noise"], each["view"]) == (outcome, noise, view) and "unknown" not in each
        ]
        return (min(low for low, _ in ranges), max(high for _, high in ranges)) if ranges else None

    def lost(self, predictor: str, outcome: str) -> dict[str, Result]:
        """Return the score lost to the pilot's best layer, by the way in which the layer was chosen."""
        return self._amounts(predictor, outcome, "choices")

    def more_lost(self, predictor: str, outcome: str) -> dict[str, Result]:
        """Return how much more the layer of highest rank lost than another choice, by that choice."""
        return self._amounts(predictor, outcome, "rank_minus")

    def family(self, question: str, view: str, statistic: str = "spearman") -> Family | None:
        """Return the family of tests of a question."""
        for each in self.document["families"]:
            if (each["question"], each["view"], each["statistic"]) == (question, view, statistic):
                return Family(int(each["tests"]), int(each["significant"]), str(each["correction"]))
        return None

    def _amounts(self, predictor: str, outcome: str, part: str) -> dict[str, Result]:
        for each in self._cells["layer_regret"].get((predictor, outcome), ()):
            return {name: read_result(amount) for name, amount in each[part].items()}
        return {}

    @cached_property
    def _cells(self) -> dict[str, dict[tuple[str, str], list[Document]]]:
        """Entries of each question by rank and pilot score."""
        found: dict[str, dict[tuple[str, str], list[Document]]] = {}
        for question in ("within_layer", "between_runs", "across_layers", "layer_regret"):
            cells = found.setdefault(question, {})
            for each in self.document[question]:
                cells.setdefault((each["predictor"], each["outcome"]), []).append(each)
        return found


def read_result(found: Document) -> Result:
    """Return what an entry says: a number that is finite, or why there is none.

    >>> read_result({"unknown": "the score never changes"})
    Unknown(cause='the score never changes', too_few=False)
    """
    value = _finite(found.get("value"))
    if value is None:
        cause = str(found.get("unknown") or "it is no finite number")
        return Unknown(cause, bool(found.get("not_enough")))
    interval = found.get("interval") or {}
    low, high = _finite(interval.get("low")), _finite(interval.get("high"))
    numbers = (_finite(found.get(name)) for name in ("p", "p_adjusted", "smallest_p"))
    bounds = None if low is None or high is None else (low, high)
    return Known(value, bounds, "" if bounds else str(interval.get("unknown") or "none was made"), *numbers)


def known(results: Iterable[Result]) -> list[Known]:
    """Return those that are numbers."""
    return [each for each in results if isinstance(each, Known)]


def why_none(results: Iterable[Result]) -> str:
    """Return the cause that most of the unknown ones have."""
    causes = [each.cause for each in results if isinstance(each, Unknown)]
    return max(dict.fromkeys(causes), key=causes.count, default="nothing was looked at")


def _by_layer(cells: Iterable[Document], view: str, statistic: str) -> ByLayer:
    return {int(cell["layer"]): read_result(cell["views"][view][statistic]) for cell in cells}


def _finite(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
