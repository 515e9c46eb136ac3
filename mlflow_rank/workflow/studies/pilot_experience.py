"""What a pilot of the past says about one to come: score, how alike items of a speaker are, disagreement, labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scipy import special

from mlflow_rank.errors import UsageError
from mlflow_rank.registry.runs.measured_rank import finite
from mlflow_rank.registry.runs.measured_score import (
    LOWER_IS_BETTER,
    RANDOM_WEIGHTS,
    MeasuredScore,
    PilotTask,
    mapping,
    read_tasks,
    sequence,
)
from mlflow_rank.workflow.studies.document_files import Document

CHOSEN = "pilot_best"
_CONFIDENT = 0.975  # quantile of the upper end of a 95 % interval


@dataclass(frozen=True, slots=True)
class PilotExperience:
    """What is read of one task; None is what the pilot does not show.

    `effect` is the design effect: by how much the squared error of the score passes that of independent items.
    `per_class` is the fewest labels of a class tried that reached 95 % of the score with all of them.
    """

    task: str
    accuracy: float
    items: int
    speakers: int
    effect: float | None
    intraclass: float | None
    discordance: float | None
    compared_with: str
    classes: int
    per_class: int | None
    item_seconds: float | None


def experience_of(pilot: Document, task: str) -> PilotExperience:
    """Read a `PilotResult` for a task: the layer that the pilot chose, the first head, the most labels, in domain.

    Raises:
        UsageError: the task was not piloted, or has no score that is a share.
    """
    tasks = {each.name: each for each in read_tasks(pilot)}
    if task not in tasks:
        raise UsageError("this task was not piloted", got=f"--task {task}", expected=", ".join(tasks) or "any task")
    found = tasks[task]
    metric = next(iter(found.metrics), "")
    row = found.scores().get(CHOSEN)
    if metric == "per" or not isinstance(row, MeasuredScore):
        cause = "phone errors per phone are no share" if metric == "per" else getattr(row, "cause", "no layer chosen")
        raise UsageError(
            "nothing can be planned from this pilot", got=f"{task}: {cause}", expected="a score that is a share"
        )
    accuracy = 1.0 - row.value if metric in LOWER_IS_BETTER else row.value
    effect = _effect(found, row, accuracy)
    most = row.n / row.groups if row.groups else 0.0
    return PilotExperience(
        task=task,
        accuracy=min(max(accuracy, 0.01), 0.99),  # a perfect score says nothing of how rarely an encoder fails
        items=row.n,
        speakers=row.groups,
        effect=effect,
        intraclass=None if effect is None or most <= 1 else min(max((effect - 1) / (most - 1), 0.0), 1.0),
        discordance=_discordance(found, row, effect),
        compared_with=found.compared_with,
        classes=len(found.classes),
        per_class=_per_class(found),
        item_seconds=_seconds(found),
    )


def _effect(task: PilotTask, row: MeasuredScore, accuracy: float) -> float | None:
    """Return n·se²/(p q), the squared error over that of independent items."""
    error = finite(_raw(task).get("se"))
    if error is None and row.interval is not None:
        error = _error(row.interval, row.groups)
    if error is None or row.groups < 2 or not 0.0 < accuracy < 1.0:
        return None
    return max(row.n * error**2 / (accuracy * (1 - accuracy)), 1.0)


def _error(interval: tuple[float, float], groups: int) -> float:
    """Return the standard error that half of an interval by Student's t implies."""
    return (interval[1] - interval[0]) / 2 / float(special.stdtrit(max(groups - 1, 1), _CONFIDENT))


def _discordance(task: PilotTask, row: MeasuredScore, effect: float | None) -> float | None:
    """Return ψ = n·se²/deff + d² of the paired difference to a champion; that to random weights is no guide."""
    if task.compared_with == RANDOM_WEIGHTS or _raw(task).get("delta_paired") is not True:
        return None
    if row.delta is None or row.delta_interval is None:
        return None
    share = row.n * _error(row.delta_interval, row.groups) ** 2 / (effect or 1.0) + row.delta**2
    return min(max(share, abs(row.delta), 1.0 / row.n), 0.99)


def _raw(task: PilotTask) -> Mapping[str, object]:
    """Return the row whose number is read: of the layer that the pilot chose."""
    asked = ("in_domain", CHOSEN, task.metrics[0], task.head, task.shots[-1])
    names = ("domain", "layer", "metric", "head", "shots")
    return next((row for row in task.rows if tuple(row[name] for name in names) == asked), {})


def _per_class(task: PilotTask) -> int | None:
    chosen = task.layer_choice(CHOSEN)
    for each in sequence(task.described, "labels_saved"):
        if isinstance(each, Mapping) and (each["layer"], each["head"], each["status"]) == (chosen, task.head, "ok"):
            return max(1, round(float(each["labels"]) / len(task.classes)))
    return None


def _seconds(task: PilotTask) -> float | None:
    audio = mapping(mapping(task.described, "domains"), "in_domain")
    minutes, items = audio.get("minutes"), audio.get("items")
    if not isinstance(minutes, int | float) or not isinstance(items, int) or not minutes or not items:
        return None
    return 60 * minutes / items
