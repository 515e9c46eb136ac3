"""How power grows with items and with speakers, around a plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlflow_rank.reports.drawing import BLUE, DASHES, DOTS, GREEN, ORANGE, RANDOM_GREY, dress, title_over_legend
from mlflow_rank.studies.planning.plan import Need, Plan
from mlflow_rank.studies.planning.power import FEWEST_SPEAKERS, power

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIZE = (7.0, 4.2)  # inches, as wide as all figures
_POINTS = 40
_STYLES = ((GREEN, DOTS), (BLUE, "solid"), (ORANGE, DASHES))


def power_by_items(plan: Plan) -> Figure:
    """Draw power against items for half, all and twice the planned speakers; infeasible plans have no figure."""
    need = _hardest(plan)
    items = _spread(need.items)
    lines = {
        f"{speakers:,} speakers": [power(need.question, plan.expected, int(n), speakers) for n in items]
        for speakers in _around(need.speakers)
    }
    return _drawn(plan, need, items, lines, what="test items", planned=need.items)


def power_by_speakers(plan: Plan) -> Figure:
    """Draw power against speakers who say half, all and twice the planned items each."""
    need = _hardest(plan)
    speakers = _spread(need.speakers)
    each = max(1, round(need.items / need.speakers))
    lines = {
        f"{said:,} items each": [power(need.question, plan.expected, int(g) * said, int(g)) for g in speakers]
        for said in _around(each, least=1)
    }
    return _drawn(plan, need, speakers, lines, what="test speakers", planned=need.speakers)


def _hardest(plan: Plan) -> Need:
    return max(plan.needs, key=lambda each: (each.items, each.speakers))


def _around(number: int, least: int = FEWEST_SPEAKERS) -> list[int]:
    return sorted({max(least, number // 2), number, 2 * number})


def _spread(planned: int) -> Sequence[int]:
    return sorted({int(each) for each in np.linspace(FEWEST_SPEAKERS, max(2.5 * planned, 8), _POINTS)})


def _drawn(
    plan: Plan, need: Need, at: Sequence[int], lines: dict[str, list[float]], *, what: str, planned: int
) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    for (label, values), (colour, style) in zip(lines.items(), _STYLES, strict=False):
        axes.plot(at, values, color=colour, linestyle=style, label=label)
    axes.axhline(need.question.power, color=RANDOM_GREY, linewidth=1, linestyle=DOTS, label="power asked for")
    axes.plot([planned], [need.power], "o", color=BLUE, label="planned")
    dress(axes, f"a {need.question.kind} of {100 * need.question.size:g} points", "power")
    axes.set_xlabel(f"{what} of {plan.task}" + ("" if plan.expected.paired else ", of each encoder"))
    axes.set_ylim(0, 1.02)
    title_over_legend(figure, f"Power against {what}", [*lines, "power asked for", "planned"])
    return figure
