"""Figures of a study of prediction: predicted against measured, errors by model, and what the prediction leans on."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlflow_rank.reports.drawing import (
    BLUE,
    DASHES,
    GREEN,
    GRID,
    INK,
    ORANGE,
    RANDOM_GREY,
    SOFT_INK,
    dress,
    title_over_legend,
    write_notes,
)
from mlflow_rank.reports.studies.correlation.names import rank_name
from mlflow_rank.reports.studies.correlation.panels import SMALL, WIDTH, legend_order, looks, written
from mlflow_rank.reports.studies.prediction.words import MODELS, name_of
from mlflow_rank.studies.prediction.over_runs import OverRuns
from mlflow_rank.studies.prediction.rivals import CANDIDATE, CONTROL
from mlflow_rank.studies.prediction.scores import Answer
from mlflow_rank.studies.prediction.study import Prediction

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 12
_COLUMNS = 2
_TITLE = 30  # characters that fit over half the width
_EXACT = "as measured"
_COLOURS = {CANDIDATE: BLUE, CONTROL: ORANGE, "rank": GREEN}
_MARKS = {CANDIDATE: "o", CONTROL: "D", "rank": "^"}


def predicted_against_measured(made: Sequence[Prediction]) -> Figure:
    """Draw every layer of every checkpoint, coloured by run; on the line a prediction is exact."""
    from matplotlib.ticker import MaxNLocator

    figure, panels = _panels(made, 3.0)
    shown = looks(tuple(dict.fromkeys(run for each in made for run in each.rows.runs)))
    for axes, each in zip(panels, made, strict=False):
        sign = -100.0 if each.outcome.lower_is_better else 100.0
        measured, predicted = sign * each.rows.score, sign * each.found.by(CANDIDATE)
        for run in each.rows.runs:
            here, look = each.rows.run == run, shown[run]
            axes.plot(
                measured[here], predicted[here], look.marker, color=look.colour, ms=3.5, alpha=0.7, mew=0,
                label=look.label,
            )  # fmt: skip
        ends = [min(measured.min(), predicted.min()), max(measured.max(), predicted.max())]
        axes.plot(ends, ends, color=SOFT_INK, lw=1.0, ls=DASHES, label=_EXACT, zorder=1)
        dress(axes, written(name_of(each.outcome), _TITLE), "predicted, %")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
        axes.set_xlabel("measured, %", color=INK)
    title_over_legend(figure, "Predicted by ranks and step, against measured", legend_order(shown, _EXACT))
    write_notes(
        figure, ["Each point is a layer of a checkpoint, predicted by a model that did not see its run.", *_more(made)]
    )
    return figure


def errors_by_model(made: Sequence[Prediction]) -> Figure:
    """Draw the mean absolute error of each model on held-out runs, with intervals over runs."""
    height = 0.8 + 0.27 * max(len(each.scores) for each in made)
    figure, panels = _panels(made, height)
    for at, (axes, each) in enumerate(zip(panels, made, strict=False)):
        rows = [(MODELS[name], scores.error, _COLOURS.get(name, RANDOM_GREY)) for name, scores in each.scores.items()]
        marks = [_MARKS.get(name, "s") for name in each.scores]
        _draw_rows(axes, rows, marks, named=at % _COLUMNS == 0)
        axes.set_xlim(left=0)
        _dress_rows(axes, each, "error, points")
    figure.suptitle(
        "How far each model is off on runs that it had not seen",
        x=0.015,
        ha="left",
        fontsize=13.5,
        fontweight="bold",
        color=INK,
    )
    how = (
        "Mean absolute error over held-out runs; bars are 95 % intervals over runs. They overlap because some runs are "
        "harder for every model: the verdicts compare run by run."
    )
    write_notes(figure, [how, *_more(made)])
    return figure


def leaned_on(made: Sequence[Prediction]) -> Figure:
    """Draw by how much the error grows when step, or a rank, is mixed up among the checkpoints of a run."""
    height = 0.8 + 0.27 * max(len(each.importances) for each in made)
    figure, panels = _panels(made, height)
    names = list(dict.fromkeys(name for each in made for name in each.importances))
    for at, (axes, each) in enumerate(zip(panels, made, strict=False)):
        known = [(name, each.importances[name]) for name in names if name in each.importances]
        rows = [(rank_name(name), answer, SOFT_INK if name == "step" else BLUE) for name, answer in known]
        alike = [name for name, _ in known] == names and all(len(each.importances) == len(names) for each in made)
        _draw_rows(
            axes, rows, ["s" if name == "step" else "o" for name, _ in known], named=at % _COLUMNS == 0 or not alike
        )
        axes.axvline(0, color=SOFT_INK, lw=1.0, zorder=1)
        _dress_rows(axes, each, "error grows by, points")
    figure.suptitle("What the prediction leans on", x=0.015, ha="left", fontsize=13.5, fontweight="bold", color=INK)
    how = (
        "Each input is mixed up among the checkpoints of a held-out run, within a layer. Ranks that say the same share "
        "what they are worth. Bars are 95 % intervals over runs."
    )
    write_notes(figure, [how, *_more(made)])
    return figure


def _panels(made: Sequence[Prediction], height: float) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    count = min(len(made), MOST_PANELS)
    rows = math.ceil(count / _COLUMNS)
    figure = Figure(figsize=(WIDTH, 1.6 + height * rows), layout="constrained", facecolor="white")
    grid = list(figure.subplots(rows, min(count, _COLUMNS), squeeze=False).flat)
    for axes in grid[count:]:
        axes.set_visible(False)
    return figure, grid[:count]


def _draw_rows(axes: Axes, rows: Sequence[tuple[str, Answer, str]], marks: Sequence[str], *, named: bool) -> None:
    for at, ((_, answer, colour), mark) in enumerate(zip(rows, marks, strict=True)):
        if isinstance(answer, OverRuns):
            low, value, high = 100 * answer.low, 100 * answer.value, 100 * answer.high
            axes.plot([low, high], [at, at], color=colour, lw=2.4, alpha=0.45, solid_capstyle="butt")
            axes.plot([value], [at], mark, color=colour, ms=6)
    axes.set_yticks(
        range(len(rows)), [textwrap.shorten(written(name, 40), 32) for name, *_ in rows] if named else [""] * len(rows)
    )
    axes.set_ylim(len(rows) - 0.5, -0.5)


def _dress_rows(axes: Axes, each: Prediction, measure: str) -> None:
    from matplotlib.ticker import FixedLocator, MaxNLocator

    ticks, labels = list(axes.get_yticks()), [text.get_text() for text in axes.get_yticklabels()]
    dress(axes, written(name_of(each.outcome), _TITLE), "")
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.set_yticklabels(labels, fontsize=SMALL)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x", color=GRID, lw=0.8)
    axes.set_xlabel(measure, color=INK)


def _more(made: Sequence[Prediction]) -> list[str]:
    return [f"{len(made) - MOST_PANELS} more pilot scores are in the tables."] if len(made) > MOST_PANELS else []
