"""Which classes are taken for which, as a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mlflow_rank.registry.runs.measured_rank import Document, finite
from mlflow_rank.registry.runs.measured_score import IN_DOMAIN, PilotTask, Shots, most_shots, sequence
from mlflow_rank.reports.drawing import INK, shortened
from mlflow_rank.reports.pilot_words import shots_name
from mlflow_rank.reports.subject import model_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_COUNTS = 14  # classes whose counts still fit their cells
_MOST_NAMES = 45  # classes whose names still fit the axes


def confusion_matrix(
    document: Document, task: PilotTask, confusion: Mapping[str, object] | None = None
) -> Figure | None:
    """Draw one confusion table, true classes down and predicted classes across; shade is the share of the true class.

    Args:
        document: the pilot.
        task: one of its tasks.
        confusion: an entry of its `confusions`; None for the pilot's best layer in domain, the first table where it
            has none. The result is None where the task has no table at all.

    """
    from matplotlib.figure import Figure

    tables = [each for each in sequence(task.described, "confusions") if isinstance(each, Mapping)]
    if confusion is None and not tables:
        return None
    confusion = confusion or _most_telling(task, tables)
    counts = [[finite(count) or 0.0 for count in _row(row)] for row in sequence(confusion, "matrix")]
    size = len(counts)
    totals = [sum(row) for row in counts]
    shares = [
        [100 * count / total if total else 0.0 for count in row] for row, total in zip(counts, totals, strict=True)
    ]
    inches = min(max(3.2 + 0.36 * size, 4.6), 9.0)
    figure = Figure(figsize=(inches + 0.9, inches), layout="constrained", facecolor="white")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    if size <= _MOST_COUNTS:
        for true, row in enumerate(counts):
            for predicted, count in enumerate(row):
                colour = "white" if shares[true][predicted] > 55 else INK if count else "#BBBBBB"  # half of the shades
                axes.text(predicted, true, f"{count:,.4g}", ha="center", va="center", fontsize=9, color=colour)
    step = 1 + (size - 1) // _MOST_NAMES
    named = range(0, size, step)
    names = [task.classes[index] for index in named]
    longest = max(map(len, names), default=0)
    axes.set_xticks(named, names, rotation=0 if longest <= 2 else 90, fontsize=9)
    axes.set_yticks(named, names, fontsize=9)
    axes.set_xlabel("predicted class", color=INK)
    axes.set_ylabel("true class", color=INK)
    axes.tick_params(length=0, colors=INK)
    axes.spines[:].set_visible(False)
    shade = figure.colorbar(image, ax=axes, shrink=0.8, aspect=30, pad=0.02)
    shade.set_label("% of the true class", color=INK)
    shade.outline.set_visible(False)
    where = str(confusion.get("domain")).replace("_", " ")
    shots = confusion.get("shots")
    said = shots_name(shots if isinstance(shots, int) else "all")
    which = f"layer {confusion.get('layer')}, {confusion.get('head')}, {where}, {said}"
    figure.suptitle(
        f"{shortened(f'{task.name} with {model_name(document)}')}\n{which}",
        x=0.02, ha="left", fontsize=12, fontweight="bold", color=INK,
    )  # fmt: skip
    return figure


def _row(row: object) -> Sequence[object]:
    return row if isinstance(row, Sequence) and not isinstance(row, str) else ()


def _most_telling(task: PilotTask, tables: Sequence[Mapping[str, object]]) -> Mapping[str, object]:
    wanted = {"layer": task.layer_choice("pilot_best"), "domain": IN_DOMAIN, "head": task.head}
    fitting = [table for table in tables if all(table.get(name) == value for name, value in wanted.items())]
    shots = most_shots([_shots_of(table) for table in fitting])
    return next((table for table in fitting if _shots_of(table) == shots), tables[0])


def _shots_of(table: Mapping[str, object]) -> Shots:
    shots = table.get("shots")
    return shots if isinstance(shots, int) else "all"
