"""One flat row for every layer, head, number of shots, metric and domain, with everything it is to be compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlflow_rank.evidence.pilot_scores import Cell, Domain, Scored
from mlflow_rank.probes.design import Shots
from mlflow_rank.probes.group_intervals import Difference, NoInterval, Score, difference, score
from mlflow_rank.probes.predictions import LayerKey
from mlflow_rank.probes.scores import METRICS, Replicates

Row = dict[str, object]
NUMBERS = (
    "score", "low", "high", "se", "n", "groups", "worst_group", "worst_group_name", "chance", "logmel", "random",
    "delta", "delta_low", "delta_high", "resolvable", "labels",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Encoders:
    """The scores of the candidate and of those it is shown beside; `reference` is whom `delta` is taken against."""

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
    baseline = Cell(0, cell.head, cell.shots, cell.metric)
    return {
        **names,
        **_nothing(None),
        **own.row(),
        "chance": METRICS[cell.metric].chance(classes),
        "logmel": _value(encoders.log_mel.get(baseline), domain),
        "random": _value(encoders.control.get(cell), domain),
        **_delta(found, encoders.reference.get(cell), domain),
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


def _value(scored: Scored | None, domain: Domain) -> float | None:
    if scored is None or domain not in scored.found:
        return None
    found: Score = score(scored.found[domain])
    return found.value


def _delta(found: Replicates, reference: Scored | None, domain: Domain) -> Row:
    if reference is None or domain not in reference.found:
        return {}
    other = reference.found[domain]
    # Frames of another rate are other items of the same speakers: compared unpaired, which errs to the wide side.
    same = (found.groups, found.items) == (other.groups, other.items)
    gained: Difference = difference(found, other, pairing="same_items" if same else "other_items")
    if isinstance(gained.interval, NoInterval):
        return {"delta": gained.value}
    return {"delta": gained.value, "delta_low": gained.interval.low, "delta_high": gained.interval.high}
