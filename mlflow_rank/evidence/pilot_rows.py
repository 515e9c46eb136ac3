"""One flat row for every layer, head, number of shots, metric and domain, with everything it is to be compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlflow_rank.evidence.pilot_scores import Cell, Domain, Scored
from mlflow_rank.probes.design import Shots
from mlflow_rank.probes.group_intervals import Difference, NoInterval, difference, score
from mlflow_rank.probes.predictions import LayerKey
from mlflow_rank.probes.scores import METRICS, Replicates

Row = dict[str, object]
NUMBERS = (
    "score", "low", "high", "se", "n", "groups", "worst_group", "worst_group_name", "chance", "logmel", "random",
    "delta", "delta_low", "delta_high", "delta_paired",
    "delta_random", "delta_random_low", "delta_random_high", "delta_random_paired",
    "delta_logmel", "delta_logmel_low", "delta_logmel_high", "delta_logmel_paired", "resolvable", "labels",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Encoders:
    """The scores of the candidate and of those it is shown beside; `reference` is whom `delta` is taken against.

    Beside it `delta_random` is always taken against the control and `delta_logmel` against the log-mel features.
    """

    candidate: Mapping[Cell, Scored]
    control: Mapping[Cell, Scored]
    log_mel: Mapping[Cell, Scored]
    reference: Mapping[Cell, Scored]


def scored_rows(task: str, encoders: Encoders, *, classes: int, outside: bool) -> list[Row]:
    """Return the rows of a task that could be scored: in domain, and with an `outside` also there and the drop."""
    rows: list[Row] = []
    for cell, scored in encoders.candidate.items():
        rows.append(_row(task, "in_domain", cell, scored, encoders, classes))
        if outside:
            rows.append(_row(task, "out_of_domain", cell, scored, encoders, classes))
            rows.append(_drop(task, cell, scored))
    return rows


def unknown_rows(
    task: str,
    layers: Sequence[LayerKey],
    heads: Sequence[str],
    shots: Mapping[Shots, str],
    metrics: Sequence[str],
) -> list[Row]:
    """Return rows without a number for what could not be scored; `shots` maps each to its cause."""
    return [
        {**_names(task, "in_domain", Cell(layer, head, k, metric)), **_nothing(cause)}
        for layer in layers
        for head in heads
        for k, cause in shots.items()
        for metric in metrics
    ]


def _row(task: str, domain: Domain, cell: Cell, scored: Scored, encoders: Encoders, classes: int) -> Row:
    names = _names(task, domain, cell)
    found = scored.found.get(domain)
    if found is None:
        return {**names, **_nothing(scored.causes[domain])}
    own = score(found)
    if isinstance(own.interval, NoInterval):
        return {**names, **_nothing(own.interval.cause)}
    random = _heard(encoders.control.get(cell), domain)
    logmel = _heard(encoders.log_mel.get(Cell(0, cell.head, cell.shots, cell.metric)), domain)
    reference = _heard(encoders.reference.get(cell), domain)
    over_random = _gained(found, random)
    return {
        **names,
        **_nothing(None),
        **own.row(),
        "chance": METRICS[cell.metric].chance(classes),
        "logmel": _value(logmel),
        "random": _value(random),
        **_columns("delta", over_random if reference is random else _gained(found, reference)),
        **_columns("delta_random", over_random),
        **_columns("delta_logmel", _gained(found, logmel)),
        "labels": scored.labels,
        "status": "ok",
    }


def _drop(task: str, cell: Cell, scored: Scored) -> Row:
    names = {**_names(task, "in_domain", cell), "domain": "drop"}
    inside, outside = scored.found.get("in_domain"), scored.found.get("out_of_domain")
    if inside is None or outside is None:
        return {**names, **_nothing(next(iter(scored.causes.values())))}
    lost = difference(inside, outside, pairing="other_items")
    if isinstance(lost.interval, NoInterval):
        return {**names, **_nothing(lost.interval.cause)}
    return {**names, **_nothing(None), **lost.row(), "labels": scored.labels, "status": "ok"}


def _names(task: str, domain: str, cell: Cell) -> Row:
    return {
        "task": task,
        "domain": domain,
        "layer": cell.layer,
        "head": cell.head,
        "shots": cell.shots,
        "metric": cell.metric,
    }


def _nothing(cause: str | None) -> Row:
    return {**dict.fromkeys(NUMBERS), "status": "unknown", "cause": cause}


def _heard(scored: Scored | None, domain: Domain) -> Replicates | None:
    return None if scored is None else scored.found.get(domain)


def _value(other: Replicates | None) -> float | None:
    return None if other is None else float(other.full.mean())


def _gained(found: Replicates, other: Replicates | None) -> Difference | None:
    if other is None:
        return None
    # Frames of another rate are other items of the same speakers: compared unpaired, which errs to the wide side.
    same = (found.groups, found.items) == (other.groups, other.items)
    return difference(found, other, pairing="same_items" if same else "other_items")


def _columns(prefix: str, gained: Difference | None) -> Row:
    if gained is None:
        return {}
    known: Row = {prefix: gained.value, f"{prefix}_paired": gained.paired}
    if isinstance(gained.interval, NoInterval):
        return known
    return known | {f"{prefix}_low": gained.interval.low, f"{prefix}_high": gained.interval.high}
