"""The rank of every layer while a model trains: where it stands at a glance, and the charts that alarms come from."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlflow_rank.monitoring.alarm import Kind
from mlflow_rank.monitoring.verdict import Verdict
from mlflow_rank.reports.drawing import (
    BAND,
    BLUE,
    DASHES,
    DOTS,
    INK,
    ORANGE,
    RANDOM_GREY,
    SOFT_INK,
    dress,
    title_over_legend,
    write_notes,
)
from mlflow_rank.reports.timeline_series import (
    Mark,
    charts_of,
    headline,
    layers_of,
    levels_of,
    lowest_layer,
    marks_of,
    most_telling_layers,
    percent,
    readings_of,
    shares_of_first,
    stretches,
    thinned,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import GridSpec

CENTRED, UNCENTRED, BEGINNING = "centred", "uncentred", "at the first point"
LIMITS, OTHERS = "its limits", "other layers"
_LEGEND = (CENTRED, UNCENTRED, BEGINNING)
# Okabe & Ito (2008), as in `drawing`; letters tell alarms apart where colours do not.
KIND_COLOURS: dict[Kind, str] = {
    "constant_collapse": "#D55E00",
    "dimensional_collapse": "#CC79A7",
    "divergence": "#000000",
    "disagreement": "#E69F00",
}
_LEVELS = {"frame": "frames", "utterance": "utterance means"}
_WIDTH = 7.0  # inches, as all figures: at 500 pixels the smallest text is still 9 pixels high
_COLUMNS, _MOST_LAYERS = 3, 15  # of small panels: all of a base model; a heat map above shows those of any model
_FEW = 40  # points up to which each is marked
_SMALL = 9.5
_LETTER = 15  # points from one letter to the next


def timeline_figure(verdicts: Sequence[Verdict]) -> Figure:
    """Draw a run: heat maps of all layers, ranks of up to fifteen, the control chart, and the loss.

    Alarms are bands with a letter, from their first sign to their end; what each says is beneath.

    Args:
        verdicts: of the run, at least one, with at least one layer.
    """
    from matplotlib.figure import Figure

    marks, shown = marks_of(verdicts), thinned(verdicts)
    levels, layers = levels_of(shown), layers_of(shown)
    panels = most_telling_layers(shown, levels[0], _MOST_LAYERS)
    rows = math.ceil(len(panels) / _COLUMNS)
    heat = min(3.2, max(1.3, 0.5 + 0.09 * len(layers)))
    losses = any(verdict.point.loss is not None for verdict in shown)
    heights = [heat, *[1.05] * rows, 1.55, *([1.0] if losses else [])]
    figure = Figure(figsize=(_WIDTH, 1.5 + sum(heights) + 0.17 * min(len(marks), 8)), layout="constrained")
    figure.set_facecolor("white")
    grid = figure.add_gridspec(len(heights), 2 * _COLUMNS, height_ratios=heights)
    _draw_heat_maps(figure, grid, shown, marks)
    _draw_layers(figure, grid, shown, panels, marks)
    _draw_chart(figure.add_subplot(grid[1 + rows, :]), shown, levels[0], marks)
    if losses:
        _draw_loss(figure.add_subplot(grid[2 + rows, :]), shown, marks)
    figure.axes[-1].set_xlabel("training step", color=INK)
    title_over_legend(figure, headline(verdicts), _LEGEND)
    write_notes(figure, _notes(verdicts, marks))
    return figure


def _draw_heat_maps(figure: Figure, grid: GridSpec, verdicts: Sequence[Verdict], marks: Sequence[Mark]) -> None:
    import numpy as np
    from matplotlib import colormaps

    layers, levels = layers_of(verdicts), levels_of(verdicts)[:2]
    shares = {
        level: np.array([shares_of_first(readings_of(verdicts, layer, level)) for layer in layers]) for level in levels
    }
    known = np.concatenate([each[np.isfinite(each)] for each in shares.values()])
    top = max(1.0, float(np.percentile(known, 99))) if len(known) else 1.0
    colours = colormaps["cividis"].with_extremes(bad=BAND)
    width = 2 * _COLUMNS // len(levels)
    drawn = []
    for at, level in enumerate(levels):
        axes = figure.add_subplot(grid[0, at * width : (at + 1) * width])
        mesh = axes.pcolormesh(
            _edges([verdict.point.step for verdict in verdicts]), np.arange(len(layers) + 1) - 0.5,
            np.ma.masked_invalid(100 * shares[level]), cmap=colours, vmin=0, vmax=100 * top, rasterized=True,
        )  # fmt: skip
        dress(axes, f"rank of {_LEVELS.get(level, level)}", "layer" if at == 0 else "")
        axes.grid(visible=False)
        axes.margins(0)
        step = 1 + (len(layers) - 1) // 8
        axes.set_yticks(range(0, len(layers), step), [str(layer) for layer in layers[::step]])
        _count_steps(axes, 4 if len(levels) > 1 else 8)
        _outline(axes, layers, marks)
        drawn.append((axes, mesh))
    bar = figure.colorbar(drawn[-1][1], ax=[axes for axes, _ in drawn], pad=0.02, aspect=12)
    first = verdicts[0].point.step
    bar.set_label(f"% of step {first:,}", color=INK, fontsize=_SMALL)
    bar.ax.tick_params(labelsize=_SMALL, colors=INK)
    bar.outline.set_visible(False)


def _outline(axes: Axes, layers: Sequence[int], marks: Sequence[Mark]) -> None:
    """Frame the layers of each alarm for as long as it holds, and write its letter above."""
    from matplotlib.patches import Rectangle

    for mark in marks:
        since, colour = mark.alarm.since_step, KIND_COLOURS[mark.alarm.kind]
        for low, high in stretches([layers.index(layer) for layer in mark.alarm.layers if layer in layers]):
            corner, long = (since, low - 0.5), max(mark.until - since, 0)
            axes.add_patch(Rectangle(corner, long, high - low + 1, fill=False, ec=colour, lw=1.6, zorder=4))
        _letter(axes, mark)


def _draw_layers(
    figure: Figure, grid: GridSpec, verdicts: Sequence[Verdict], layers: Sequence[int], marks: Sequence[Mark]
) -> None:
    steps = [verdict.point.step for verdict in verdicts]
    level = levels_of(verdicts)[0]
    marker = "o" if len(steps) <= _FEW else ""
    for at, layer in enumerate(layers):
        row, column = divmod(at, _COLUMNS)
        axes = figure.add_subplot(grid[1 + row, 2 * column : 2 * column + 2])
        ranks = readings_of(verdicts, layer, level)
        _draw_bands(axes, [mark for mark in marks if layer in mark.alarm.layers])
        first = next((rank for rank in ranks if math.isfinite(rank)), None)
        if first is not None:
            axes.axhline(first, color=RANDOM_GREY, lw=1.1, ls=DOTS, zorder=1, label=BEGINNING)
        uncentred = readings_of(verdicts, layer, level, "rank_uncentred")
        axes.plot(steps, uncentred, color=ORANGE, lw=1.1, ls=DASHES, label=UNCENTRED, zorder=3)
        axes.plot(steps, ranks, color=BLUE, lw=1.8, marker=marker, ms=2.2, label=CENTRED, zorder=4)
        dress(axes, f"layer {layer}", "rank" if column == 0 else "")
        axes.title.set_fontsize(10)
        axes.tick_params(labelsize=_SMALL)
        known = [rank for rank in (*ranks, *uncentred) if math.isfinite(rank)]
        axes.set_ylim(0, 1.12 * max(known, default=1.0))
        _count_steps(axes, 3)
        axes.set_xlim(steps[0], _right(steps))
        if at + _COLUMNS < len(layers):
            axes.tick_params(labelbottom=False)


def _draw_chart(axes: Axes, verdicts: Sequence[Verdict], level: str, marks: Sequence[Mark]) -> None:
    """Draw how far each layer is from its trend, and the limits of the one to look at first."""
    steps = [verdict.point.step for verdict in verdicts]
    told = lowest_layer(verdicts, level)
    for layer in layers_of(verdicts):
        residuals = [percent(None if chart is None else chart.residual) for chart in charts_of(verdicts, layer, level)]
        if layer == told:
            axes.plot(steps, residuals, color=BLUE, lw=2, zorder=4, label=f"layer {told}")
        else:
            axes.plot(steps, residuals, color=BAND, lw=0.8, zorder=2, label=OTHERS)
    charts = charts_of(verdicts, told, level)
    for side in ("lower", "upper"):
        bounds = [percent(getattr(chart, side, None)) for chart in charts]
        axes.plot(steps, bounds, color=INK, lw=1.2, ls=DASHES, zorder=3, label=LIMITS)
    _draw_bands(axes, marks, lettered=True)
    dress(axes, f"control chart, {_LEVELS.get(level, level)}", "% from trend")
    axes.axhline(0, color=SOFT_INK, lw=0.8, zorder=1)
    known = [percent(chart.residual) for verdict in verdicts for chart in verdict.charts if chart.residual is not None]
    if not known:
        words = "warming up: no trend to compare with yet"
        axes.text(0.5, 0.6, words, transform=axes.transAxes, ha="center", color=SOFT_INK)
        axes.set_ylim(-50, 50)
    else:
        _name_lines(axes, (f"layer {told}", LIMITS, OTHERS))
        now = [percent(getattr(charts[-1], side, None)) for side in ("lower", "upper")]
        seen = [*known, *(each for each in now if math.isfinite(each))]  # the wide limits of the beginning may not fit
        axes.set_ylim(max(1.25 * min(*seen, -10), -105), min(1.25 * max(*seen, 10), 200))
    _count_steps(axes, 8)
    axes.set_xlim(steps[0], _right(steps))


def _name_lines(axes: Axes, names: Sequence[str]) -> None:
    """Write a panel's own legend beside its title."""
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    named = [name for name in names if name in handles]
    axes.legend(
        [handles[name] for name in named], named, loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False,
        fontsize=_SMALL, labelcolor=INK, borderaxespad=0, handlelength=1.6, columnspacing=1.2,
    )  # fmt: skip


