"""Score over the number of training labels as a figure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mlflow_rank.registry.runs.measured_rank import Document, finite
from mlflow_rank.registry.runs.measured_score import (
    LOWER_IS_BETTER,
    MeasuredScore,
    PilotTask,
    Scores,
)
from mlflow_rank.reports.drawing import (
    DASHES,
    DOTS,
    GREEN,
    INK,
    RANDOM_GREY,
    SOFT_INK,
    dress,
    title_over_legend,
    write_notes,
)
from mlflow_rank.reports.pilot_words import best_layer, known, saved_entries, share_of_full, shots_name
from mlflow_rank.reports.score_figure import CHANCE, LOG_MEL, RANDOM, score_axis, score_scale
from mlflow_rank.reports.subject import model_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INCHES = (7.0, 4.8)
_PALEST = 0.6  # of the depth, put before layer 0 in the scale of blues


def learning_curve(document: Document, task: PilotTask) -> Figure:
    """Draw the score over the number of training labels: a line per layer, the deeper the darker.

    The layer the pilot chose is the thick line, with its intervals and its references; the arrow says at how many
    labels it reaches the target share of its full-label score.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    figure = Figure(figsize=_INCHES, layout="constrained", facecolor="white")
    axes = figure.subplots()
    by_shots = [task.scores(shots=shots) for shots in task.shots]
    layers = sorted({layer for scores in by_shots for layer in scores if isinstance(layer, int)})
    top = best_layer(by_shots[-1] if by_shots else {}, task.metrics[0])
    chosen = task.layer_choice("pilot_best")
    best = chosen if chosen is not None else None if top is None else top.layer
    deepest = max(layers, default=0) or 1
    colours = colormaps["Blues"]
    span = Normalize(-_PALEST * deepest, deepest)  # the palest blues would not show on white
    for layer in layers:
        points = _curve(by_shots, layer)
        if layer != best:
            _lines(axes, [(p.labels or 0, 100 * p.value) for p in points], colours(span(layer)))
    bold = f"layer {best}, the pilot's best, 95 % interval"
    if isinstance(best, int):
        points = _curve(by_shots, best)
        _draw_best(axes, points, bold)
        _draw_target(axes, task, best, points)
    dress(axes, "score over labels", score_axis(task))
    axes.set_ylim(*score_scale(axes, task))
    _label_axis(axes, task, by_shots)
    if len(layers) > 1:
        bar = figure.colorbar(
            ScalarMappable(span, colours),
            ax=axes,
            pad=0.02,
            aspect=30,
            ticks=layers[:: _step(layers)],
        )
        bar.ax.set_ylim(0, deepest)
        bar.set_label("layer", color=INK)
        bar.outline.set_visible(False)
    title_over_legend(figure, f"{task.name} with {model_name(document)}, {task.head}", (bold, RANDOM, LOG_MEL, CHANCE))
    unknown = [shots_name(shots) for shots, scores in zip(task.shots, by_shots, strict=True) if not any(known(scores))]
    write_notes(figure, [f"unknown with {', '.join(unknown)}: see the causes in the result"] if unknown else [])
    return figure


def _draw_best(axes: Axes, points: Sequence[MeasuredScore], label: str) -> None:
    xs = [point.labels or 0 for point in points]
    axes.plot(xs, [100 * point.value for point in points], color=INK, lw=2.6, marker="o", ms=6, label=label, zorder=5)
    for x, point in zip(xs, points, strict=True):
        if point.interval is not None:
            low, high = point.interval
            axes.plot([x, x], [100 * low, 100 * high], color=INK, lw=2.4, alpha=0.35, solid_capstyle="butt", zorder=4.9)
    for name, colour, dashes, named in (
        ("random", RANDOM_GREY, "-", RANDOM), ("logmel", GREEN, DASHES, LOG_MEL), ("chance", SOFT_INK, DOTS, CHANCE),
    ):  # fmt: skip
        found = [
            (x, 100 * getattr(point, name))
            for x, point in zip(xs, points, strict=True)
            if getattr(point, name) is not None
        ]
        if found:
            axes.plot(*zip(*found, strict=True), color=colour, lw=1.5, ls=dashes, label=named, zorder=3)


def _draw_target(axes: Axes, task: PilotTask, layer: int, points: Sequence[MeasuredScore]) -> None:
    """Point at the score of so many labels that the target share of the full-label score is reached."""
    entry = saved_entries(task).get(layer, {})
    reached = next((point for point in points if point.labels == finite(entry.get("labels"))), None)
    if reached is None or entry.get("status") == "unknown" or task.metrics[0] in LOWER_IS_BETTER:
        return
    axes.annotate(
        f"{share_of_full(entry)} of its full-label score", (reached.labels, 100 * reached.value), xytext=(0, 20),
        textcoords="offset points", ha="center", va="bottom", fontsize=9, color=INK, zorder=6,
        arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 0.9, "shrinkB": 5},
    )  # fmt: skip


def _label_axis(axes: Axes, task: PilotTask, by_shots: Sequence[Scores]) -> None:
    """Give the labels a logarithmic axis whose ticks are the numbers of labels that were tried."""
    ticks = [
        (max(score.labels or 0 for score in known(scores)), shots)
        for shots, scores in zip(task.shots, by_shots, strict=True)
        if any(score.labels for score in known(scores))
    ]
    axes.set_xscale("log")
    axes.set_xticks([labels for labels, _ in ticks], [f"{labels:,.0f}\n{shots}" for labels, shots in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("training labels, and labels per class (logarithmic axis)", color=INK)


def _curve(by_shots: Iterable[Scores], layer: int) -> list[MeasuredScore]:
    found = (scores.get(layer) for scores in by_shots)
    return [score for score in found if isinstance(score, MeasuredScore) and score.labels]


def _lines(axes: Axes, points: Sequence[tuple[float, float]], colour: object) -> None:
    if points:
        axes.plot(*zip(*points, strict=True), color=colour, lw=1.3, marker="o", ms=2.5, zorder=2)


def _step(layers: Sequence[int]) -> int:
    return 1 + (len(layers) - 1) // 13  # as many as the axis of layers names
