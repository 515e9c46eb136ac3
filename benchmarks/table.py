"""One measured figure beside what was asked of it, and the Markdown table of all."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

FORMATS = {
    "%": "{:.1f} %",
    "% off": "{:.1e} %",
    "relative": "{:.1e}",
    "×": "{:.2f}×",
    "MB": "{:.0f} MB",
    "points": "{:.1f} points",
    "s": "{:.1f} s",
    "ms": "{:.2f} ms",
    "MB/s": "{:.0f} MB/s",
    "per 1,000 points": "{:.2f} per 1,000 points",
}


@dataclass(frozen=True, slots=True)
class Limit:
    """What was asked: at most, or at least, so much."""

    side: Literal["≤", "≥"]
    value: float

    def holds(self, value: float) -> bool:
        """Return whether `value` keeps to the limit."""
        return value <= self.value if self.side == "≤" else value >= self.value


@dataclass(frozen=True, slots=True)
class Row:
    """A figure: one value per round (or per case), in a unit of `FORMATS`, and how it was got.

    The median is what is held against the limit; the worst value where `worst` says so. `limit` is None for a figure
    that nobody asked for but a reader needs.
    """

    what: str
    values: tuple[float, ...]
    unit: str
    limit: Limit | None
    how: str
    worst: bool = False

    @property
    def figure(self) -> float:
        """The one number that is held against the limit."""
        if not self.worst:
            return statistics.median(self.values)
        return min(self.values) if self.limit is not None and self.limit.side == "≥" else max(self.values)

    def cells(self) -> tuple[str, ...]:
        """Return what, measured, asked, met, how."""
        form = FORMATS[self.unit]
        measured = form.format(self.figure)
        if self.worst:
            measured += f" (worst of {len(self.values)})" if len(self.values) > 1 else ""
        elif len(self.values) > 1:
            measured += f" ({form.format(min(self.values))} – {form.format(max(self.values))})"
        if self.limit is None:
            return self.what, measured, "", "", self.how
        asked = f"{self.limit.side} {self.limit.value:g}{self._asked_unit()}"
        return self.what, measured, asked, "yes" if self.limit.holds(self.figure) else "**no**", self.how

    def _asked_unit(self) -> str:
        return {"×": "×", "relative": "", "% off": " %"}.get(self.unit, f" {self.unit}")


def markdown(rows: Iterable[Row]) -> str:
    """Return the table.

    >>> print(markdown([Row("a query", (21.0, 22.0, 24.0), "×", Limit("≥", 20), "five rounds")]))
    | what | measured: median (min – max) | asked | met | how |
    |---|---|---|---|---|
    | a query | 22.00× (21.00× – 24.00×) | ≥ 20× | yes | five rounds |
    """
    lines = ["| what | measured: median (min – max) | asked | met | how |", "|---|---|---|---|---|"]
    return "\n".join(lines + [f"| {' | '.join(row.cells())} |" for row in rows])
