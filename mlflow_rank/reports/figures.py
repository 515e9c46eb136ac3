"""Rank by layer as a figure: how many dimensions are used, against how many there are."""

from __future__ import annotations

from itertools import groupby
from textwrap import fill
from typing import TYPE_CHECKING

from mlflow_rank.registry.runs.measured_rank import Document, MeasuredRank, UnknownRank, read_ranks
from mlflow_rank.reports.drawing import (
    BAND,
    BLUE,
    DASHES,
    INK,
    NOTE_CHARACTERS,
    ORANGE,
    SOFT_INK,
    dress,
    listed,
    save_figure,
    title_over_legend,
)
from mlflow_rank.reports.subject import corpus_name, minutes_heard, model_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["rank_by_layer", "save_figure"]

Ranks = tuple[MeasuredRank | UnknownRank, ...]

_INCHES = (7.0, 6.8)  # at 500 pixels, beside MLflow's side panel, the smallest text is then still 9 pixels high

CENTRED, UNCENTRED, RANDOM = "centred, 95 % interval", "uncentred", "random weights"
UNCORRECTED, UNKNOWN = "few rows: reads low", "unknown"
_LEGEND = (CENTRED, UNCENTRED, RANDOM, UNCORRECTED, UNKNOWN)
# A ceiling far above every rank would press the lines flat: beyond this many times the highest, it is named, not drawn.
_CEILING_IN_SIGHT = 2.5
_PANELS = (("frame", "frames"), ("utterance", "utterance means"))


