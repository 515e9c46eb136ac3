"""What a choice of layer costs: points lost to the layer that the pilot finds best, choice beside choice."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from mlflow_rank.reports.drawing import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    RANDOM_GREY,
    SOFT_INK,
    dress,
    title_over_legend,
    write_notes,
)
from mlflow_rank.reports.studies.correlation.names import domain_name, rank_name, task_name
from mlflow_rank.reports.studies.correlation.panels import SMALL, WIDTH, window_of, written
from mlflow_rank.reports.studies.correlation.results import CHOICES, Correlated, Known, Result, Unknown
from mlflow_rank.reports.subject import counted
from mlflow_rank.reports.untrusted_text import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NAMES = {"fixed": "best in other runs", "last": "last layer", "random": "random layer"}
_LOOKS = {"fixed": (GREEN, "D"), "last": (ORANGE, "^"), "random": (RANDOM_GREY, "s")}
_RANK_LOOKS = ((BLUE, "o"), ("#CC79A7", "v"))
_ROW, _SPREAD = 0.85, 0.68  # inches of a pilot score, and the share of it that its choices take
_WORD = 16


def layer_regret(study: Correlated) -> Figure:
    """Draw for each pilot score the points lost by each way to choose a layer, with intervals over runs.

    0 is the layer that the pilot finds best in the same data. A hollow mark has no interval, its cause beneath.
    """
    from matplotlib.figure import Figure

    count = max(len(study.outcomes), 1)
    figure = Figure(figsize=(WIDTH, 2.2 + _ROW * count), layout="constrained", facecolor="white")
    axes = figure.subplots()
    causes: dict[str, None] = {}
    for at, outcome in enumerate(study.outcomes):
        if at:
            axes.axhline(at - 0.5, color="#DDDDDD", lw=0.8, zorder=0)
        for label, colour, marker, place, found in _choices(study, outcome["name"]):
            _draw_choice(axes, found, at + place, (colour, marker, label))
            cause = found.cause if isinstance(found, Unknown) else found.no_interval
            if cause:
                causes.setdefault(cause)
    _dress(axes, study)
    title_over_legend(figure, "What a choice of layer costs", legend(study))
    first, last = window_of(study.document)
    write_notes(
        figure,
        [
            (
                f"Means over {counted(len(study.runs), 'runs')}, steps {first:,} to {last:,}; 0 is the pilot's best "
                "layer of each checkpoint. Bars are 95 % intervals, over runs."
            ),
            *(f"× no number, or hollow, no interval: {plain(cause)}" for cause in list(causes)[:3]),
        ],
    )
    return figure


def legend(study: Correlated) -> list[str]:
    """Return the names of the choices, those by rank first."""
    return [*(_by_rank(predictor) for predictor in study.headline), *_NAMES.values()]


def _by_rank(predictor: str) -> str:
    return written(f"highest {rank_name(predictor)}", 32)


def _choices(study: Correlated, outcome: str) -> list[tuple[str, str, str, float, Result]]:
    """Return name, colour, marker, offset from the middle of the row, and what was found, of each choice."""
    missing = Unknown("nothing was looked at")
    ways = [
        (_by_rank(predictor), *_RANK_LOOKS[at], study.lost(predictor, outcome).get("rank", missing))
        for at, predictor in enumerate(study.headline)
    ]
    if study.headline:
        others = study.lost(study.headline[0], outcome)
        ways += [(_NAMES[name], *_LOOKS[name], others.get(name, missing)) for name in CHOICES]
    step = _SPREAD / max(len(ways) - 1, 1)
    return [
        (label, colour, marker, at * step - _SPREAD / 2, found)
        for at, (label, colour, marker, found) in enumerate(ways)
    ]


def _draw_choice(axes: Axes, found: Result, y: float, look: tuple[str, str, str]) -> None:
    colour, marker, label = look
    if isinstance(found, Unknown):
        axes.plot(
            [0.012], [y], "x", color=colour, ms=6, mew=1.6, transform=axes.get_yaxis_transform(), label="_", zorder=5
        )
        axes.plot([], [], color=colour, marker=marker, ls="none", ms=6.5, label=label)
        return
    if found.interval is not None:
        low, high = (100 * bound for bound in found.interval)
        axes.plot([low, high], [y, y], color=colour, lw=2.6, alpha=0.45, solid_capstyle="butt", zorder=3)
    face = colour if found.interval is not None else "white"
    axes.plot(
        [100 * found.value], [y], color=colour, marker=marker, ls="none", ms=6.5, mfc=face, mew=1.5, label=label,
        zorder=4,
    )  # fmt: skip


def _dress(axes: Axes, study: Correlated) -> None:
    from matplotlib.ticker import MaxNLocator

    dress(axes, "", "")
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x", color="#E8E8E8", lw=0.8)
    axes.axvline(0, color=SOFT_INK, lw=1.0, zorder=1)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8))
    names = [
        "\n".join([*textwrap.wrap(written(task_name(outcome, 2 * _WORD), 2 * _WORD), _WORD), domain_name(outcome)])
        for outcome in study.outcomes
    ]
    axes.set_yticks(range(len(names)), names, fontsize=SMALL)
    axes.set_ylim(len(names) - 0.5, -0.5)
    found = [each for row in study.outcomes for *_, each in _choices(study, row["name"])]
    tops = [100 * max(each.value, *(each.interval or (0.0,))) for each in found if isinstance(each, Known)]
    highest = max(tops, default=1.0)
    axes.set_xlim(-0.03 * max(highest, 1), 1.06 * max(highest, 1))
    axes.set_xlabel("points lost against the pilot's best layer (less is better)", color=INK)
