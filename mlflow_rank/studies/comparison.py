"""Two sets of numbers side by side, once it is certain that they mean the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mlflow_rank.errors import UsageError
from mlflow_rank.studies.conventions import Conventions, differing

KIND = "Comparison"
NAMING = (
    "name", "run", "task", "domain", "layer", "step", "level", "metric", "head", "predictor", "rank", "outcome",
    "question", "view", "statistic", "quantity", "what", "where",
)  # fmt: skip
"""Fields that tell an entry of a list from the others; lists of two documents need not be in one order."""
Interval = tuple[float, float]
Place = tuple[str, str]  # where, what
Reading = tuple[float, Interval | None]
Readings = Mapping[Place, Reading]
Deltas = Mapping[Place, tuple[float, Interval]]


@dataclass(frozen=True, slots=True)
class Pair:
    """One number on both sides, known by `where` (a layer, a place in a document) and `what` (a rank, a score).

    `low` and `high` are the paired 95 % interval of the difference, right minus left, where there is one: both sides
    were tested on the same items.
    """

    where: str
    what: str
    left: float
    right: float
    left_interval: Interval | None = None
    right_interval: Interval | None = None
    paired: Interval | None = None
    paired_difference: float | None = None

    @property
    def difference(self) -> float:
        """Right minus left."""
        return self.right - self.left

    @property
    def overlap(self) -> bool | None:
        """Whether the two 95 % intervals share a value; None where one has none."""
        if self.left_interval is None or self.right_interval is None:
            return None
        return self.left_interval[0] <= self.right_interval[1] and self.right_interval[0] <= self.left_interval[1]

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {
            "where": self.where,
            "what": self.what,
            "left": self.left,
            "right": self.right,
            "difference": self.difference,
            "left_interval": self.left_interval and list(self.left_interval),
            "right_interval": self.right_interval and list(self.right_interval),
            "intervals_overlap": self.overlap,
            "paired_difference": self.paired_difference,
            "paired_interval": self.paired and list(self.paired),
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two sides have in common; `only_left` and `only_right` name what just one of them has."""

    left: str
    right: str
    of: str
    conventions: Conventions
    pairs: tuple[Pair, ...]
    only_left: tuple[str, ...] = ()
    only_right: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {
            "kind": KIND,
            "left": self.left,
            "right": self.right,
            "of": self.of,
            "conventions": self.conventions.document(),
            "numbers": [each.document() for each in self.pairs],
            "only_left": list(self.only_left),
            "only_right": list(self.only_right),
            "notes": list(self.notes),
        }


def pairs_of(left: Readings, right: Readings, deltas: Deltas | None = None) -> Iterator[Pair]:
    """Yield the numbers that both sides have, in the order of the left one.

    Args:
        left: values, with their intervals where they have any.
        right: likewise.
        deltas: paired differences, right minus left, with their intervals.
    """
    for place, (value, interval) in left.items():
        if place in right:
            other, its = right[place]
            difference, bounds = (deltas or {}).get(place, (None, None))
            yield Pair(*place, value, other, interval, its, bounds, difference)


def ensure_comparable(left: tuple[str, Conventions], right: tuple[str, Conventions]) -> Conventions:
    """Return the conventions that two sides share, each given with its name.

    Raises:
        UsageError: they differ; the error names every setting that does, with both values.
    """
    found = differing(left[1], right[1])
    if not found:
        return left[1]
    raise UsageError(
        "numbers of different conventions cannot be compared: " + ", ".join(each.setting for each in found),
        got=f"{left[0]} and {right[0]} have " + "; ".join(str(each) for each in found),
        expected="the same settings on both sides",
        remedy="measure and pilot both with the same options; `mlflow-rank study protocol` states them",
    )


def flat_numbers(value: object, place: str = "", *, named: bool = False) -> Mapping[str, float]:
    """Return the numbers of a document by their places in it; truth values are none, nor is what names an entry.

    >>> flat_numbers({"rows": [{"layer": 3, "task": "keyword", "rho": 0.5}]})
    {'rows.keyword,3.rho': 0.5}
    >>> flat_numbers({"a": [1, {"b": 2.5}], "c": True, "d": "x"})
    {'a.0': 1.0, 'a.1.b': 2.5}
    """
    if isinstance(value, Mapping):
        parts = [(str(key), each) for key, each in value.items() if not (named and key in NAMING)]
    elif isinstance(value, list | tuple):
        parts = list(zip(_entry_names(value), value, strict=True))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        return {place: float(value)}
    else:
        return {}
    found: dict[str, float] = {}
    for name, each in parts:
        entry = isinstance(value, list | tuple) and isinstance(each, Mapping)
        found |= flat_numbers(each, f"{place}.{name}" if place else name, named=entry)
    return found


def _entry_names(entries: list[object] | tuple[object, ...]) -> list[str]:
    """Return a name for each entry of a list: by what it is about where that tells all apart, else by its number."""
    names = [
        ",".join(str(each[key]) for key in NAMING if isinstance(each.get(key), str | int))
        if isinstance(each, Mapping)
        else ""
        for each in entries
    ]
    apart = all(names) and len(set(names)) == len(names)
    return names if apart else [str(number) for number in range(len(names))]