def rank_by_layer(document: Document, control: Document | None = None) -> Figure:
    """Draw effective rank by layer, one panel for frames and one for utterance means.

    The thick line is the centred rank with its 95 % interval, the thin one the uncentred rank, the dashed line the
    number of dimensions D. A control (the same architecture, random weights) is a grey band: its interval, or a thin
    strip where it has none. A layer without a number is a cross on the axis, with the cause beneath.

    Args:
        document: the measurement.
        control: the random-weights measurement.

    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=_INCHES, layout="constrained", facecolor="white")
    panels = figure.subplots(2, 1, sharex=True)
    notes: list[str] = []
    for axes, (level, rows) in zip(panels, _PANELS, strict=True):
        ranks = read_ranks(document, level=level, centred=True)
        _draw_ceiling(axes, ranks, control, level)
        if control is not None:
            _draw_control(axes, read_ranks(control, level=level, centred=True))
        _draw_uncentred(axes, read_ranks(document, level=level, centred=False))
        _draw_centred(axes, ranks)
        notes += _draw_unknown(axes, ranks, rows)
        dress(axes, rows, "effective rank")
    panels[-1].set_xlabel("layer   (0 enters the first block, then each block's output)", color=INK)
    title = f"{model_name(document)} on {minutes_heard(document)} of {corpus_name(document)}"
    title_over_legend(figure, title, _LEGEND)
    if control is not None:
        notes.append("Random weights are a reference, not a bar to beat: they usually rank highest.")
    if notes:
        figure.supxlabel("\n".join(notes), x=0.015, ha="left", fontsize=9.5, color=SOFT_INK)
    return figure


def _draw_ceiling(axes: Axes, ranks: Ranks, control: Document | None, level: str) -> None:
    dims = sorted({rank.dim for rank in ranks})
    if not dims:
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", va="center", color=SOFT_INK)
        return
    beside = () if control is None else read_ranks(control, level=level, centred=True)
    tops = [max(rank.value, *(rank.interval or (0.0,))) for rank in (*ranks, *beside) if isinstance(rank, MeasuredRank)]
    highest = max(tops, default=float(dims[-1]))
    named = f"D = {dims[0]}" if len(dims) == 1 else f"D = {dims[0]} to {dims[-1]}"
    if dims[-1] > _CEILING_IN_SIGHT * highest:
        axes.set_ylim(0, 1.25 * highest)
        axes.annotate(
            f"{named} ↑", (1, 1), xycoords="axes fraction", ha="right", va="bottom", fontsize=10, color=SOFT_INK
        )
        return
    if len(dims) == 1:
        axes.axhline(dims[0], color=SOFT_INK, lw=1.2, ls=DASHES, zorder=1)
    else:
        axes.plot([rank.layer for rank in ranks], [rank.dim for rank in ranks], c=SOFT_INK, lw=1.2, ls=DASHES, zorder=1)
    axes.annotate(
        named,
        (1, ranks[-1].dim),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=10,
        color=SOFT_INK,
    )
    axes.set_ylim(0, 1.12 * max(dims[-1], highest))


def _draw_control(axes: Axes, ranks: Ranks) -> None:
    for run in _unbroken(ranks):
        layers = [rank.layer for rank in run]
        strip = 0.008 * axes.get_ylim()[1]  # a line's height, where the control has no interval
        bounds = [rank.interval or (rank.value - strip, rank.value + strip) for rank in run]
        lows, highs = [low for low, _ in bounds], [high for _, high in bounds]
        axes.fill_between(layers, lows, highs, color=BAND, lw=0, zorder=1.5, label=RANDOM)
        axes.plot(layers, [rank.value for rank in run], color="#9A9A9A", lw=1, zorder=1.6)


def _draw_uncentred(axes: Axes, ranks: Ranks) -> None:
    for run in _unbroken(ranks):
        layers, values = [rank.layer for rank in run], [rank.value for rank in run]
        axes.plot(layers, values, color=ORANGE, lw=1.2, marker="D", ms=3, label=UNCENTRED, zorder=3)


def _draw_centred(axes: Axes, ranks: Ranks) -> None:
    for run in _unbroken(ranks):
        layers, values = [rank.layer for rank in run], [rank.value for rank in run]
        axes.plot(layers, values, color=BLUE, lw=2.4, marker="o", ms=5.5, label=CENTRED, zorder=4)
        bounded = [(rank.layer, rank.value, *rank.interval) for rank in run if rank.interval is not None]
        for layer, _, low, high in bounded:
            axes.plot([layer, layer], [low, high], color=BLUE, lw=2.4, alpha=0.45, solid_capstyle="butt", zorder=3.9)
        if bounded:
            spread, _, lows, highs = zip(*bounded, strict=True)
            axes.fill_between(spread, lows, highs, color=BLUE, alpha=0.15, lw=0, zorder=2)
    bare = [rank for rank in ranks if isinstance(rank, MeasuredRank) and rank.status != "ok" and not rank.corrected]
    if bare:  # hollow: the plug-in number, which reads low
        axes.plot(
            [rank.layer for rank in bare], [rank.value for rank in bare], ls="", marker="o", ms=5.5, mec=BLUE,
            mew=1.4, mfc="white", label=UNCORRECTED, zorder=5,
        )  # fmt: skip


def _draw_unknown(axes: Axes, ranks: Ranks, rows: str) -> list[str]:
    unknown = [rank for rank in ranks if isinstance(rank, UnknownRank)]
    if not unknown:
        return []
    layers = [rank.layer for rank in unknown]
    axes.plot(layers, [0] * len(layers), "x", color=INK, ms=8, mew=2, clip_on=False, label=UNKNOWN, zorder=6)
    by_cause: dict[str, list[int]] = {}
    for rank in unknown:
        by_cause.setdefault(rank.cause, []).append(rank.layer)
    return [
        fill(f"× {rows}, layer {listed(layers)}: {cause}", NOTE_CHARACTERS, subsequent_indent="   ")
        for cause, layers in by_cause.items()
    ]


def _unbroken(ranks: Ranks) -> list[list[MeasuredRank]]:
    """Return the stretches of layers that have a number, so that no line is drawn across an unknown one."""
    stretches: list[list[MeasuredRank]] = []
    for known, stretch in groupby(ranks, key=lambda rank: isinstance(rank, MeasuredRank)):
        if known:
            stretches.append([rank for rank in stretch if isinstance(rank, MeasuredRank)])
    return stretches
