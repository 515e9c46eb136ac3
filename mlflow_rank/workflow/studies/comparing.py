"""Comparing two sides: refused where their numbers mean different things, side by side where they mean the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mlflow_rank.errors import UsageError
from mlflow_rank.studies.comparison import Comparison, Place, Reading, ensure_comparable, flat_numbers, pairs_of
from mlflow_rank.studies.conventions import Conventions, Setting
from mlflow_rank.studies.trajectories import KIND as TRAJECTORIES
from mlflow_rank.studies.trajectories import Observation, Trajectories, read_trajectories
from mlflow_rank.workflow.progress import Progress, Silence
from mlflow_rank.workflow.studies.compared_measurements import compare_measured
from mlflow_rank.workflow.studies.compared_sides import MEASUREMENT, PILOT, Side, side_of
from mlflow_rank.workflow.studies.document_files import Document

PROTOCOL = "Protocol"
_ASKED = (
    "window",
    "seed",
    "settings",
    "alpha",
    "model",
    "headline",
)  # of a study: what changes its numbers beside its conventions


def compare(left: str, right: str, progress: Progress | None = None, *, tracking_uri: str | None = None) -> Comparison:
    """Return what two things have in common, side by side.

    Args:
        left: see `compared_sides.side_of`.
        right: likewise.
        progress: told of what is read.
        tracking_uri: MLflow's store.

    Raises:
        UsageError: one of them is nothing, they are different kinds of things, or their numbers mean different things;
            then the error names every setting that differs, with both values.
        MeasurementError: MLflow cannot be reached.
    """
    progress = progress or Silence()
    sides = (
        side_of(left, progress, tracking_uri=tracking_uri),
        side_of(right, progress, tracking_uri=tracking_uri),
    )
    shared = sides[0].documents.keys() & sides[1].documents.keys()
    if not shared:
        raise UsageError(
            "these are different kinds of things",
            got="; ".join(f"{each.name} is {' and '.join(sorted(each.documents)) or 'nothing'}" for each in sides),
            expected="two of a kind",
        )
    if shared & {MEASUREMENT, PILOT}:
        return compare_measured(*sides)
    if TRAJECTORIES in shared:
        return _tables(*sides)
    return _studies(*sides, next(iter(sorted(shared))))


def _tables(left: Side, right: Side) -> Comparison:
    tables = [read_trajectories(each.documents[TRAJECTORIES], named=each.name) for each in (left, right)]
    shared = ensure_comparable((left.name, tables[0].conventions), (right.name, tables[1].conventions))
    single = all(len(table.runs) == 1 for table in tables)
    same_runs = bool(set(tables[0].runs) & set(tables[1].runs))
    if not same_runs and not single:
        raise UsageError(
            "these tables have no training run in common",
            got=f"{left.name} has {', '.join(tables[0].runs)}; {right.name} has {', '.join(tables[1].runs)}",
            expected="the same runs, or one run each",
        )
    place: Callable[[Observation], str] = (
        (lambda each: f"{each.run}, step {each.step}, layer {each.layer}")
        if same_runs
        else (lambda each: f"step {each.step}, layer {each.layer}")
    )
    readings = [dict(_cells(table, place)) for table in tables]
    pairs = tuple(pairs_of(readings[0], readings[1]))
    only = [tuple(sorted({where for where, _ in readings[a].keys() - readings[1 - a].keys()})) for a in (0, 1)]
    return Comparison(left.name, right.name, "tables of trajectories", shared, pairs, only[0], only[1])


def _cells(table: Trajectories, place: Callable[[Observation], str]) -> Iterator[tuple[Place, Reading]]:
    for each in table.observations:
        for name, value in {**each.ranks, **each.scores}.items():
            yield (place(each), name), (value, None)


def _studies(left: Side, right: Side, kind: str) -> Comparison:
    documents = [each.documents[kind] for each in (left, right)]
    settings = [_settings(each) for each in documents]
    shared = ensure_comparable((left.name, settings[0]), (right.name, settings[1]))
    if kind == PROTOCOL:
        return Comparison(left.name, right.name, "protocols", shared, (), notes=tuple(_policies(*documents)))
    found = [flat_numbers(_results(each)) for each in documents]
    readings = [_located(each, kind) for each in found]
    pairs = pairs_of(readings[0], readings[1])
    only = [tuple(sorted(found[a].keys() - found[1 - a].keys())) for a in (0, 1)]
    return Comparison(left.name, right.name, f"studies ({kind})", shared, tuple(pairs), only[0], only[1])


def _located(numbers: Mapping[str, float], kind: str) -> dict[Place, Reading]:
    return {(place, kind): (value, None) for place, value in numbers.items()}


def _settings(document: Document) -> Conventions:
    """Return what the numbers of a study or a protocol mean, with its window, seed and settings."""
    found: dict[str, Setting] = dict(_flat("", document.get("conventions")))
    for name in _ASKED:
        found |= dict(_flat(f"study.{name}", document.get(name)))
    return Conventions(found)


def _flat(name: str, value: object) -> Iterator[tuple[str, Setting]]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _flat(f"{name}.{key}" if name else str(key), each)
    elif isinstance(value, list | tuple):
        yield name, ",".join(str(each) for each in value)
    elif name:
        if isinstance(value, str | int | float | bool):
            yield name, value
        elif value is None and not name.startswith("study."):
            yield name, None


def _results(document: Document) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in ("conventions", *_ASKED)}


def _policies(left: Document, right: Document) -> Iterator[str]:
    """Yield in what the rules of two protocols of one convention differ."""
    digests = [
        {f"{each['name']} r{each['revision']}": each["digest"] for each in document.get("policies") or ()}
        for document in (left, right)
    ]
    if digests[0] == digests[1]:
        yield "Their rules are the same."
        return
    for name in sorted(digests[0].keys() | digests[1].keys()):
        one, other = digests[0].get(name), digests[1].get(name)
        if one != other:
            what = "differs" if one and other else "is only on the left" if one else "is only on the right"
            yield f"Their rules are not the same: {name} {what}."
