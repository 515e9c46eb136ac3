"""The tasks of a pilot document and the one score per layer that people look at, chosen from its rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mlflow_rank.errors import UsageError
from mlflow_rank.registry.runs.measured_rank import Document, Row, finite

Layer = int | str  # an index, or one of SUMMARIES
Shots = int | Literal["all"]
Interval = tuple[float, float]

SUMMARIES = ("weighted_sum", "pilot_best")  # rows about all layers together, in the order they are shown
IN_DOMAIN, OUT_OF_DOMAIN, DROP = "in_domain", "out_of_domain", "drop"
RANDOM_WEIGHTS = "random weights"
LOWER_IS_BETTER = frozenset({"per", "eer_cosine", "eer_probe"})  # error rates


@dataclass(frozen=True, slots=True)
class MeasuredScore:
    """A row whose number is known, as a share (error rates may pass 1).

    `interval` is (low, high) at 95 %, or None where one group allowed none. `chance`, `logmel` and `random` are the
    references of the same row and `delta` the score minus that of what the task is compared with; each is None where
    it was not measured. `n` items of `groups` groups were tested; `labels` were trained on (mean over the draws).
    """

    layer: Layer
    value: float
    interval: Interval | None
    n: int
    groups: int
    worst: float | None
    worst_name: str | None
    chance: float | None
    logmel: float | None
    random: float | None
    delta: float | None
    delta_interval: Interval | None
    resolvable: float | None
    labels: float | None


@dataclass(frozen=True, slots=True)
class UnknownScore:
    """A row without a number, and why."""

    layer: Layer
    cause: str


Scores = dict[Layer, MeasuredScore | UnknownScore]


@dataclass(frozen=True, slots=True)
class PilotTask:
    """One task of a pilot with its rows; `described` is the entry of `tasks` as it stands in the document."""

    name: str
    described: Mapping[str, object]
    rows: tuple[Row, ...]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics, the primary one first."""
        return tuple(str(name) for name in sequence(self.described, "metrics")) or tuple(
            dict.fromkeys(str(row["metric"]) for row in self.rows)
        )

    @property
    def heads(self) -> tuple[str, ...]:
        """Names of the heads, that of the choice of layer first, then as the document lists them."""
        chosen = mapping(self.described, "layer_choice").get("head")
        named = [] if chosen is None else [str(chosen)]
        return tuple(
            dict.fromkeys([*named, *mapping(self.described, "heads"), *(str(row["head"]) for row in self.rows)])
        )

    @property
    def head(self) -> str:
        """The head whose numbers are shown first."""
        return self.heads[0] if self.heads else ""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the confusion tables."""
        return tuple(str(name) for name in sequence(self.described, "classes"))

    @property
    def compared_with(self) -> str:
        """What `delta` is a difference to: `random weights`, or a champion's name."""
        return str(mapping(self.described, "protocol").get("compared_with") or RANDOM_WEIGHTS)

    @property
    def shots(self) -> tuple[Shots, ...]:
        """The numbers of labels per class that there are rows for, ascending, `all` last."""
        seen = {_shots(row) for row in self.rows}
        counts: list[Shots] = [*sorted(shots for shots in seen if isinstance(shots, int))]
        return tuple(counts + [shots for shots in seen if isinstance(shots, str)])

    def scores(
        self, *, domain: str = IN_DOMAIN, metric: str | None = None, head: str | None = None, shots: Shots | None = None
    ) -> Scores:
        """Return one entry per layer, layers ascending and the summaries last.

        Args:
            domain: `in_domain`, `out_of_domain` or `drop`.
            metric: None for the primary one.
            head: None for the task's first head, or the only one that gives this metric.
            shots: None for the most.

        Raises:
            UsageError: two rows claim the same number.

        """
        metric = metric or next(iter(self.metrics), "")
        about = [row for row in self.rows if (row["domain"], row["metric"]) == (domain, metric)]
        if head is None:
            giving = {str(row["head"]) for row in about}
            head = next(iter(giving)) if len(giving) == 1 else self.head
        about = [row for row in about if row["head"] == head]
        if shots is None:
            shots = most_shots(_shots(row) for row in about)
        found: Scores = {}
        for row in about:
            if _shots(row) != shots:
                continue
            read = read_score(row)
            if read.layer in found:
                raise UsageError(
                    "two rows of one pilot claim the same number",
                    got=f"two rows for {self.name}, layer {read.layer}, {domain}, {metric}, {head}, {shots} labels",
                    expected="one row per task, domain, layer, head, shots and metric",
                )
            found[read.layer] = read
        return {layer: found[layer] for layer in sorted(found, key=_position)}

    def layer_choice(self, name: str) -> int | None:
        """Return the layer that `pilot_best` or `rank_best` names, None where there is none."""
        layer = mapping(self.described, "layer_choice").get(name)
        return layer if isinstance(layer, int) else None


