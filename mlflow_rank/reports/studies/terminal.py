"""A study on the terminal: what was found, its tables, and how it was got."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, TextIO

from mlflow_rank.reports.bars import UNICODE
from mlflow_rank.reports.columns import widths
from mlflow_rank.reports.studies.cells import ABSENT, labelling, numeric, shown_rows
from mlflow_rank.reports.studies.report import ReportTable, StudyReport
from mlflow_rank.reports.terminal import console_for, encodable, glyphs_for, print_to
from mlflow_rank.reports.untrusted_text import plain

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

_CERTAIN_TERMINAL = 120  # columns, where nothing is known about a file's or pipe's width
_GAP = 2  # columns between two columns, as `widths` counts
_ITEM = "- "


def print_study(
    report: StudyReport, *, stream: TextIO | None = None, width: int | None = None, colour: bool | None = None
) -> None:
    """Print a study: verdicts first, then the tables that are meant for a terminal, then how it was got.

    Sentences are broken to the width of a terminal; in a file or pipe, whose readers search them, each is one line.

    Args:
        report: the study, in which there may be anybody's text.
        stream: where to; None for stdout.
        width: in columns; None for the terminal's; without one, 120 for tables.
        colour: None for bold and dim on a terminal that takes them (and none under NO_COLOR).
    """
    stream = stream or sys.stdout
    console = console_for(stream, width=width, colour=colour, without_terminal=_CERTAIN_TERMINAL)
    paper = _Paper(console, stream, console.width if width is not None or stream.isatty() else None)
    paper.sentence(report.title, style="bold")
    paper.items(report.verdicts)
    for table in report.tables:
        if table.on_terminal:
            paper.blank()
            paper.sentence(table.title, style="bold")
            paper.table(table)
            if table.note:
                paper.sentence(table.note, style="dim")
    if report.about:
        paper.blank()
        paper.sentence("How this was found", style="bold")
        paper.items(report.about)


@dataclass(frozen=True, slots=True)
class _Paper:
    """What is printed on; `columns` is None where sentences are not broken."""

    console: Console
    stream: TextIO
    columns: int | None

    def sentence(self, text: str, *, style: str = "", item: str = "") -> None:
        from rich.text import Text

        line = f"{item}{plain(text)}"
        if self.columns is not None:
            line = fill(line, self.columns, subsequent_indent=" " * len(item), break_on_hyphens=False)
        self.console.print(Text(encodable(line, self.stream), style=style), soft_wrap=True)

    def items(self, sentences: Sequence[str]) -> None:
        for sentence in sentences:
            self.sentence(sentence, item=_ITEM)

    def blank(self) -> None:
        self.stream.write("\n")

    def table(self, table: ReportTable) -> None:
        """Print a table; one that is too wide in parts beneath each other, each with what names its rows."""
        absent = ABSENT if encodable(ABSENT, self.stream) == ABSENT else "-"
        titles, rows, right = [plain(name) for name in table.columns], shown_rows(table, absent=absent), numeric(table)
        if not rows:
            self._print("no rows")
            return
        for number, part in enumerate(_parts([titles, *rows], labelling(table), self.console.width)):
            if number:
                self.blank()
            cut = [[row[at] for at in part] for row in (titles, *rows)]
            wide = widths(cut, self.console.width)
            self._print(_rich_table(cut, [right[at] for at in part], wide, self.stream))

    def _print(self, what: RenderableType) -> None:
        print_to(self.console, what, self.stream)


def _parts(rows: Sequence[Sequence[str]], naming: int, columns: int) -> Iterator[list[int]]:
    """Yield the columns of each part, as many as fit with no word broken; what names the rows comes first in each."""

    def fits(part: Sequence[int]) -> bool:
        return widths([[row[at] for at in part] for row in rows], columns) is not None

    all_of_them = list(range(len(rows[0])))
    names, others = all_of_them[:naming], all_of_them[naming:]
    if others and not all(fits([*names, at]) for at in others):
        names, others = all_of_them[:1], all_of_them[1:]
    part = list(names)
    for at in others:
        if len(part) > len(names) and not fits([*part, at]):
            yield part
            part = list(names)
        part.append(at)
    yield part


def _rich_table(
    cells: Sequence[Sequence[str]], right: Sequence[bool], wide: Sequence[int] | None, stream: TextIO
) -> Table:
    from rich.box import Box
    from rich.table import Table

    dash = "─" if glyphs_for(stream) is UNICODE else "-"
    rule = f"    \n    \n {dash * 2} \n    \n    \n    \n    \n    \n"
    table = Table(box=Box(rule, ascii=dash == "-"), show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0))
    for at, title in enumerate(cells[0]):
        table.add_column(
            title,
            justify="right" if right[at] else "left",
            overflow="fold",
            width=None if wide is None else wide[at],
        )
    for row in cells[1:]:
        table.add_row(*row)
    return table
