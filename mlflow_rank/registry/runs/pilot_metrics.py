"""Which numbers of a pilot become MLflow metrics, and under which names.

A name is `pilot_<task>/layer_<index>`: the primary metric at the most labels with the first head, its bounds beside it
as `_low` and `_high`. Further parts before the slash: `_ood` (out of domain), `_random` (the same layer with random
weights), `_<metric>` (the other metrics). Everything else a pilot holds is in the artifact `mlflow_rank/pilot.parquet`.
"""

from __future__ import annotations

from collections.abc import Sequence

from mlflow_rank.registry.runs.measured_rank import Document
from mlflow_rank.registry.runs.measured_score import (
    IN_DOMAIN,
    OUT_OF_DOMAIN,
    Layer,
    MeasuredScore,
    PilotTask,
    Scores,
    read_tasks,
)

_LONGEST_TASK = 150  # leaves 100 of MLflow's 250 characters for the metric and the layer


def pilot_metrics_of(document: Document) -> dict[str, float]:
    """Return metric name → finite value for everything that is known; what is unknown is left out."""
    tasks = read_tasks(document)
    width = _layer_digits(tasks)
    metrics: dict[str, float] = {}
    for what, task in zip(metric_groups(tasks), tasks, strict=True):
        inside, outside = task.scores(), task.scores(domain=OUT_OF_DOMAIN)
        _add(metrics, what, inside, width, bounds=True)
        _add(metrics, f"{what}_ood", outside, width, bounds=True)
        for layer, score in inside.items():
            if isinstance(score, MeasuredScore) and score.random is not None:
                metrics[f"{what}_random/{_layer_name(layer, width)}"] = score.random
        for other in task.metrics[1:]:
            _add(metrics, f"{what}_{metric_part(other)}", task.scores(domain=IN_DOMAIN, metric=other), width)
    return metrics


def metric_groups(tasks: Sequence[PilotTask]) -> tuple[str, ...]:
    """Return `pilot_<task>` for each task, in signs MLflow takes; names that would fall together are numbered."""
    groups: list[str] = []
    for task in tasks:
        plain = f"pilot_{metric_part(task.name)}"
        seen = {group.casefold() for group in groups}  # some databases compare names without case
        numbered = (plain if number == 1 else f"{plain}_{number}" for number in range(1, len(tasks) + 1))
        groups.append(next(name for name in numbered if name.casefold() not in seen))
    return tuple(groups)


def metric_part(name: str) -> str:
    """Return a name in letters, digits, `_`, `-` and `.`: the slash groups, so no field may bring one.

    >>> metric_part("label:alarm kind/2")
    'label_alarm_kind_2'
    """
    return "".join(sign if sign.isalnum() or sign in "_-." else "_" for sign in name)[:_LONGEST_TASK]


def _add(metrics: dict[str, float], what: str, scores: Scores, width: int, *, bounds: bool = False) -> None:
    for layer, score in scores.items():
        if not isinstance(score, MeasuredScore):
            continue
        key = f"{what}/{_layer_name(layer, width)}"
        metrics[key] = score.value
        if bounds and score.interval is not None:
            metrics[f"{key}_low"], metrics[f"{key}_high"] = score.interval


def _layer_name(layer: Layer, width: int) -> str:
    return f"layer_{layer:0{width}d}" if isinstance(layer, int) else metric_part(layer)


def _layer_digits(tasks: Sequence[PilotTask]) -> int:
    return max([2, *(len(str(row["layer"])) for task in tasks for row in task.rows if isinstance(row["layer"], int))])
