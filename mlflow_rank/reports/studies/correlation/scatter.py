"""Rank against pilot score, a panel for each layer: what a correlation was taken of."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mlflow_rank.reports.drawing import INK, SOFT_INK, dress, title_over_legend, write_notes
from mlflow_rank.reports.studies.correlation.names import measure_name, rank_name, score_name, sentence, signed
from mlflow_rank.reports.studies.correlation.panels import (
    COLUMNS,
    MOST_PANELS,
    SMALL,
    WIDTH,
    at_edge,
    by_run,
    chosen_layers,
    in_window,
    left_out,
    legend_order,
    looks,
    window_of,
    written,
)
from mlflow_rank.reports.studies.correlation.results import Correlated, Document, Known
from mlflow_rank.studies.trajectories import Trajectories

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mlflow_rank.reports.studies.correlation.panels import Look, Numbers

_SMALLEST, _LARGEST = 8.0, 46.0  # points², of the first and of the last checkpoint


def rank_against_score(study: Correlated, trajectories: Trajectories, predictor: str, outcome: Document) -> Figure:
    """Draw every checkpoint of the window as a point: its rank across, its score up; better is above.

    A thin line joins the checkpoints of a run; marks grow with the step. Each panel says the correlation with the trend
    left in and without it.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    shown = chosen_layers(study.layers, MOST_PANELS)
    columns = min(COLUMNS, len(shown)) or 1
    rows = math.ceil(len(shown) / columns) or 1
    figure = Figure(figsize=(WIDTH, 1.9 + 1.65 * rows), layout="constrained", facecolor="white")
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    studied, look = in_window(study.document, trajectories), looks(study.runs)
    ranks, scores = by_run(studied, predictor), by_run(studied, outcome["name"])
    raw, partial = (study.within(predictor, outcome["name"], view) for view in ("raw", "partial"))
    for at, axes in enumerate(panels):
        if at >= len(shown):
            axes.set_visible(False)
            continue
        layer = shown[at]
        pairs = {run: (*ranks[run, layer], scores[run, layer][1]) for run in study.runs if (run, layer) in ranks}
        _draw_runs(axes, pairs, look, window_of(study.document))
        first, lowest = at_edge(at, len(shown), columns)
        dress(axes, f"layer {layer}", "")
        _write_found(axes, raw.get(layer), partial.get(layer))
        axes.title.set_fontsize(10)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
        axes.margins(0.08)
        axes.tick_params(labelsize=SMALL, labelleft=first)
        if lowest:
            axes.set_xlabel(written(rank_name(predictor), 30), color=INK, fontsize=SMALL)
    if outcome["lower_is_better"]:
        panels[0].invert_yaxis()
    figure.supylabel(written(measure_name(outcome), 50), color=INK, fontsize=SMALL)
    title = f"{sentence(rank_name(predictor))} and {score_name(outcome, 24)}"
    title_over_legend(figure, written(title, 60), legend_order(look))
    first_step, last_step = window_of(study.document)
    write_notes(
        figure,
        [
            f"A point is a checkpoint of steps {first_step:,} to {last_step:,}; marks grow with the step.",
            "ρ: Spearman with the trend left in, then without it (* differs from 0 after correction).",
            *left_out(study.layers, shown, "in the tables"),
        ],
    )
    return figure


def _draw_runs(
    axes: Axes, pairs: dict[str, tuple[Numbers, Numbers, Numbers]], look: dict[str, Look], window: tuple[int, int]
) -> None:
    drawn = 0
    for run, (steps, ranks, scores) in pairs.items():
        there = np.isfinite(ranks) & np.isfinite(scores)
        style = look[run]
        if not there.any():
            continue
        drawn += int(there.sum())
        axes.plot(ranks[there], scores[there], color=style.colour, lw=0.7, alpha=0.45, zorder=2)
        axes.scatter(
            ranks[there], scores[there], s=sizes(steps[there], window), color=style.colour, marker=style.marker,
            alpha=0.75, linewidths=0.4, edgecolors="white", label=style.label, zorder=3,
        )  # fmt: skip
    if not drawn:
        axes.text(0.5, 0.5, "no number", transform=axes.transAxes, ha="center", color=SOFT_INK, fontsize=SMALL)


def sizes(steps: Numbers, window: tuple[int, int]) -> Numbers:
    """Return the size of each mark in points², growing with the logarithm of the step."""
    first, last = (math.log1p(each) for each in window)
    share = (np.log1p(steps) - first) / (last - first) if last > first else np.ones_like(steps)
    return np.asarray(_SMALLEST + (_LARGEST - _SMALLEST) * share)


def _write_found(axes: Axes, raw: object, partial: object) -> None:
    """Write both correlations beside the title."""
    if not isinstance(raw, Known) and not isinstance(partial, Known):
        said = "ρ not enough"
    else:
        left = signed(raw.value) if isinstance(raw, Known) else "–"
        without = signed(partial.value) + ("*" if partial.counts else "") if isinstance(partial, Known) else "–"
        said = f"ρ {left}, {without}"
    axes.set_title(said, loc="right", fontsize=SMALL, color=SOFT_INK)
