"""The `PilotResult` document: how well each layer serves a task with few labels, and beside whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlflow_rank.encoders.interface import Encoder
from mlflow_rank.evidence.labels_saved import labels_saved
from mlflow_rank.evidence.pilot_rows import Encoders, Row, scored_rows, unknown_rows
from mlflow_rank.evidence.pilot_scores import Cell, Domain, Scored, Tested
from mlflow_rank.evidence.rank_measurement import Document
from mlflow_rank.probes.design import Design, Shots
from mlflow_rank.probes.predictions import PILOT_BEST, Predictions
from mlflow_rank.probes.refusals import RefusedError
from mlflow_rank.probes.tallies import confusion
from mlflow_rank.probes.tasks import Task

KIND = "PilotResult"


@dataclass(frozen=True, slots=True, eq=False)
class Protocol:
    """How a task was piloted, beside its design: pooling, heads in words, and against whom `delta` is taken."""

    task: Task
    pooling: str
    heads: Mapping[str, str]
    shots: tuple[Shots, ...]
    draws: int
    seed: int
    test_share: float
    group_unit: str
    compared_with: str | None
    domains: Mapping[Domain, Mapping[str, object]]


@dataclass(frozen=True, slots=True, eq=False)
class Piloted:
    """What a pilot of one task found: the design, what was tested and how the candidate called it, all scores."""

    design: Design
    tested: Tested
    predicted: Sequence[Predictions]
    candidate: Mapping[Cell, Scored]
    control: Mapping[Cell, Scored]
    log_mel: Mapping[Cell, Scored]
    champion: Mapping[Cell, Scored]


def pilot_result(
    encoder: Encoder,
    tasks: Sequence[tuple[Protocol, Piloted | RefusedError]],
    *,
    against: Encoder | None,
    skipped: Sequence[Mapping[str, object]],
    rank_best: int | None = None,
) -> Document:
    """Return the document, JSON-ready.

    Args:
        encoder: the candidate.
        tasks: how each was piloted, and what it found or why it gives no number.
        against: the champion it is compared with.
        skipped: audio that could not be used.
        rank_best: the layer of the highest rank, where a measurement is at hand; named, never used.
    """
    described, rows = [], []
    for protocol, found in tasks:
        if isinstance(found, RefusedError):
            task_rows = _refused(protocol, found, encoder)
        else:
            task_rows = _scored(protocol, found, encoder)
        rows += task_rows
        described.append(_task(protocol, found, task_rows, rank_best))
    return {
        "kind": KIND,
        "model": dict(encoder.describe()),
        "against": None if against is None else dict(against.describe()),
        "tasks": described,
        "skipped": list(skipped),
        "rows": rows,
    }


def _refused(protocol: Protocol, refused: RefusedError, encoder: Encoder) -> list[Row]:
    cause = refused.what + (f"; {refused.remedy}" if refused.remedy else "")
    layers = [layer.index for layer in encoder.layers]
    return unknown_rows(
        protocol.task.name, layers, list(protocol.heads), dict.fromkeys(protocol.shots, cause), protocol.task.metrics
    )


def _scored(protocol: Protocol, found: Piloted, encoder: Encoder) -> list[Row]:
    reference = found.champion if protocol.compared_with and found.champion else found.control
    encoders = Encoders(found.candidate, found.control, found.log_mel, reference)
    rows = scored_rows(
        protocol.task.name,
        encoders,
        classes=len(found.tested.classes),
        outside="out_of_domain" in protocol.domains,
    )
    layers = [layer.index for layer in encoder.layers]
    return rows + unknown_rows(
        protocol.task.name, layers, list(protocol.heads), found.design.refusals, protocol.task.metrics[:1]
    )


def _task(
    protocol: Protocol, found: Piloted | RefusedError, rows: Sequence[Row], rank_best: int | None
) -> dict[str, object]:
    task = protocol.task
    asked = {
        "seed": protocol.seed,
        "draws": protocol.draws,
        "shots": list(protocol.shots),
        "test_share": protocol.test_share,
        "compared_with": protocol.compared_with,
    }
    named: dict[str, object] = {
        "task": task.name,
        "metrics": list(task.metrics),
        "pooling": protocol.pooling,
        "heads": dict(protocol.heads),
        "domains": {domain: dict(about) for domain, about in protocol.domains.items()},
    }
    if isinstance(found, RefusedError):
        return named | {
            "classes": [],
            "protocol": {**asked, "disjoint_by": task.disjoint_by, "train_items": 0, "test_items": 0},
            "splits": {"test": [], "pool": [], "draws": []},
            "labels_saved": [],
            "layer_choice": None,
            "confusions": [],
        }
    design = found.design
    splits = design.describe()
    return named | {
        "classes": list(found.tested.classes),
        "protocol": {
            **asked,
            "disjoint_by": protocol.group_unit if design.disjoint_by == "group" else design.disjoint_by,
            "train_items": len(design.pool),
            "test_items": len(design.test),
            "unused_classes": dict(design.unused_classes),
            "left_out": dict(design.left_out),
        },
        "splits": {name: splits[name] for name in ("test", "pool", "outside_test", "draws")},
        "labels_saved": labels_saved(rows, metric=task.metrics[0]),
        "layer_choice": _choice(protocol, found.predicted, rank_best),
        "confusions": _confusions(found.tested, protocol, found.predicted),
    }


def _most(design_shots: Sequence[Shots], predicted: Sequence[Predictions]) -> Shots | None:
    tried = {each.shots for each in predicted}
    return next((shots for shots in reversed(design_shots) if shots in tried), None)


def _choice(protocol: Protocol, predicted: Sequence[Predictions], rank_best: int | None) -> dict[str, object] | None:
    """Return which layer the pilot chooses, by its training items; `draws` says how often each was chosen."""
    head, shots = next(iter(protocol.heads)), _most(protocol.shots, predicted)
    chosen = [each for each in predicted if (each.layer, each.head, each.shots) == (PILOT_BEST, head, shots)]
    if not chosen:
        return None
    counts = Counter(chosen[0].chosen)
    return {
        "pilot_best": counts.most_common(1)[0][0],
        "rank_best": rank_best,
        "head": head,
        "shots": shots,
        "draws": {str(layer): times for layer, times in sorted(counts.items())},
    }


def _confusions(tested: Tested, protocol: Protocol, predicted: Sequence[Predictions]) -> list[dict[str, object]]:
    """Return the confusions of the first head with the most shots, of every layer and domain."""
    head, shots = next(iter(protocol.heads)), _most(protocol.shots, predicted)
    confusions = []
    for each in predicted:
        if (each.head, each.shots) != (head, shots):
            continue
        for domain, codes in tested.truth.items():
            if not len(codes):
                continue
            called = each.inside if domain == "in_domain" else each.outside
            matrix = confusion(codes, called, classes=len(tested.classes)).tolist()
            names = {"layer": each.layer, "domain": domain, "head": head, "shots": shots}
            confusions.append({**names, "matrix": matrix})
    return confusions
