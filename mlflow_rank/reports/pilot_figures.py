"""All figures of a pilot, as files."""

from __future__ import annotations

from pathlib import Path

from mlflow_rank.registry.runs.measured_rank import Document
from mlflow_rank.registry.runs.measured_score import read_tasks
from mlflow_rank.registry.runs.pilot_metrics import metric_groups
from mlflow_rank.reports.confusion_figure import confusion_matrix
from mlflow_rank.reports.drawing import save_figure
from mlflow_rank.reports.learning_curve import learning_curve
from mlflow_rank.reports.score_figure import score_by_layer

__all__ = ["confusion_matrix", "draw_pilot", "learning_curve", "score_by_layer"]


def draw_pilot(document: Document, directory: Path, measurement: Document | None = None) -> list[Path]:
    """Draw every figure of every task as SVG and PNG and return the paths, named `pilot_<task>_<figure>`.

    Args:
        document: the pilot.
        directory: where to, an existing one.
        measurement: the ranks of the same encoder, drawn beneath the scores.

    """
    paths: list[Path] = []
    tasks = read_tasks(document)
    for name, task in zip(metric_groups(tasks), tasks, strict=True):
        paths += save_figure(score_by_layer(document, task, measurement), directory / f"{name}_by_layer")
        if len(task.shots) > 1:
            paths += save_figure(learning_curve(document, task), directory / f"{name}_learning_curve")
        confusion = confusion_matrix(document, task)
        if confusion is not None:
            paths += save_figure(confusion, directory / f"{name}_confusion")
    return paths
