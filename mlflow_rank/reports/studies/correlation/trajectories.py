"""Rank and pilot score over training, a panel of each for a layer: what there was before anything was computed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from mlflow_rank.reports.drawing import (
    BAND,
    DASHES,
    DOTS,
    INK,
    RANDOM_GREY,
    dress,
    title_over_legend,
    write_notes,
)
from mlflow_rank.reports.studies.correlation.names import domain_name, measure_name, rank_name, sentence, task_name
from mlflow_rank.reports.studies.correlation.panels import (
    COLUMNS,
    MOST_PANELS,
    SMALL,
    WIDTH,
    by_run,
    chosen_layers,
    count_steps,
    left_out,
    legend_order,
    looks,
    window_of,
    written,
)
from mlflow_rank.reports.studies.correlation.results import Correlated, Document
from mlflow_rank.studies.trajectories import Trajectories

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mlflow_rank.reports.studies.correlation.panels import Look, Numbers

RANDOM = "random weights (step 0)"
_MANY = 40  # checkpoints of a run from which on they get no mark


def rank_and_score(
    study: Correlated, trajectories: Trajectories, predictor: str, domains: Sequence[Document]
) -> Figure:
    """Draw a rank above the pilot scores of one task, over the logarithm of the step, a pair of panels for a layer.

    Where the table holds step 0 its level is a dotted line: no bar to beat, random weights have a high rank. Where it
    holds more than the window, the window is shaded.

    Args:
        study: what was found.
        trajectories: the table, of the window or of more.
        predictor: the rank.
        domains: the pilot scores of one task; the first is drawn with whole lines, others with dashes.
    """
    from matplotlib.figure import Figure

    shown = chosen_layers(study.layers, MOST_PANELS // 2)
    columns = min(COLUMNS, len(shown)) or 1
    rows = math.ceil(len(shown) / columns) or 1
    figure = Figure(figsize=(WIDTH, 1.9 + 2.9 * rows), layout="constrained", facecolor="white")
    panels = figure.subplots(2 * rows, columns, sharey=False, squeeze=False)
    look, ranks = looks(study.runs), by_run(trajectories, predictor)
    scores = [by_run(trajectories, outcome["name"]) for outcome in domains]
    for row in range(rows):
        for column in range(columns):
            at = row * columns + column
            above, beneath = panels[2 * row][column], panels[2 * row + 1][column]
            if at >= len(shown):
                above.set_visible(False)
                beneath.set_visible(False)
                continue
            _draw_panel(above, study, ranks, shown[at], look)
            for which, columns_of in enumerate(scores):
                _draw_panel(beneath, study, columns_of, shown[at], look, "-" if which == 0 else DASHES)
            _dress_pair(above, beneath, f"layer {shown[at]}", first=column == 0, names=(predictor, domains[0]))
            _scale(above, beneath, study, trajectories)
    _share_scales(panels, domains[0])
    title = f"{sentence(rank_name(predictor))} and {task_name(domains[0], 30)} over training"
    title_over_legend(figure, written(title, 60), legend_order(look, RANDOM))
    write_notes(figure, _notes(study, trajectories, domains, shown))
    return figure


def _draw_panel(
    axes: Axes,
    study: Correlated,
    columns: dict[tuple[str, int], tuple[Numbers, Numbers]],
    layer: int,
    look: dict[str, Look],
    dashes: object = "-",
) -> None:
    for run in study.runs:
        if (run, layer) not in columns:
            continue
        steps, values = columns[run, layer]
        style, later = look[run], steps > 0
        there = later & np.isfinite(values)
        marker = style.marker if there.sum() <= _MANY else ""
        axes.plot(
            steps[there], values[there], color=style.colour, marker=marker, ms=2.6, lw=1.2, ls=dashes, alpha=0.85,
            label=style.label if dashes == "-" else "_", zorder=3,
        )  # fmt: skip
    random = [value for steps, values in (columns[run, layer] for run in study.runs if (run, layer) in columns)
              for step, value in zip(steps, values, strict=True) if step == 0 and math.isfinite(value)]  # fmt: skip
    if random and dashes == "-":
        axes.axhline(float(np.mean(random)), color=RANDOM_GREY, lw=1.3, ls=DOTS, label=RANDOM, zorder=2)


def _dress_pair(above: Axes, beneath: Axes, title: str, *, first: bool, names: tuple[str, Document]) -> None:
    from matplotlib.ticker import MaxNLocator

    predictor, outcome = names
    for axes, heading, measure in (
        (above, title, rank_name(predictor)),
        (beneath, "", measure_name(outcome)),
    ):
        dress(axes, heading, fill(written(measure, 40), 13) if first else "")
        axes.title.set_fontsize(10)
        axes.yaxis.label.set_fontsize(9)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
        axes.tick_params(labelsize=SMALL, labelleft=True)
    beneath.set_xlabel("step", color=INK, fontsize=9)
    above.tick_params(labelbottom=False)


def _scale(above: Axes, beneath: Axes, study: Correlated, trajectories: Trajectories) -> None:
    steps = sorted({each.step for each in trajectories.observations if each.step > 0}) or [1, 10]
    first, last = window_of(study.document)
    for axes in (above, beneath):
        count_steps(axes, steps[0], steps[-1])
        if steps[0] < first or steps[-1] > last:
            axes.axvspan(max(first, 0.5), last, color=BAND, alpha=0.28, lw=0, zorder=0)


def _share_scales(panels: object, outcome: Document) -> None:
    """Give all panels of scores one scale: layers are compared. Ranks of layers have each their own."""
    scores = [axes for axes in np.asarray(panels)[1::2].ravel() if axes.get_visible()]
    low, high = min(axes.get_ylim()[0] for axes in scores), max(axes.get_ylim()[1] for axes in scores)
    for axes in scores:
        axes.set_ylim((high, low) if outcome["lower_is_better"] else (low, high))


def _notes(
    study: Correlated, trajectories: Trajectories, domains: Sequence[Document], shown: Sequence[int]
) -> list[str]:
    first, last = window_of(study.document)
    steps = [each.step for each in trajectories.observations if each.step > 0]
    shaded = " (shaded)" if steps and (min(steps) < first or max(steps) > last) else ""
    notes = [f"Studied were steps {first:,} to {last:,}{shaded}. Scores share a scale, ranks have their own."]
    if len(domains) > 1:
        notes.append(f"Whole lines are {domain_name(domains[0])}, dashes {domain_name(domains[1])}.")
    if any(each.step == 0 for each in trajectories.observations):
        notes.append("Random weights are a reference, no bar to beat: their rank is high and their scores are not.")
    return notes + left_out(study.layers, shown, "not drawn")
