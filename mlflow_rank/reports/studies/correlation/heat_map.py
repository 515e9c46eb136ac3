"""Layer by pilot score: where rank tracks the pilot beyond the trend, where not, and where nobody knows."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlflow_rank.reports.drawing import BAND, INK, SOFT_INK, dress, listed, write_notes
from mlflow_rank.reports.studies.cells import ABSENT
from mlflow_rank.reports.studies.correlation.names import domain_name, rank_name, sentence, signed, task_name
from mlflow_rank.reports.studies.correlation.panels import SMALL, WIDTH, chosen_layers, left_out, window_of, written
from mlflow_rank.reports.studies.correlation.results import Correlated, Document, Known, Unknown
from mlflow_rank.reports.studies.correlation.words import after_correction
from mlflow_rank.reports.subject import counted
from mlflow_rank.reports.untrusted_text import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = "RdBu"  # red to blue: apart for every common kind of colour vision; signs are written as well
MOST_OUTCOMES, MOST_LAYERS = 8, 48  # of one map: cells stay as wide and high as the number in them
_CELL = 0.2  # inches high, at least
_WORD = 14  # characters of a task's name in one line above a column


def heat_map(study: Correlated, predictor: str, outcomes: Sequence[Document]) -> Figure:
    """Draw the partial Spearman correlation of each layer with each pilot score, blue above 0 and red below.

    A star says that it passed the correction; what has no number is hatched, its causes beneath.

    Args:
        study: what was found.
        predictor: the rank.
        outcomes: at most `MOST_OUTCOMES` pilot scores.
    """
    from matplotlib.figure import Figure

    layers = chosen_layers(study.layers, MOST_LAYERS)
    found = [[study.within(predictor, outcome["name"]).get(layer, Unknown("not looked at")) for outcome in outcomes]
             for layer in layers]  # fmt: skip
    high = max(0.32 if len(layers) <= 16 else _CELL, 1.6 / max(len(layers), 1))
    figure = Figure(figsize=(WIDTH, 2.3 + high * len(layers)), layout="constrained", facecolor="white")
    axes = figure.subplots()
    values = np.array([[each.value if isinstance(each, Known) else np.nan for each in row] for row in found])
    mesh = axes.pcolormesh(
        np.ma.masked_invalid(values), cmap=COLOURS, vmin=-1, vmax=1, edgecolors="white", linewidth=1.2
    )
    dress(axes, "", "layer")
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    title = written(f"{sentence(rank_name(predictor))} and the pilot within a layer", 60)
    axes.set_title(title, loc="left", fontsize=13.5, fontweight="bold", color=INK, pad=8)
    _name_sides(axes, layers, outcomes)
    for at, row in enumerate(found):
        for across, each in enumerate(row):
            _write_cell(axes, across, at, each)
    bar = figure.colorbar(
        mesh,
        ax=axes,
        pad=0.02,
        shrink=min(1.0, 16 / max(len(layers), 1)),
        anchor=(0, 1),
        aspect=20,
        ticks=[-1, -0.5, 0, 0.5, 1],
    )
    bar.set_label("partial Spearman", color=INK, fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL, colors=INK)
    bar.outline.set_visible(False)
    write_notes(figure, [*_notes(study), *_causes(layers, found), *left_out(study.layers, layers, "in the tables")])
    return figure


def _name_sides(axes: Axes, layers: Sequence[int], outcomes: Sequence[Document]) -> None:
    axes.set_ylim(len(layers), 0)
    axes.set_yticks(np.arange(len(layers)) + 0.5, [str(layer) for layer in layers])
    axes.tick_params(axis="y", labelsize=SMALL if len(layers) <= 30 else 8.5)
    axes.xaxis.tick_bottom()
    names = [
        "\n".join(
            line
            for text in (written(task_name(outcome, 2 * _WORD), 2 * _WORD), domain_name(outcome))
            for line in textwrap.wrap(text.replace(":", ": "), _WORD if len(outcomes) <= 5 else 10)
        )
        for outcome in outcomes
    ]
    axes.set_xticks(np.arange(len(outcomes)) + 0.5, names, fontsize=SMALL if len(outcomes) <= 6 else 8.5)
    axes.set_xlim(0, max(len(outcomes), 1))
    axes.tick_params(length=0)


def _write_cell(axes: Axes, across: int, at: int, found: Known | Unknown) -> None:
    from matplotlib.patches import Rectangle

    if isinstance(found, Known):
        said, weight = signed(found.value) + ("*" if found.counts else ""), "bold" if found.counts else "normal"
        axes.text(
            across + 0.5, at + 0.52, said, ha="center", va="center", fontsize=9, fontweight=weight,
            color=readable_on(found.value),
        )  # fmt: skip
        return
    axes.add_patch(Rectangle((across, at), 1, 1, facecolor="#F4F4F4", edgecolor=BAND, hatch="////", lw=0.6, zorder=1.5))
    axes.text(
        across + 0.5, at + 0.52, ABSENT, ha="center", va="center", fontsize=9, color=SOFT_INK, zorder=3,
        bbox={"boxstyle": "round,pad=0.12", "fc": "#F4F4F4", "ec": "none"},
    )  # fmt: skip


def readable_on(value: float) -> str:
    """Return the colour of a number on the cell of its own value: the one of two that differs more in luminance.

    Relative luminance and contrast are those of WCAG 2.2.
    """
    from matplotlib import colormaps
    from matplotlib.colors import to_rgb

    def luminance(colour: Sequence[float]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    cell, dark = luminance(colormaps[COLOURS]((value + 1) / 2)), luminance(to_rgb(INK))
    return "white" if 1.05 / (cell + 0.05) > (cell + 0.05) / (dark + 0.05) else INK


def _notes(study: Correlated) -> list[str]:
    first, last = window_of(study.document)
    return [
        (
            f"Checkpoints of {counted(len(study.runs), 'runs')}, steps {first:,} to {last:,}; what log step and loss "
            "explain is taken off."
        ),
        f"* is above or below 0{after_correction(study.family('within_layer', 'partial'), counting=True)}.",
    ]


def _causes(layers: Sequence[int], found: Sequence[Sequence[Known | Unknown]]) -> list[str]:
    causes: dict[str, set[int]] = {}
    for layer, row in zip(layers, found, strict=True):
        for each in row:
            if isinstance(each, Unknown):
                causes.setdefault(each.cause, set()).add(layer)
    said = [f"– in layer {listed(sorted(where))}: {plain(cause)}" for cause, where in causes.items()]
    return said[:3] + ([f"and {len(said) - 3} more causes, in the tables"] if len(said) > 3 else [])
