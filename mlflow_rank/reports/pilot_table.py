"""A pilot as tables for the terminal: score by layer with its references, out of domain, and over labels."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, TextIO

from mlflow_rank.registry.runs.measured_rank import Document
from mlflow_rank.registry.runs.measured_score import (
    DROP,
    IN_DOMAIN,
    LOWER_IS_BETTER,
    OUT_OF_DOMAIN,
    RANDOM_WEIGHTS,
    Layer,
    MeasuredScore,
    PilotTask,
    Scores,
    UnknownScore,
    read_tasks,
)
from mlflow_rank.reports.bars import BAR_CELLS, UNICODE, Glyphs, bar
from mlflow_rank.reports.pilot_words import (
    SHORT,
    bounds,
    findings,
    heading,
    known,
    metric_name,
    percent,
    saved_entries,
    setting_lines,
    share_of_full,
    shots_name,
    unknowns,
)
from mlflow_rank.reports.subject import model_line, skipped_line
from mlflow_rank.reports.terminal import console_for, encodable, glyphs_for, print_to

if TYPE_CHECKING:
    from rich.console import Group, RenderableType

_CERTAIN_TERMINAL = 100  # columns; score, interval and references side by side need about ninety
_NARROWEST, _WIDEST = 72, 120
_SHORTEST_BAR = 8  # cells; below, a bar tells nothing
_NAME_CHARACTERS = 10  # of the worst group's name
_GAP = 2
_COLUMN = 15  # of the names of what the lines beneath a heading say


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of ready text; `right` where numbers stand beneath each other."""

    title: str
    cells: tuple[str, ...]
    right: bool = True

    @property
    def width(self) -> int:
        return max(map(len, (self.title, *self.cells)))


def print_pilot(
    document: Document, *, stream: TextIO | None = None, width: int | None = None, colour: bool | None = None
) -> None:
    """Print, for each task, what was tested, the scores of every layer and what they mean.

    Args:
        document: the pilot.
        stream: where to; None for stdout.
        width: in columns; None for the terminal's, 100 where there is none.
        colour: None for colour on a terminal that takes it (and none under NO_COLOR).

    """
    stream = stream or sys.stdout
    console = console_for(stream, width=width, colour=colour, without_terminal=_CERTAIN_TERMINAL)
    columns = min(max(console.width, _NARROWEST), _WIDEST)
    against = [model_line(document, "against")] if document.get("against") else []
    for line in (model_line(document), *against, *skipped_line(document)):
        console.print(encodable(line, stream), soft_wrap=True)
    for task in read_tasks(document):
        for part in pilot_parts(task, glyphs=glyphs_for(stream), columns=columns):
            print_to(console, part, stream)


def pilot_parts(task: PilotTask, *, glyphs: Glyphs = UNICODE, columns: int = _CERTAIN_TERMINAL) -> list[RenderableType]:
    """Return what is printed for one task, in order: heading, setting, tables, how to read them, what was found."""
    from rich.text import Text

    parts: list[RenderableType] = [Text(""), Text(heading(task), style="bold")]
    parts += [_paragraph(f"  {name:<{_COLUMN}}{said}", columns, _COLUMN + 2) for name, said in setting_lines(task)]
    scores = task.scores()
    if any(known(scores)):
        parts += [Text(""), _scores_table(task, scores, glyphs, columns, IN_DOMAIN)]
        outside = task.scores(domain=OUT_OF_DOMAIN)
        if any(known(outside)):
            parts += [Text(""), _scores_table(task, outside, glyphs, columns, OUT_OF_DOMAIN)]
        parts.append(_paragraph(_guide(task, scores, glyphs), columns, 0, style="dim"))
    if len(task.shots) > 1 and any(any(known(task.scores(shots=shots))) for shots in task.shots):
        parts += [Text(""), _curve_table(task, glyphs)]
    parts.append(Text(""))
    parts += [_paragraph(sentence, columns, 2) for sentence in findings(task)]
    parts += [_paragraph(sentence, columns, 2, style="yellow") for sentence in unknowns(task)]
    return parts