def read_tasks(document: Document) -> tuple[PilotTask, ...]:
    """Return the tasks of a pilot in the order of the document.

    Raises:
        UsageError: it is not a pilot document, or a row belongs to no task.

    """
    rows = rows_of(document)
    tasks = [task for task in sequence(document, "tasks") if isinstance(task, Mapping)]
    names = [str(task["task"]) for task in tasks]
    strange = sorted({str(row.get("task")) for row in rows} - set(names))
    if strange or len(set(names)) < len(names):
        raise UsageError(
            "the tasks of this pilot do not fit its rows",
            got=f"tasks {', '.join(names) or 'none'}; rows of {', '.join(strange) or 'these'}",
            expected="each task once, and each row of one of them",
        )
    return tuple(
        PilotTask(name, task, tuple(row for row in rows if row["task"] == name))
        for name, task in zip(names, tasks, strict=True)
    )


def rows_of(document: Document) -> tuple[Row, ...]:
    """Return the rows of a pilot document.

    Raises:
        UsageError: it is not a pilot document.

    """
    rows = document.get("rows")
    if document.get("kind") != "PilotResult" or not isinstance(rows, Sequence) or isinstance(rows, str):
        raise UsageError(
            "this is not a pilot",
            got=f"kind {document.get('kind')!r} with rows of type {type(rows).__name__}",
            expected="kind 'PilotResult' with a list of rows",
            remedy="pass what `mlflow-rank pilot --json` wrote",
        )
    return tuple(rows)


def read_score(row: Row) -> MeasuredScore | UnknownScore:
    """Return the number of one row, or why there is none.

    >>> read_score({"layer": 3, "score": None, "status": "unknown", "cause": "one speaker only"})
    UnknownScore(layer=3, cause='one speaker only')
    """
    layer = row["layer"]
    layer = layer if isinstance(layer, int) else str(layer)
    value = finite(row.get("score"))
    if row.get("status") == "unknown" or value is None:
        return UnknownScore(layer, str(row.get("cause") or "the pilot gives no number and no cause"))
    name = row.get("worst_group_name")
    return MeasuredScore(
        layer=layer,
        value=value,
        interval=_interval(row, "low", "high"),
        n=int(finite(row.get("n")) or 0),
        groups=int(finite(row.get("groups")) or 0),
        worst=finite(row.get("worst_group")),
        worst_name=None if name is None else str(name),
        chance=finite(row.get("chance")),
        logmel=finite(row.get("logmel")),
        random=finite(row.get("random")),
        delta=finite(row.get("delta")),
        delta_interval=_interval(row, "delta_low", "delta_high"),
        resolvable=finite(row.get("resolvable")),
        labels=finite(row.get("labels")),
    )


def most_shots(shots: Iterator[Shots] | Sequence[Shots]) -> Shots:
    """Return the largest number of labels per class, `all` before any; `all` where there is none.

    >>> most_shots([1, 20, 5]), most_shots([1, "all", 5])
    (20, 'all')
    """
    return max(shots, key=lambda each: math.inf if isinstance(each, str) else each, default="all")


def mapping(of: Mapping[str, object], name: str) -> Mapping[str, object]:
    """Return a named part, empty where there is none."""
    part = of.get(name)
    return part if isinstance(part, Mapping) else {}


def sequence(of: Mapping[str, object], name: str) -> Sequence[object]:
    """Return a named list, empty where there is none."""
    part = of.get(name)
    return part if isinstance(part, Sequence) and not isinstance(part, str) else ()


def _shots(row: Row) -> Shots:
    shots = row["shots"]
    return shots if isinstance(shots, int) else "all"


def _interval(row: Row, low: str, high: str) -> Interval | None:
    bounds = finite(row.get(low)), finite(row.get(high))
    return None if bounds[0] is None or bounds[1] is None else (bounds[0], bounds[1])


def _position(layer: Layer) -> tuple[int, int, str]:
    if isinstance(layer, int):
        return 0, layer, ""
    return 1, SUMMARIES.index(layer) if layer in SUMMARIES else len(SUMMARIES), layer
