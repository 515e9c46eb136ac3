"""The study of faults as one figure: what rank and pilot did from the onset on, and when the monitor spoke."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlflow_rank.monitoring.journal import read_points
from mlflow_rank.reports.drawing import BLUE, DASHES, GREEN, INK, ORANGE, RANDOM_GREY, dress, title_over_legend
from recipes.pretraining.fault_cases import Case
from recipes.pretraining.fault_findings import Finding
from recipes.pretraining.piloting import read_pilots
from recipes.pretraining.run_directory import MONITOR

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _ROW = 9.0, 2.6  # inches
_COLUMNS = 2
RANK, LAST, ALARM, ONSET, PILOT = (
    "rank of each layer, frames, centred", "of the last layer", "alarm", "the fault begins",
    "keywords at the last layer, % (right)",
)  # fmt: skip


def draw_cases(cases: Sequence[Case], findings: Sequence[Finding]) -> Figure:
    """Draw a panel for each case: ranks by step, the pilot with its interval, the onset and every alarm."""
    from matplotlib.figure import Figure

    rows = -(-len(cases) // _COLUMNS)
    figure = Figure(figsize=(_WIDTH, _ROW * rows + 0.9), layout="constrained", facecolor="white")
    panels = figure.subplots(rows, _COLUMNS, squeeze=False)
    for axes, case, finding in zip(panels.flat, cases, findings, strict=False):
        _panel(axes, case, finding)
    for axes in panels.flat[len(cases) :]:
        axes.set_axis_off()
    title_over_legend(figure, "What goes wrong, and when the monitor says so", (RANK, LAST, PILOT, ONSET, ALARM))
    return figure


def _panel(axes: Axes, case: Case, finding: Finding) -> None:
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    points = read_points(case.path / MONITOR)
    layers = points[-1].layers
    for layer in layers:
        readings = [(point.step, point.reading(layer, "frame")) for point in points]
        known = [(step, each.rank) for step, each in readings if each is not None and each.rank is not None]
        last = layer == layers[-1]
        label = LAST if last else RANK if layer == layers[0] else None
        style = {"color": BLUE, "linewidth": 1.8} if last else {"color": RANDOM_GREY, "linewidth": 0.8}
        axes.plot(*zip(*known, strict=True), label=label, **style)
    axes.axvline(case.plan.onset, color=INK, linestyle=DASHES, linewidth=1, label=ONSET)
    alarms = sorted((*finding.false_alarms, *finding.alarms), key=lambda alarm: int(alarm["raised_step"]))
    for number, alarm in enumerate(alarms):
        axes.axvline(alarm["raised_step"], color=ORANGE, linewidth=1.4, label=None if number else ALARM)
    told = [f"{alarm['raised_step']}: {str(alarm['alarm']).replace('_', ' ')}" for alarm in alarms]
    axes.text(0.03, 0.04, "\n".join(told), va="bottom", fontsize=8.5, color=ORANGE, transform=axes.transAxes)
    axes.set_yscale("log")  # before its ticks are chosen
    dress(axes, case.name, "effective rank")
    axes.set_xlim(0, case.plan.steps)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))
    axes.set_ylim(1, None)  # one direction is the end of every collapse
    axes.set_yticks([1, 2, 5, 10, 20, 50, 100])
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.minorticks_off()
    axes.set_xlabel("step", color=INK)
    _pilots(axes, case)


def _pilots(axes: Axes, case: Case) -> None:
    pilots = {**read_pilots(case.beginning), **read_pilots(case.path)}
    known = [(step, at["last"]) for step, at in sorted(pilots.items()) if "last" in at]
    right = axes.twinx()
    right.set_ylim(0, 100)
    right.tick_params(colors=GREEN)
    steps, scores = [step for step, _ in known], [100 * each.score for _, each in known]
    below = [100 * (each.score - each.low) for _, each in known]
    above = [100 * (each.high - each.score) for _, each in known]
    right.errorbar(steps, scores, yerr=[below, above], color=GREEN, marker="o", markersize=4, linewidth=1, label=PILOT)