def _scores_table(task: PilotTask, scores: Scores, glyphs: Glyphs, columns: int, domain: str) -> Group:
    drops = task.scores(domain=DROP) if domain == OUT_OF_DOMAIN else {}
    chosen = (
        [*_score_columns(scores), _drop_column(scores, drops)]
        if drops
        else [*_score_columns(scores), *([] if domain == OUT_OF_DOMAIN else _delta_column(task, scores))]
    )
    chosen += _reference_columns(scores) + _worst_column(scores, named=True)
    if _width(chosen) > columns:
        chosen = [each for each in chosen if each.title != "worst group"] + _worst_column(scores, named=False)
    cells = min(BAR_CELLS, columns - _width(chosen) - _GAP)
    if cells >= _SHORTEST_BAR:
        drawn = tuple(_bar(score, glyphs, cells) for score in scores.values())
        chosen.append(_Column("0 to 100 %".ljust(cells)[:cells], drawn, right=False))
    metric = metric_name(task.metrics[0])
    labels = next((f" ({score.labels:,.0f})" for score in known(scores) if score.labels is not None), "")
    lower = ", lower is better" if task.metrics[0] in LOWER_IS_BETTER else ""
    shots = shots_name(task.shots[-1])
    title = f"{metric} in %{lower}, {domain.replace('_', ' ')}, {shots}{labels}, {task.head}"
    return _table(title, chosen, glyphs, bars=cells >= _SHORTEST_BAR)


def _score_columns(scores: Scores) -> list[_Column]:
    values = [percent(score.value) if isinstance(score, MeasuredScore) else "?" for score in scores.values()]
    wide = max(map(len, values))
    cells = [
        f"{value:>{wide}} {bounds(score.interval)}" if isinstance(score, MeasuredScore) else f"{value:>{wide}} unknown"
        for value, score in zip(values, scores.values(), strict=True)
    ]
    return [_layer_column(scores), _Column("score [low, high]", tuple(cells), right=False)]


def _layer_column(scores: Scores) -> _Column:
    return _Column("layer", tuple(_named(layer) for layer in scores))


def _delta_column(task: PilotTask, scores: Scores) -> list[_Column]:
    against = "random" if task.compared_with == RANDOM_WEIGHTS else "champion"
    pairs = [
        (score.delta, score.delta_interval) if isinstance(score, MeasuredScore) else (None, None)
        for score in scores.values()
    ]
    if all(delta is None for delta, _ in pairs):
        return []
    return [_Column(f"- {against} [low, high]", tuple(_differences(pairs)), right=False)]


def _drop_column(scores: Scores, drops: Scores) -> _Column:
    found = [drops.get(layer) for layer in scores]
    pairs = [(drop.value, drop.interval) if isinstance(drop, MeasuredScore) else (None, None) for drop in found]
    return _Column("in - out [low, high]", tuple(_differences(pairs)), right=False)


def _differences(pairs: Sequence[tuple[float | None, tuple[float, float] | None]]) -> list[str]:
    values = ["" if value is None else percent(value, sign=True) for value, _ in pairs]
    wide = max(map(len, values))
    return [
        f"{value:>{wide}} {bounds(interval, sign=True)}" if value else ""
        for value, (_, interval) in zip(values, pairs, strict=True)
    ]


def _reference_columns(scores: Scores) -> list[_Column]:
    columns = []
    for title, name in (("random", "random"), ("log-mel", "logmel")):
        values = [None if isinstance(score, UnknownScore) else getattr(score, name) for score in scores.values()]
        if any(value is not None for value in values):
            columns.append(_Column(title, tuple("" if value is None else percent(value) for value in values)))
    return columns


