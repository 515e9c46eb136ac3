"""Rank by layer as a figure: how many dimensions are used, against how many there are."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

from mlflow_rank.registry.measured_rank import Document, MeasuredRank, UnknownRank, read_ranks
from mlflow_rank.reports.subject import corpus_name, minutes_heard, model_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Ranks = tuple[MeasuredRank | UnknownRank, ...]

# Okabe & Ito (2008): colours that stay apart for every common kind of colour vision; marks differ in form as well.
_BLUE, _ORANGE = "#0072B2", "#D55E00"
_INK, _SOFT_INK, _BAND, _GRID = "#222222", "#6B6B6B", "#C9C9C9", "#E8E8E8"
_DASHES = (0, (5, 3))
_INCHES = (7.0, 6.8)  # at 500 pixels, beside MLflow's side panel, the smallest text is then still 9 pixels high
_PIXELS_PER_INCH = 150
_LONGEST_TITLE = 60  # characters of the title that fit the width
_NOTE_CHARACTERS = 92  # likewise of a line beneath the panels

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
        _dress(axes, rows)
    panels[-1].set_xlabel("layer   (0 enters the first block, then each block's output)", color=_INK)
    _head(figure, f"{model_name(document)} on {minutes_heard(document)} of {corpus_name(document)}")
    if control is not None:
        notes.append("Random weights are a reference, not a bar to beat: they usually rank highest.")
    if notes:
        figure.supxlabel("\n".join(notes), x=0.015, ha="left", fontsize=9.5, color=_SOFT_INK)
    return figure


def save_figure(figure: Figure, stem: Path) -> tuple[Path, Path]:
    """Write a figure as `stem.svg` and `stem.png`, and return the two paths.

    The SVG holds text as text and no date, so the same measurement gives the same file.
    """
    import matplotlib as mpl

    svg, png = stem.with_name(f"{stem.name}.svg"), stem.with_name(f"{stem.name}.png")
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "mlflow_rank"}):
        figure.savefig(svg, metadata={"Date": None})
    figure.savefig(png, dpi=_PIXELS_PER_INCH)
    return svg, png


def _head(figure: Figure, title: str) -> None:
    """Write the title above one legend for both panels: as the legend's own title, so that the two never overlap."""
    drawn = {
        label: handle for axes in figure.axes for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    labels = [label for label in _LEGEND if label in drawn]
    legend = figure.legend(
        [drawn[label] for label in labels],
        labels,
        title=_shortened(title),
        loc="outside upper left",
        alignment="left",
        ncols=3,
        frameon=False,
        fontsize=10,
        labelcolor=_INK,
        title_fontproperties={"size": 13.5, "weight": "bold"},
    )
    legend.get_title().set_color(_INK)


def _draw_ceiling(axes: Axes, ranks: Ranks, control: Document | None, level: str) -> None:
    dims = sorted({rank.dim for rank in ranks})
    if not dims:
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", va="center", color=_SOFT_INK)
        return
    beside = () if control is None else read_ranks(control, level=level, centred=True)
    tops = [max(rank.value, *(rank.interval or (0.0,))) for rank in (*ranks, *beside) if isinstance(rank, MeasuredRank)]
    highest = max(tops, default=float(dims[-1]))
    named = f"D = {dims[0]}" if len(dims) == 1 else f"D = {dims[0]} to {dims[-1]}"
    if dims[-1] > _CEILING_IN_SIGHT * highest:
        axes.set_ylim(0, 1.25 * highest)
        axes.annotate(
            f"{named} ↑", (1, 1), xycoords="axes fraction", ha="right", va="bottom", fontsize=10, color=_SOFT_INK
        )
        return
    if len(dims) == 1:
        axes.axhline(dims[0], color=_SOFT_INK, lw=1.2, ls=_DASHES, zorder=1)
    else:
        axes.plot(
            [rank.layer for rank in ranks], [rank.dim for rank in ranks], c=_SOFT_INK, lw=1.2, ls=_DASHES, zorder=1
        )
    axes.annotate(
        named,
        (1, ranks[-1].dim),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=10,
        color=_SOFT_INK,
    )
    axes.set_ylim(0, 1.12 * max(dims[-1], highest))


def _draw_control(axes: Axes, ranks: Ranks) -> None:
    for run in _unbroken(ranks):
        layers = [rank.layer for rank in run]
        strip = 0.008 * axes.get_ylim()[1]  # a line's height, where the control has no interval
        bounds = [rank.interval or (rank.value - strip, rank.value + strip) for rank in run]
        lows, highs = [low for low, _ in bounds], [high for _, high in bounds]
        axes.fill_between(layers, lows, highs, color=_BAND, lw=0, zorder=1.5, label=RANDOM)
        axes.plot(layers, [rank.value for rank in run], color="#9A9A9A", lw=1, zorder=1.6)


def _draw_uncentred(axes: Axes, ranks: Ranks) -> None:
    for run in _unbroken(ranks):
        layers, values = [rank.layer for rank in run], [rank.value for rank in run]
        axes.plot(layers, values, color=_ORANGE, lw=1.2, marker="D", ms=3, label=UNCENTRED, zorder=3)


def _draw_centred(axes: Axes, ranks: Ranks) -> None:
    for run in _unbroken(ranks):
        layers, values = [rank.layer for rank in run], [rank.value for rank in run]
        axes.plot(layers, values, color=_BLUE, lw=2.4, marker="o", ms=5.5, label=CENTRED, zorder=4)
        bounded = [(rank.layer, rank.value, *rank.interval) for rank in run if rank.interval is not None]
        for layer, _, low, high in bounded:
            axes.plot([layer, layer], [low, high], color=_BLUE, lw=2.4, alpha=0.45, solid_capstyle="butt", zorder=3.9)
        if bounded:
            spread, _, lows, highs = zip(*bounded, strict=True)
            axes.fill_between(spread, lows, highs, color=_BLUE, alpha=0.15, lw=0, zorder=2)
    bare = [rank for rank in ranks if isinstance(rank, MeasuredRank) and rank.status != "ok" and not rank.corrected]
    if bare:  # hollow: the plug-in number, which reads low
        axes.plot(
            [rank.layer for rank in bare], [rank.value for rank in bare], ls="", marker="o", ms=5.5, mec=_BLUE,
            mew=1.4, mfc="white", label=UNCORRECTED, zorder=5,
        )  # fmt: skip


def _draw_unknown(axes: Axes, ranks: Ranks, rows: str) -> list[str]:
    unknown = [rank for rank in ranks if isinstance(rank, UnknownRank)]
    if not unknown:
        return []
    layers = [rank.layer for rank in unknown]
    axes.plot(layers, [0] * len(layers), "x", color=_INK, ms=8, mew=2, clip_on=False, label=UNKNOWN, zorder=6)
    by_cause: dict[str, list[int]] = {}
    for rank in unknown:
        by_cause.setdefault(rank.cause, []).append(rank.layer)
    return [
        fill(f"× {rows}, layer {_listed(layers)}: {cause}", _NOTE_CHARACTERS, subsequent_indent="   ")
        for cause, layers in by_cause.items()
    ]


def _dress(axes: Axes, rows: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title(rows, loc="left", fontsize=11.5, fontweight="bold", color=_INK)
    axes.set_ylabel("effective rank", color=_INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, nbins=13))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.grid(axis="y", color=_GRID, lw=0.8)
    axes.set_axisbelow(True)
    axes.margins(x=0.03)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#BBBBBB")
    axes.tick_params(colors=_INK, length=3, labelsize=10)


def _unbroken(ranks: Ranks) -> list[list[MeasuredRank]]:
    """Return the stretches of layers that have a number, so that no line is drawn across an unknown one."""
    stretches: list[list[MeasuredRank]] = []
    for known, stretch in groupby(ranks, key=lambda rank: isinstance(rank, MeasuredRank)):
        if known:
            stretches.append([rank for rank in stretch if isinstance(rank, MeasuredRank)])
    return stretches


def _listed(layers: list[int]) -> str:
    """Return ascending layers in few characters.

    >>> _listed([0, 1, 2, 5, 7, 8])
    '0–2, 5, 7–8'
    """
    runs: list[list[int]] = []
    for layer in layers:
        if runs and layer == runs[-1][-1] + 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _shortened(text: str, longest: int = _LONGEST_TITLE) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
