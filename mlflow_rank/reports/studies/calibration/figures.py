"""Figures of a calibration: past versions with the limits, errors by rate, and how far retraining moves a rank."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlflow_rank.reports.drawing import (
    BAND,
    BLUE,
    DASHES,
    GRID,
    INK,
    ORANGE,
    SOFT_INK,
    dress,
    title_over_legend,
    write_notes,
)
from mlflow_rank.studies.calibration.retraining_envelope import RankEnvelope
from mlflow_rank.studies.calibration.study import Floor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GOOD, BAD, LIMIT, UNTAKEN = "good version", "bad version", "limit in the policy", "limit, not proposed"
PROMOTED, REFUSED, ASKED = "bad promoted", "good refused", "rate that was asked"
PAIRS, LEAST = "95 % of pairs, this layer", "least, all layers at once"
_WIDE, _ROW, _EDGES = 7.0, 1.15, 1.5  # inches


def draw_cases(floors: Sequence[Floor]) -> Figure:
    """Draw every past version at its number, one panel for each quantity, with the limit between good and bad."""
    figure, panels = _stacked(len(floors), _ROW)
    for axes, floor in zip(panels, floors, strict=True):
        name = floor.quantity.name
        for good, height, colour, mark, label in ((True, 1.0, BLUE, "o", GOOD), (False, 0.0, ORANGE, "x", BAD)):
            numbers = [floor.quantity.said(case.numbers[name]) for case in floor.cases if case.good is good]
            axes.plot(numbers, [height] * len(numbers), mark, color=colour, ms=6, alpha=0.75, ls="none", label=label)
        taken = floor.proposed
        axes.axvline(
            floor.limit,
            color=INK if taken else SOFT_INK,
            ls="-" if taken else DASHES,
            label=LIMIT if taken else UNTAKEN,
        )
        axes.set_title(f"{name}: {floor.limit:g}", loc="left", fontsize=10.5, fontweight="bold", color=INK)
        axes.set_ylim(-0.6, 1.6)
        axes.set_yticks([0, 1], ["bad", "good"])
        _plain(axes)
    title_over_legend(figure, "Past versions and the limits", (GOOD, BAD, LIMIT, UNTAKEN))
    write_notes(figure, ["Error rates: less is better. Ranks are the lowest of all layers."])
    return figure


def draw_curves(floors: Sequence[Floor]) -> Figure:
    """Draw the held-out shares of bad versions promoted and good ones refused over the rate that is asked."""
    figure, panels = _stacked(len(floors), 1.9)
    for axes, floor in zip(panels, floors, strict=True):
        rates = [100 * point.alpha for point in floor.curve]
        axes.plot(rates, [100 * point.promoted for point in floor.curve], color=ORANGE, marker="x", label=PROMOTED)
        axes.plot(rates, [100 * point.refused for point in floor.curve], color=BLUE, marker="o", ms=4, label=REFUSED)
        axes.plot(rates, rates, color=SOFT_INK, ls=DASHES, lw=1, label=ASKED)
        promised = [rate for rate, point in zip(rates, floor.curve, strict=True) if not point.guaranteed]
        if promised:
            axes.axvspan(0, max(promised), color=BAND, alpha=0.35, lw=0)
        dress(axes, floor.quantity.name, "share, %")
        axes.set_ylim(-3, 103)
    panels[-1].set_xlabel("false-promotion rate that is asked, %", color=INK)
    title_over_legend(figure, "Errors by the rate that is asked", (PROMOTED, REFUSED, ASKED))
    write_notes(figure, ["Grey: rates that so few bad trainings cannot promise. Held out by training, by version."])
    return figure


def draw_envelope(ranks: Sequence[RankEnvelope]) -> Figure:
    """Draw, layer by layer, between which ratios the ranks of two trainings of one recipe lie in 95 % of pairs."""
    figure, panels = _stacked(len(ranks), 1.9)
    for axes, envelope in zip(panels, ranks, strict=True):
        for layer, spread in envelope.layers.items():
            most = spread.difference()
            axes.plot([layer] * 2, [math.exp(-most), math.exp(most)], color=BLUE, lw=3, alpha=0.6, label=PAIRS)
        axes.axhline(1.0, color=SOFT_INK, lw=1)
        axes.axhline(envelope.least_ratio, color=INK, ls=DASHES, lw=1.2, label=LEAST)
        dress(axes, envelope.name, "ratio of two")
    panels[-1].set_xlabel("layer", color=INK)
    title_over_legend(figure, "How far retraining moves a rank", (PAIRS, LEAST))
    runs = min(spread.runs for envelope in ranks for spread in envelope.layers.values())
    write_notes(figure, [f"95 % of pairs of trainings of one recipe, from {runs} trainings at the same steps."])
    return figure


def _stacked(count: int, inches: float) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDE, _EDGES + inches * count), layout="constrained", facecolor="white")
    return figure, list(figure.subplots(count, 1, squeeze=False)[:, 0])


def _plain(axes: Axes) -> None:
    axes.grid(axis="x", color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(colors=INK, length=3, labelsize=9.5)
