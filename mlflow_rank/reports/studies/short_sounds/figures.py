"""Rank and pilot of the trained encoder and of its copies, beside each other, against how the clips were heard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlflow_rank.probes.group_intervals import Interval, Score
from mlflow_rank.reports.drawing import (
    BLUE,
    DASHES,
    DOTS,
    GREEN,
    INK,
    ORANGE,
    RANDOM_GREY,
    SOFT_INK,
    dress,
    title_over_legend,
    write_notes,
)
from mlflow_rank.studies.short_sounds.precision import Needed
from mlflow_rank.studies.short_sounds.study import LEVELS, RANDOM, SHUFFLED, TRAINED, Comparison, ShortSoundsStudy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LOOKS: dict[str, dict[str, Any]] = {
    TRAINED: {"color": BLUE, "marker": "o", "ls": "-"},
    SHUFFLED: {"color": ORANGE, "marker": "s", "ls": DASHES},
    RANDOM: {"color": RANDOM_GREY, "marker": "^", "ls": DOTS},
}
_NAMES = {TRAINED: "trained", SHUFFLED: "shuffled copy", RANDOM: "random weights"}
_SHIFTS = {TRAINED: -0.16, SHUFFLED: 0.16, RANDOM: 0.0}  # of a line, so that intervals do not hide each other
_AXES = {"length": "clips cut to at most (s)", "count": "clips"}
_PANELS = {"frame": "rank of pooled frames", "utterance": "rank of clip means"}


def by_family(study: ShortSoundsStudy, family: str) -> Figure:
    """Draw rank of frames, rank of clip means, and pilot against the length or the number of clips."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 4.0), layout="constrained", facecolor="white")
    for axes, panel in zip(figure.subplots(1, 3), (*LEVELS, "pilot"), strict=True):
        ticks: dict[float, str] = {}
        for other in study.others:
            chosen = _with_whole(study.of(other, "frame" if panel == "pilot" else panel), family)
            chosen.sort(key=lambda each: _at(each, family))
            xs = [_at(each, family) for each in chosen]
            ticks |= {x: _tick(each, family) for x, each in zip(xs, chosen, strict=True)}
            _draw(axes, xs, chosen, panel, other, own=other == SHUFFLED)
        _finish(axes, panel)
        axes.set_xscale("log")
        axes.set_xticks(list(ticks), list(ticks.values()))
        axes.set_xticks([], minor=True)
        axes.set_xlabel(_AXES[family], color=INK)
    title_over_legend(figure, f"Against the {'length' if family == 'length' else 'number'} of clips", _order())
    write_notes(figure, [_note(study)])
    return figure


def by_condition(study: ShortSoundsStudy, families: Sequence[str]) -> Figure:
    """Draw the same for conditions without an axis: a line each, whole clips first."""
    from matplotlib.figure import Figure

    names = [each.condition.name for each in _with_whole(study.of(SHUFFLED, "frame"), *families)]
    figure = Figure(figsize=(10.0, 2.2 + 0.32 * len(names)), layout="constrained", facecolor="white")
    for axes, panel in zip(figure.subplots(1, 3, sharey=True), (*LEVELS, "pilot"), strict=True):
        for other in study.others:
            by_name = {each.condition.name: each for each in study.of(other, "frame" if panel == "pilot" else panel)}
            for role in (TRAINED, other) if other == SHUFFLED else (other,):
                for place, name in enumerate(names):
                    if name in by_name:
                        _dot(axes, by_name[name], place + _SHIFTS[role], panel, role)
        _finish(axes, panel)
        axes.set_ylabel("")
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_locator(_few())
        axes.grid(axis="y", visible=False)
        axes.grid(axis="x", color="#E8E8E8", lw=0.8)
    title_over_legend(figure, "Bursts in silence and in machine noise", _order())
    write_notes(figure, [_note(study)])
    return figure


def needed_clips(study: ShortSoundsStudy) -> Figure:
    """Draw the half width of the trained encoder's intervals against the number of clips, with 1/√n through them."""
    from matplotlib.figure import Figure

    precision = study.precision
    fits = [
        ("rank of pooled frames", precision.ranks["frame"], BLUE, "o"),
        ("rank of clip means", precision.ranks["utterance"], GREEN, "D"),
        ("pilot", precision.pilot, ORANGE, "s"),
    ]
    figure = Figure(figsize=(7.0, 4.4), layout="constrained", facecolor="white")
    axes = figure.subplots()
    for name, fit, colour, marker in fits:
        if not isinstance(fit, Needed):
            continue
        measured = [each.clips for each in fit.widths]
        axes.plot(
            measured, [100 * each.half_width for each in fit.widths], color=colour, marker=marker, ls="none", label=name
        )
        inside = np.geomspace(min(measured), max(measured), 20)
        axes.plot(inside, 100 * fit.scale / np.sqrt(inside), color=colour, lw=1.8)
        if fit.extrapolated:
            nearest = max(measured) if fit.clips > max(measured) else min(measured)
            beyond = np.geomspace(nearest, fit.clips, 20)
            axes.plot(beyond, 100 * fit.scale / np.sqrt(beyond), color=colour, lw=1.5, ls=DOTS)
        axes.plot([fit.clips], [100 * fit.target], color=colour, marker="*", ms=13, ls="none")
        axes.annotate(
            f"{fit.clips:,}",
            (fit.clips, 100 * fit.target),
            xytext=(0, -8),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=9,
            color=colour,
        )
    dress(axes, "half width of the 95 % interval", "% of the rank; points of the pilot")
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(_ticks())
        axis.set_major_formatter(lambda value, _: f"{value:,g}")
        axis.set_minor_formatter(lambda value, _: "")
    axes.set_xlabel("clips (logarithmic axis)", color=INK)
    axes.margins(y=0.12)
    title_over_legend(figure, "How many clips a precision takes", [name for name, *_ in fits])
    write_notes(
        figure,
        ["lines: c / √n through what was measured, dotted beyond it; stars: the precision asked for", _note(study)],
    )
    return figure


