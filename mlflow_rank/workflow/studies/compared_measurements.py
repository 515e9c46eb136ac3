"""Comparing what was measured and piloted of two encoders, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mlflow_rank.errors import UsageError
from mlflow_rank.registry.runs.measured_rank import MeasuredRank, read_ranks, section
from mlflow_rank.registry.runs.measured_score import IN_DOMAIN, OUT_OF_DOMAIN, MeasuredScore, PilotTask, read_tasks
from mlflow_rank.registry.runs.metric_names import LOGGED
from mlflow_rank.studies.comparison import Comparison, Interval, Pair, Place, Reading, ensure_comparable, pairs_of
from mlflow_rank.studies.conventions import Conventions
from mlflow_rank.workflow.studies.compared_sides import MEASUREMENT, PILOT, Side
from mlflow_rank.workflow.studies.document_files import Document
from mlflow_rank.workflow.studies.gathering.measured_conventions import conventions_of, parts_of


def compare_measured(left: Side, right: Side) -> Comparison:
    """Compare measurements and pilots: ranks with ranks, each task with the same one.

    Raises:
        UsageError: they have nothing in common, or what they have means different things.
    """
    conventions = [conventions_of(each.documents.get(MEASUREMENT), each.documents.get(PILOT)) for each in (left, right)]
    both = parts_of(conventions[0]) & parts_of(conventions[1])
    if not both:
        raise UsageError(
            "these have no rank and no task in common",
            got=f"{left.name} has {_named(conventions[0])}; {right.name} has {_named(conventions[1])}",
            expected="ranks on both sides, or the same task",
        )
    common = [_restricted(each, both) for each in conventions]
    shared = ensure_comparable((left.name, common[0]), (right.name, common[1]))
    pairs = [*_rank_pairs(left, right)] if "rank." in both else []
    pairs += _score_pairs(left, right)
    only = [tuple(sorted(part.rstrip(".") for part in parts_of(each) - both)) for each in conventions]
    return Comparison(left.name, right.name, "measured and piloted encoders", shared, tuple(pairs), only[0], only[1])


def _rank_pairs(left: Side, right: Side) -> Iterator[Pair]:
    readings = [dict(_ranks(each.documents[MEASUREMENT])) for each in (left, right)]
    yield from pairs_of(readings[0], readings[1])


def _ranks(document: Document) -> Iterator[tuple[Place, Reading]]:
    for logged in LOGGED:
        for rank in read_ranks(document, level=logged.level, centred=logged.centred, metric=logged.metric):
            if isinstance(rank, MeasuredRank):
                yield (f"layer {rank.layer}", logged.what), (rank.value, rank.interval)


def _score_pairs(left: Side, right: Side) -> Iterator[Pair]:
    pilots = [each.documents.get(PILOT) for each in (left, right)]
    if pilots[0] is None or pilots[1] is None:
        return
    tasks = [{each.name: each for each in read_tasks(pilot)} for pilot in pilots if pilot is not None]
    for name in tasks[0]:
        if name not in tasks[1]:
            continue
        for domain in (IN_DOMAIN, OUT_OF_DOMAIN):
            scores = [dict(_scores(each[name], domain)) for each in tasks]
            deltas: dict[Place, tuple[float, Interval]] = {}
            if _is_against(pilots[0], pilots[1]):
                found = _deltas(tasks[0][name], domain)
                deltas |= {place: (-value, (-high, -low)) for place, (value, (low, high)) in found.items()}
            if _is_against(pilots[1], pilots[0]):
                deltas |= _deltas(tasks[1][name], domain)
            yield from pairs_of(scores[0], scores[1], deltas)


def _scores(task: PilotTask, domain: str) -> Iterator[tuple[Place, Reading]]:
    what = f"pilot_{task.name}" + ("_ood" if domain == OUT_OF_DOMAIN else "")
    for layer, score in task.scores(domain=domain).items():
        if isinstance(score, MeasuredScore):
            yield (f"layer {layer}" if isinstance(layer, int) else layer, what), (score.value, score.interval)


def _deltas(task: PilotTask, domain: str) -> dict[Place, tuple[float, Interval]]:
    """Return what a pilot says of its difference to whom it was compared with, where it was on the same items."""
    what = f"pilot_{task.name}" + ("_ood" if domain == OUT_OF_DOMAIN else "")
    paired = {
        row["layer"]
        for row in task.rows
        if (row["domain"], row["metric"], row["head"]) == (domain, task.metrics[0], task.head)
        and row.get("delta_paired") is True
    }
    return {
        (f"layer {layer}" if isinstance(layer, int) else layer, what): (score.delta, score.delta_interval)
        for layer, score in task.scores(domain=domain).items()
        if isinstance(score, MeasuredScore)
        and layer in paired
        and score.delta is not None
        and score.delta_interval is not None
    }


def _is_against(pilot: Document, other: Document) -> bool:
    """Say whether a pilot was taken against the very encoder that the other one is of."""
    named = section(pilot, "against").get("digest")
    return named is not None and named == section(other, "model").get("digest")


def _restricted(conventions: Conventions, parts: Iterable[str]) -> Conventions:
    return Conventions({name: value for part in parts for name, value in conventions.part(part).settings.items()})


def _named(conventions: Conventions) -> str:
    return ", ".join(sorted(part.rstrip(".") for part in parts_of(conventions))) or "nothing"