def _draw_loss(axes: Axes, verdicts: Sequence[Verdict], marks: Sequence[Mark]) -> None:
    told = [(verdict.point.step, verdict.point.loss) for verdict in verdicts if verdict.point.loss is not None]
    steps = [verdict.point.step for verdict in verdicts]
    losses = [loss if math.isfinite(loss) else math.nan for _, loss in told]
    axes.plot([step for step, _ in told], losses, color=INK, lw=1.4, zorder=3)
    _draw_bands(axes, marks)
    lost = [step for step, loss in told if not math.isfinite(loss)]
    dress(axes, "training loss", "loss")
    if lost:
        axes.plot(
            lost, [0.04] * len(lost), "x", color=INK, ms=7, mew=1.8, transform=axes.get_xaxis_transform(), zorder=5
        )
        axes.set_title("training loss   (× not finite)", loc="left", fontsize=11.5, fontweight="bold", color=INK)
    _count_steps(axes, 8)
    axes.set_xlim(steps[0], _right(steps))


def _draw_bands(axes: Axes, marks: Sequence[Mark], *, lettered: bool = False) -> None:
    for mark in marks:
        colour = KIND_COLOURS[mark.alarm.kind]
        axes.axvspan(mark.alarm.since_step, mark.until, color=colour, alpha=0.16, lw=0, zorder=0.5)
        axes.axvline(mark.alarm.since_step, color=colour, lw=1.4, zorder=0.6)
        if lettered:
            _letter(axes, mark)


