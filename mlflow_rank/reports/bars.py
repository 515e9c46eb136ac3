"""A share as a bar of signs, with ticks for what it is compared with."""

from __future__ import annotations

from dataclasses import dataclass

BAR_CELLS = 24  # wide enough to tell 4 % apart, narrow enough for a terminal of 80 columns


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The signs a bar is drawn with; `tick` marks a reference, `chance` a second one beneath it."""

    full: str
    part: str
    empty: str
    tick: str
    chance: str


UNICODE = Glyphs(full="█", part="▌", empty="·", tick="┃", chance="╎")
ASCII = Glyphs(full="#", part="#", empty=".", tick="|", chance=":")


def bar(
    share: float, glyphs: Glyphs, *, tick: float | None = None, chance: float | None = None, cells: int = BAR_CELLS
) -> str:
    """Return a bar for a share in [0, 1], with ticks at other shares; where the two fall together, `tick` shows.

    >>> bar(0.5, ASCII, tick=0.75, chance=0.125, cells=8)
    '#:##..|.'
    """
    filled = min(max(share, 0.0), 1.0) * cells
    whole = int(filled)
    drawn = glyphs.full * whole
    if filled - whole >= 0.5:  # a half cell is the finest part that every font draws
        drawn += glyphs.part
    drawn = drawn.ljust(cells, glyphs.empty)
    for sign, at_share in ((glyphs.chance, chance), (glyphs.tick, tick)):
        if at_share is not None:
            at = min(int(min(max(at_share, 0.0), 1.0) * cells), cells - 1)
            drawn = f"{drawn[:at]}{sign}{drawn[at + 1 :]}"
    return drawn
