"""Rows in columns for a terminal of any width: no name, number or id is broken where a blank could be."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from mlflow_rank.reports.bars import UNICODE
from mlflow_rank.reports.terminal import console_for, glyphs_for, print_to
from mlflow_rank.reports.untrusted_text import plain

if TYPE_CHECKING:
    from rich.console import RenderableType

_CERTAIN_TERMINAL = 120  # columns, where nothing is known about a file's or pipe's width
_GAP = 2  # columns between two columns: a blank and what separates them
_INDENT = 4


def print_columns(titles: Sequence[str], rows: Sequence[Sequence[str]], stream: TextIO | None = None) -> None:
    """Print rows beneath titles.

    Where they are too wide, cells are broken at blanks. Where that is not enough, the last column, which has the most
    words, goes beneath each row; and only where that is not enough either, words are broken.

    Args:
        titles: of the columns.
        rows: their cells, which may be anybody's text.
        stream: where to; None for stdout.
    """
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    stream = stream or sys.stdout
    console = console_for(stream, width=None, colour=None, without_terminal=_CERTAIN_TERMINAL)
    shown = [list(map(plain, row)) for row in rows]
    wide = widths([titles, *shown], console.width)
    *kept, last = titles
    narrower = None if wide is not None else widths([kept, *(row[:-1] for row in shown)], console.width)
    if narrower is None:
        print_to(console, _table(titles, shown, wide, stream), stream)
        return
    parts: list[RenderableType] = []
    for at, row in enumerate(shown):
        parts.append(_table(kept, [row[:-1]], narrower, stream, headed=at == 0))
        parts += [Padding(Text(f"{last}: {row[-1]}"), (0, 0, 0, _INDENT))] if row[-1] else []
    print_to(console, Group(*parts), stream)


def widths(rows: Sequence[Sequence[str]], columns: int) -> list[int] | None:
    """Return how wide each column is, at most `columns` in all; None where words would have to be broken.

    >>> widths([["who", "when"], ["dora", "2026-11-26 06:18:12"]], 40)
    [4, 19]
    >>> widths([["who", "when"], ["dora", "2026-11-26 06:18:12"]], 20)
    [4, 14]
    >>> widths([["who", "when"], ["dora", "2026-11-26 06:18:12"]], 10) is None
    True
    """
    from rich.cells import cell_len

    cells = list(zip(*rows, strict=True))
    wide = [max(map(cell_len, column)) for column in cells]
    least = [max(cell_len(word) for cell in column for word in (cell.split() or [""])) for column in cells]
    room = columns - _GAP * (len(cells) - 1)
    if sum(least) > room:
        return None
    while (excess := sum(wide) - room) > 0:
        at = max((at for at in range(len(wide)) if wide[at] > least[at]), key=lambda at: wide[at])
        others = [each for other, each in enumerate(wide) if other != at and each > least[other]]
        wide[at] = max(least[at], wide[at] - excess, min(wide[at] - 1, max(others, default=0)))
    return wide


def _table(
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    wide: Sequence[int] | None,
    stream: TextIO,
    *,
    headed: bool = True,
) -> RenderableType:
    from rich import box
    from rich.table import Table

    frame = box.SIMPLE_HEAD if glyphs_for(stream) is UNICODE else box.ASCII2
    table = Table(box=frame, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), show_header=headed)
    for at, title in enumerate(titles):
        table.add_column(title, overflow="fold", width=None if wide is None else wide[at])
    for row in rows:
        table.add_row(*row)
    return table