def _letter(axes: Axes, mark: Mark) -> None:
    axes.annotate(
        mark.letter, (mark.alarm.since_step, 1), xycoords=("data", "axes fraction"),
        xytext=(2 + _LETTER * mark.beside, -2),
        textcoords="offset points", ha="left", va="top", fontsize=_SMALL, fontweight="bold", color="white", zorder=7,
        bbox={"boxstyle": "round,pad=0.15", "fc": KIND_COLOURS[mark.alarm.kind], "ec": "none"},
    )  # fmt: skip


def _count_steps(axes: Axes, ticks: int) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, nbins=ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: _short(step, axes.get_xlim()[1])))


def _short(step: float, last: float) -> str:
    """Return a step in few signs: 8,000 of 12,000 as 8k."""
    return f"{step / 1000:g}k" if step and last >= 10_000 else f"{step:g}"


def _edges(steps: Sequence[int]) -> list[float]:
    """Return the borders between points: half-way to their neighbours; the last reaches as far as its left half."""
    inner = [(left + right) / 2 for left, right in itertools.pairwise(steps)]
    return [float(steps[0]), *inner, float(_right(steps))]


def _right(steps: Sequence[int]) -> float:
    return steps[-1] if len(steps) > 1 else steps[-1] + 1


def _notes(verdicts: Sequence[Verdict], marks: Sequence[Mark]) -> list[str]:
    notes = [mark.line for mark in marks[-8:]]
    if len(marks) > 8:
        notes.insert(0, f"The last 8 of {len(marks)} alarms:")
    if any(reading.rank is None for verdict in verdicts for reading in verdict.point.readings):
        notes.append("Grey: no number, as the layer held NaN or infinity, or was not heard.")
    return notes or ["Ranks are highest at random weights; the early fall and the recovery after it are healthy."]