def _with_whole(found: Sequence[Comparison], *families: str) -> list[Comparison]:
    """Return the conditions of some families, and first whole clips: as many as the others have, where they are known.

    Of the count itself that is all whole clips.
    """
    chosen = [each for each in found if each.condition.family in families]
    whole = [each for each in found if each.condition.family == "whole"]
    if "count" in families:
        return [*chosen, *whole]
    clips = chosen[0].clips if chosen else None
    as_many = [each for each in found if each.condition.family == "count" and each.clips == clips]
    return [*(as_many or whole), *chosen]


def _dot(axes: Axes, each: Comparison, place: float, panel: str, role: str) -> None:
    number, reach = _number(each, panel, role), _reach(each, panel, role)
    if number is None:
        return
    look = {**_LOOKS[role], "ls": "none"}
    named = _NAMES[role] if _NAMES[role] not in axes.get_legend_handles_labels()[1] else "_"
    axes.plot([number], [place], label=named, ms=5, **look)
    if reach is not None:
        axes.plot(reach, [place, place], color=look["color"], lw=2.2, alpha=0.35, solid_capstyle="butt")


def _few() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=5)


def _ticks() -> Any:
    from matplotlib.ticker import LogLocator

    return LogLocator(base=10, subs=(1, 2, 5))


def _draw(axes: Axes, xs: Sequence[float], chosen: Sequence[Comparison], panel: str, other: str, *, own: bool) -> None:
    for role in (TRAINED, other) if own else (other,):
        points = [
            (x, _number(each, panel, role), _reach(each, panel, role)) for x, each in zip(xs, chosen, strict=True)
        ]
        known = [(x, y, reach) for x, y, reach in points if y is not None]
        if not known:
            continue
        axes.plot([x for x, _, _ in known], [y for _, y, _ in known], label=_NAMES[role], ms=5, lw=1.8, **_LOOKS[role])
        for x, _, reach in known:
            if reach is not None:
                axes.plot([x, x], reach, color=_LOOKS[role]["color"], lw=2.2, alpha=0.35, solid_capstyle="butt")


def _finish(axes: Axes, panel: str) -> None:
    dress(axes, _PANELS.get(panel, "pilot"), "balanced accuracy (%)" if panel == "pilot" else "effective rank")
    if panel == "pilot" and not axes.get_lines():
        axes.text(0.5, 0.5, "no pilot", transform=axes.transAxes, ha="center", color=SOFT_INK)


def _number(each: Comparison, panel: str, role: str) -> float | None:
    if panel == "pilot":
        score = each.pilot if role == TRAINED else each.other_pilot
        return None if score is None else 100 * score.value
    return (each.rank if role == TRAINED else each.other_rank).shown


def _reach(each: Comparison, panel: str, role: str) -> tuple[float, float] | None:
    if panel == "pilot":
        return _bounds(each.pilot if role == TRAINED else each.other_pilot)
    rank = each.rank if role == TRAINED else each.other_rank
    if rank.shown is None or rank.half_width is None:
        return None
    return rank.shown - rank.half_width, rank.shown + rank.half_width


def _bounds(score: Score | None) -> tuple[float, float] | None:
    if score is None or not isinstance(score.interval, Interval):
        return None
    return 100 * score.interval.low, 100 * score.interval.high


def _at(each: Comparison, family: str) -> float:
    if each.condition.family == family:
        return float(each.condition.at or 0.0)
    return 1.5 if family == "length" else float(each.clips)


def _tick(each: Comparison, family: str) -> str:
    if family == "length":
        return f"{each.condition.at:g}" if each.condition.family == "length" else "whole"
    return f"{each.clips:,}"


def _order() -> list[str]:
    return [_NAMES[role] for role in (TRAINED, SHUFFLED, RANDOM)]


def _note(study: ShortSoundsStudy) -> str:
    return f"layer {study.layer} of {study.settings['model']}; bars: 95 % intervals; no point: unknown"
