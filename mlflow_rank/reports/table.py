"""Rank by layer as a table for the terminal, with a bar that can be read at a glance."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from mlflow_rank.registry.runs.measured_rank import Document, MeasuredRank, UnknownRank, read_ranks
from mlflow_rank.reports.bars import BAR_CELLS, UNICODE, Glyphs, bar
from mlflow_rank.reports.subject import summary_lines
from mlflow_rank.reports.terminal import console_for, encodable, glyphs_for, print_to

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

_SHORT_BAR_CELLS = 12  # where names of layers take the other half
_OTHER_COLUMNS = 50  # what layer, rank, interval, N/D and status take at their widest, with what separates them
_NAME_CHARACTERS = 18  # a module's name is cut here
_NARROWEST, _WIDEST = 72, 120
_CERTAIN_TERMINAL = 80  # where nothing is known about a file's or pipe's width
_TELLS_NOTHING = re.compile(r"\D{0,32}\d+\D{0,2}")  # "layer 3", "hidden_states[3]", "blocks.3": only the index again


@dataclass(frozen=True, slots=True)
class _Section:
    title: str
    metric: str
    level: str
    centred: bool


_SECTIONS = (
    _Section("frames, centred", "effective_rank", "frame", True),
    _Section("utterance means, centred", "effective_rank", "utterance", True),
    _Section("utterance sums, uncentred (RankMe-t)", "rankme_t", "utterance_sum", False),
)


def print_table(
    document: Document, *, control: Document | None = None, stream: TextIO | None = None, width: int | None = None,
    colour: bool | None = None,
) -> None:  # fmt: skip
    """Print the summary, the table and a line on how to read it.

    Args:
        document: the measurement.
        control: the random-weights measurement, a tick on each bar.
        stream: where to; None for stdout.
        width: in columns; None for the terminal's, 80 where there is none.
        colour: None for colour on a terminal that takes it (and none under NO_COLOR).

    """
    stream = stream or sys.stdout
    console = console_for(stream, width=width, colour=colour, without_terminal=_CERTAIN_TERMINAL)
    for line in summary_lines(document):
        console.print(encodable(line, stream), soft_wrap=True)
    table = rank_table(document, control=control, glyphs=glyphs_for(stream), columns=console.width)
    print_to(console, table, stream)


def rank_table(
    document: Document, *, control: Document | None = None, glyphs: Glyphs = UNICODE, columns: int = _CERTAIN_TERMINAL
) -> Group:
    """Return the table as something rich can print: a part per level, and beneath them how to read it."""
    from rich.console import Group
    from rich.text import Text

    parts: list[Table | Text] = []
    for section in _SECTIONS:
        ranks = read_ranks(document, level=section.level, centred=section.centred, metric=section.metric)
        beside = () if control is None else read_ranks(
            control, level=section.level, centred=section.centred, metric=section.metric
        )  # fmt: skip
        if ranks:
            parts.append(_part(section, ranks, beside, glyphs, min(max(columns, _NARROWEST), _WIDEST)))
    if not parts:
        return Group(Text("no rank in this measurement"))
    return Group(*parts, Text(reading_guide(glyphs, control is not None), style="dim"))


def reading_guide(glyphs: Glyphs, with_control: bool) -> str:
    """Return how to read the bars, in two short sentences, or three with a control."""
    guide = f"A bar full of {glyphs.full} uses all D dimensions. [low, high]: 95 % interval; N/D: rows per dimension."
    if with_control:
        guide += f" {glyphs.tick} is the same architecture with random weights: a reference, usually the highest."
    return guide


def _part(
    section: _Section,
    ranks: tuple[MeasuredRank | UnknownRank, ...],
    control: tuple[MeasuredRank | UnknownRank, ...],
    glyphs: Glyphs,
    columns: int,
) -> Table:
    from rich import box
    from rich.table import Table

    dims = sorted({rank.dim for rank in ranks})
    named = f"D = {dims[0]}" if len(dims) == 1 else f"D = {dims[0]} to {dims[-1]}"
    table = Table(
        title=f"{section.title}, {named}",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD if glyphs is UNICODE else box.ASCII2,
        show_edge=False,
        pad_edge=False,
        width=None,
    )
    names = not all(_TELLS_NOTHING.fullmatch(rank.name) for rank in ranks if rank.layer > 0)
    table.add_column("layer", justify="right")
    if names:
        table.add_column(
            "name", max_width=_NAME_CHARACTERS, overflow="ellipsis" if glyphs is UNICODE else "crop", no_wrap=True
        )
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("[low, high]", no_wrap=True)
    table.add_column("N/D", justify="right", no_wrap=True)
    table.add_column("status", no_wrap=True)
    room = columns - _OTHER_COLUMNS - (_NAME_CHARACTERS + 3 if names else 0)
    cells = BAR_CELLS if room >= BAR_CELLS else _SHORT_BAR_CELLS
    table.add_column("rank / D", max_width=max(cells, room))
    random = {rank.layer: rank.value for rank in control if isinstance(rank, MeasuredRank)}
    first_with: dict[str, int] = {}
    for rank in ranks:
        start = [str(rank.layer), *([rank.name] if names else [])]
        table.add_row(*start, *_cells(rank, random.get(rank.layer), glyphs, cells, first_with))
    return table


def _cells(
    rank: MeasuredRank | UnknownRank, control: float | None, glyphs: Glyphs, cells: int, first_with: dict[str, int]
) -> list[str | Text]:
    from rich.text import Text

    per_dim = _rows_per_dimension(rank.n, rank.dim)
    if isinstance(rank, UnknownRank):
        first = first_with.setdefault(rank.cause, rank.layer)
        why = rank.cause if first == rank.layer else f"as layer {first}"
        return ["?", "", per_dim, Text("unknown", style="yellow"), Text(why, style="yellow")]
    low_high = "no interval" if rank.interval is None else f"[{rank.interval[0]:.1f}, {rank.interval[1]:.1f}]"
    status = Text(rank.status, style="green" if rank.status == "ok" else "yellow")
    drawn = bar(rank.value / rank.dim, glyphs, tick=None if control is None else control / rank.dim, cells=cells)
    return [f"{rank.value:.1f}", low_high, per_dim, status, Text(drawn, style="blue")]


def _rows_per_dimension(n: int, dim: int) -> str:
    if not dim:
        return "?"
    return f"{n / dim:,.0f}" if n >= 100 * dim else f"{n / dim:.3g}"  # three digits, and never a power of ten
