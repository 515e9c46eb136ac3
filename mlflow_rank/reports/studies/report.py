"""A study as it is shown anywhere: what it says, how it was got, its tables and its figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Cell = str | int | float | None


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A table: `name` is the stem of its file, None in a cell is shown as –, numbers are shown as they are given.

    `digits` says to how many places the numbers of a column are shown (files keep all of them), by the column's name;
    2 where nothing is said. `on_terminal` says whether it is printed too, or only kept in files and on the page.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    digits: Mapping[str, int] = field(default_factory=dict)
    on_terminal: bool = True


@dataclass(frozen=True, slots=True)
class ReportFigure:
    """A figure: `name` is the stem of its files, `title` says what it shows, `draw` makes it when it is wanted."""

    name: str
    title: str
    draw: Callable[[], Figure]


@dataclass(frozen=True, slots=True)
class StudyReport:
    """A study for people.

    `study` is its verb (`correlate`). `verdicts` are sentences that say plainly what was found, misses and all;
    `about` those that say how: data, window, convention, number of tests and correction, seed. `document` is the whole
    result, JSON-ready; `metrics` its few numbers that are worth a chart in MLflow, by a name that MLflow takes.
    """

    study: str
    title: str
    verdicts: tuple[str, ...]
    about: tuple[str, ...]
    tables: tuple[ReportTable, ...]
    figures: tuple[ReportFigure, ...]
    document: Mapping[str, object]
    metrics: Mapping[str, float] = field(default_factory=dict)