def _worst_column(scores: Scores, *, named: bool) -> list[_Column]:
    cells = []
    for score in scores.values():
        if isinstance(score, UnknownScore) or score.worst is None:
            cells.append("")
            continue
        name = (score.worst_name or "")[:_NAME_CHARACTERS] if named else ""
        cells.append(f"{percent(score.worst)} {name}".rstrip())
    return [_Column("worst group" if named else "worst", tuple(cells), right=not named)] if any(cells) else []


def _bar(score: MeasuredScore | UnknownScore, glyphs: Glyphs, cells: int) -> str:
    if isinstance(score, UnknownScore):
        return ""
    return bar(score.value, glyphs, tick=score.random, chance=score.chance, cells=cells)


def _curve_table(task: PilotTask, glyphs: Glyphs) -> Group:
    by_shots = {shots: task.scores(shots=shots) for shots in task.shots}
    layers: list[Layer] = list(dict.fromkeys(layer for scores in by_shots.values() for layer in scores))
    columns = [_Column("layer", ("(labels)", *(_named(layer) for layer in layers)))]
    for shots, scores in by_shots.items():
        labels = next((f"({score.labels:,.0f})" for score in known(scores) if score.labels is not None), "")
        found = [scores.get(layer) for layer in layers]
        cells = [percent(score.value) if isinstance(score, MeasuredScore) else "?" if score else "" for score in found]
        columns.append(_Column(f"{'all' if isinstance(shots, str) else shots}", (labels, *cells)))
    saved = saved_entries(task)
    if saved:
        share = next(iter({share_of_full(entry) for entry in saved.values() if entry.get("target")}), "the target")
        cells = [str(saved[layer].get("shots") or "?") if layer in saved else "" for layer in layers]
        columns.append(_Column(f"{share} with", ("", *cells)))
    title = f"{metric_name(task.metrics[0])} in % over training labels per class, in domain, {task.head}"
    return _table(title, columns, glyphs, bars=False)


def _table(title: str, columns: Sequence[_Column], glyphs: Glyphs, *, bars: bool) -> Group:
    from rich.box import Box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    dash = "─" if glyphs is UNICODE else "-"
    rule = f"    \n    \n {dash * 2} \n    \n    \n    \n    \n    \n"
    table = Table(
        box=Box(rule, ascii=glyphs is not UNICODE),
        show_edge=False,
        pad_edge=False,
        padding=(0, _GAP - 1, 0, 0),  # beside the box's own column
    )
    for position, column in enumerate(columns):
        style = "blue" if bars and position == len(columns) - 1 else None
        table.add_column(
            column.title, justify="right" if column.right else "left", no_wrap=True, overflow="crop", style=style
        )
    for cells in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*cells)
    return Group(Text(title, style="bold"), table)


def _guide(task: PilotTask, scores: Scores, glyphs: Glyphs) -> str:
    parts = ["[low, high]: 95 % interval; worst group: the test group with the worst score."]
    if any(score.random is not None for score in known(scores)):
        parts.append(f"In bars {glyphs.tick} is random weights, {glyphs.chance} is chance.")
    elif any(score.chance is not None for score in known(scores)):
        parts.append(f"In bars {glyphs.chance} is chance.")
    if "weighted_sum" in scores:
        parts.append("weighted: the sum of all layers with learnt weights.")
    if "pilot_best" in scores:
        parts.append("best: the layer chosen inside the training data.")
    if task.compared_with != RANDOM_WEIGHTS:
        parts.append(f"champion: {task.compared_with}.")
    return " ".join(parts)


def _paragraph(text: str, columns: int, indent: int, *, style: str = "") -> RenderableType:
    from rich.text import Text

    wrapped = fill(text, columns, subsequent_indent=" " * indent, drop_whitespace=True, break_on_hyphens=False)
    return Text(wrapped, style=style)


def _width(columns: Sequence[_Column]) -> int:
    return sum(column.width for column in columns) + _GAP * (len(columns) - 1)


def _named(layer: Layer) -> str:
    return SHORT.get(layer, layer) if isinstance(layer, str) else str(layer)
