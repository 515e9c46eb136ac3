"""A cell of a study's table as people read it, and which columns hold numbers."""

from __future__ import annotations

import math

from mlflow_rank.reports.studies.report import Cell, ReportTable
from mlflow_rank.reports.untrusted_text import plain

ABSENT = "–"
_DIGITS = 2


def shown(cell: Cell, digits: int = _DIGITS, *, absent: str = ABSENT) -> str:
    """Return a cell as it is shown: text on one line, a number to so many places, and a sign for what is not there.

    >>> shown(0.12345, 3), shown(-0.001), shown(7), shown(None), shown(float("nan")), shown("a\\tb")
    ('0.123', '0.00', '7', '–', '–', 'a b')
    """
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return absent
    if not isinstance(cell, float):
        return plain(cell)
    said = f"{cell:.{digits}f}"
    return said.removeprefix("-") if said.strip("-0.") == "" else said  # there is no -0.00


def shown_rows(table: ReportTable, *, absent: str = ABSENT) -> list[list[str]]:
    """Return the cells of all rows as they are shown."""
    places = [table.digits.get(name, _DIGITS) for name in table.columns]
    return [
        [shown(cell, digits, absent=absent) for cell, digits in zip(row, places, strict=True)] for row in table.rows
    ]


def numeric(table: ReportTable) -> list[bool]:
    """Say of each column whether it holds numbers, and nothing else but what is absent."""
    return [not any(isinstance(row[at], str) for row in table.rows) for at in range(len(table.columns))]


def labelling(table: ReportTable) -> int:
    """Return how many columns say what a row is about: those before the first number that is not whole, at least one.

    A table without such a number has one.
    """
    for at in range(len(table.columns)):
        if any(isinstance(row[at], float) for row in table.rows):
            return max(at, 1)
    return 1
