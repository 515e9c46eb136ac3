"""A study as one could be: two tables, of which one is wide, and two figures that share all that figures can share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mlflow_rank.reports.drawing import BLUE, ORANGE, dress
from mlflow_rank.reports.studies.report import ReportFigure, ReportTable, StudyReport

TASKS = ("keyword", "phone", "speaker")
STEPS = np.array([25, 50, 100, 200, 400, 800, 1600])


def study(*, said: str = "layer", more: Sequence[str] = ()) -> StudyReport:
    """Return it.

    Args:
        said: somebody's word, which stands in a verdict, in both tables and in the titles of the figures.
        more: verdicts beside those that are there.
    """
    return StudyReport(
        study="correlate",
        title="Rank and pilot over 7 checkpoints of 2 runs",
        verdicts=(
            f"Within a {said}, rank_frame rose with keywords: Spearman +0.71 [+0.42, +0.88], p = 0.004 after Holm.",
            "It does not choose the layer: taking the rank-best one would lose 6.3 points [2.1, 11.0] of keywords.",
            "Speakers: not enough, 3 checkpoints where 5 are the least.",
            *more,
        ),
        about=(
            "Steps 25 to 1,600; random weights are left out, as they are unless --from-step says otherwise.",
            "18 tests, corrected by Holm; 999 permutations, seed 0.",
        ),
        tables=(_within(said), _by_step(said)),
        figures=(
            ReportFigure("scatter", f"Keywords over rank, by {said}", lambda: _scatter(said)),
            ReportFigure("heat_map", f"Correlation by {said} and task", lambda: _heat_map(said)),
        ),
        document=document(),
        metrics={"spearman/keyword": 0.71, "regret": 0.063, "spearman/speaker": math.nan},
    )


def document() -> dict[str, Any]:
    return {
        "kind": "CorrelationStudy",
        "seed": 0,
        "window": {"from_step": 1, "to_step": None, "chosen": False},
        "counts": {"runs": 2, "checkpoints": 14, "tests": 18},
        "conventions": {"rank.dtype": "float32", "rank.seed": 0, "pilot.keyword.shots": "all"},
        "results": [{"task": "keyword", "layer": 0, "spearman": 0.71, "low": 0.42, "high": 0.88, "p": 0.004}],
    }


def _within(said: str) -> ReportTable:
    rows = []
    for number, task in enumerate(TASKS):
        for layer in range(2):
            value = math.sin(1 + number + layer) / 3
            rows.append((task, layer, 14, value, value - 0.2, value + 0.2, 0.004 * (1 + number)))
    rows[0] = (said, 0, 14, -0.0001, -0.31234567890123456, 1e-17, 0.1 + 0.2)
    rows[-1] = ("speaker", 1, 3, None, None, None, None)
    return ReportTable(
        name="within_layer",
        title="Within a layer, over checkpoints",
        columns=("task", "layer", "n", "Spearman", "low", "high", "p"),
        rows=tuple(rows),
        note="p: circular shifts within a run, corrected for 18 tests.",
        digits={"p": 3},
    )


def _by_step(said: str) -> ReportTable:
    names = tuple(f"rank_utterance_uncentred_{step}" for step in STEPS)
    rows = tuple((f'{said}, "{layer}"', *(layer + math.sqrt(step) for step in STEPS)) for layer in range(3))
    return ReportTable("by_step", "Rank over steps", ("layer", *names), rows)


def _scatter(said: str) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.0), layout="constrained", facecolor="white")
    axes = figure.subplots()
    ranks = 20 + 5 * np.log(STEPS)
    axes.plot(ranks, 40 + ranks, "o", color=BLUE, label="run 0")
    axes.plot(ranks, 35 + ranks, "s", color=ORANGE, label="run 1")
    axes.legend(frameon=False)
    dress(axes, f"{said.replace('$', '')} 3", "balanced accuracy, %")
    axes.set_xlabel("rank_frame")
    return figure


def _heat_map(said: str) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.0), layout="constrained", facecolor="white")
    axes = figure.subplots()
    shown = axes.imshow(np.linspace(-1, 1, 15).reshape(3, 5), cmap="RdBu", vmin=-1, vmax=1)
    axes.set_yticks(range(3), TASKS)
    axes.set_xlabel(said.replace("$", ""))
    figure.colorbar(shown, label="Spearman")
    return figure
