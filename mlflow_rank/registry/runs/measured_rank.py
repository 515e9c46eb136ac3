"""The one number per layer that people look at, chosen from the rows of a measurement document."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mlflow_rank.errors import UsageError

Row = Mapping[str, object]
Document = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class MeasuredRank:
    """A row whose number is known.

    `value` is the bias-corrected number where the row has one, else the plug-in number. `interval` is (low, high) in
    the unit of `value`, or None where one block allowed no interval. `status` is `ok` or `uncorrected`; `n` rows of
    width `dim` were counted.
    """

    layer: int
    name: str
    value: float
    corrected: bool
    status: str
    interval: tuple[float, float] | None
    n: int
    dim: int
    cause: str | None


@dataclass(frozen=True, slots=True)
class UnknownRank:
    """A row without a number, and why."""

    layer: int
    name: str
    n: int
    dim: int
    cause: str


def finite(value: object) -> float | None:
    """Return `value` as a float where it is a finite number, else None: absent, text, NaN and infinities are no number.

    >>> finite(3), finite(None), finite(float("nan")), finite(True)
    (3.0, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def read_row(row: Row) -> MeasuredRank | UnknownRank:
    """Return the number of one row of `ranks`, or why there is none.

    >>> read_row({"layer": 3, "name": "3", "value": 41.0, "corrected": 43.5, "low": 42.0, "high": 45.0,
    ...           "n": 9000, "dim": 768, "status": "ok", "cause": None})
    MeasuredRank(layer=3, name='3', value=43.5, corrected=True, status='ok', interval=(42.0, 45.0), n=9000, dim=768,
                 cause=None)
    """
    layer, name = _whole(row, "layer"), str(row.get("name") or f"layer {row['layer']}")
    n, dim = _whole(row, "n"), _whole(row, "dim")
    cause = row.get("cause")
    plug_in, corrected = finite(row.get("value")), finite(row.get("corrected"))
    value = plug_in if corrected is None else corrected
    if row.get("status") == "unknown" or value is None:
        return UnknownRank(layer, name, n, dim, str(cause or "the measurement gives no number and no cause"))
    low, high = finite(row.get("low")), finite(row.get("high"))
    interval = None if low is None or high is None else (low, high)
    return MeasuredRank(
        layer=layer,
        name=name,
        value=value,
        corrected=corrected is not None,
        status=str(row.get("status") or "ok"),
        interval=interval,
        n=n,
        dim=dim,
        cause=str(cause) if cause else None,
    )


def read_ranks(
    document: Document, *, level: str, centred: bool, metric: str = "effective_rank"
) -> tuple[MeasuredRank | UnknownRank, ...]:
    """Return one entry per layer, in layer order, for one metric at one level with one centring.

    Raises:
        UsageError: two rows claim the same number (same layer, level, centring and metric).

    """
    by_layer: dict[int, MeasuredRank | UnknownRank] = {}
    for row in ranks_of(document):
        if (row["metric"], row["level"], row["centred"]) != (metric, level, centred):
            continue
        read = read_row(row)
        if read.layer in by_layer:
            raise UsageError(
                "two rows of one measurement claim the same number",
                got=f"two rows for layer {read.layer}, {metric}, {level}, centred={centred}",
                expected="one row per layer, level, centring and metric",
                remedy="measure again, and keep each measurement in a document of its own",
            )
        by_layer[read.layer] = read
    return tuple(by_layer[layer] for layer in sorted(by_layer))


def ranks_of(document: Document) -> Iterator[Row]:
    """Yield the rows of a measurement document.

    Raises:
        UsageError: it is not a measurement document.

    """
    rows = document.get("ranks")
    if document.get("kind") != "RankMeasurement" or not isinstance(rows, Sequence) or isinstance(rows, str):
        raise UsageError(
            "this is not a measurement",
            got=f"kind {document.get('kind')!r} with ranks of type {type(rows).__name__}",
            expected="kind 'RankMeasurement' with a list of ranks",
            remedy="pass what `mlflow-rank measure --json` wrote",
        )
    yield from rows


def section(document: Document, name: str) -> Mapping[str, object]:
    """Return a named part of the document (`model`, `audio`, `protocol`), empty where it has none."""
    part = document.get(name)
    return part if isinstance(part, Mapping) else {}


def _whole(row: Row, name: str) -> int:
    value = row.get(name)
    return int(value) if isinstance(value, int | float) and math.isfinite(value) else 0
