"""Printing to whatever stdout is: a terminal of some width and encoding, a file, a pipe."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, TextIO

from mlflow_rank.reports.bars import ASCII, UNICODE, Glyphs

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


def console_for(stream: TextIO, *, width: int | None, colour: bool | None, without_terminal: int) -> Console:
    """Return a console that prints to `stream` and interprets nothing in the text.

    Args:
        stream: where to.
        width: in columns; None for the terminal's.
        colour: None for colour on a terminal that takes it (and none under NO_COLOR).
        without_terminal: the width of a file or pipe, about which nothing is known.

    """
    from rich.console import Console

    return Console(
        file=stream,
        width=width or (None if stream.isatty() else without_terminal),
        no_color=None if colour is None else not colour,
        force_terminal=True if colour else None,
        highlight=False,
        markup=False,
        emoji=False,
    )


def glyphs_for(stream: TextIO) -> Glyphs:
    """Return block characters for a terminal that takes them, plain ASCII for everything else."""
    encoding = (getattr(stream, "encoding", None) or "ascii").lower().replace("-", "")
    return UNICODE if stream.isatty() and encoding in {"utf8", "utf16", "utf32"} else ASCII


def print_to(console: Console, what: RenderableType, stream: TextIO) -> None:
    """Print in one piece, with `?` for what the stream's encoding lacks."""
    with console.capture() as captured:
        console.print(what)
    stream.write(encodable(captured.get(), stream))


def in_width(line: str, stream: TextIO, *, indent: int = 3) -> str:
    """Return a line broken at blanks to the width of a terminal; as it is for a file or pipe, whose readers search it.

    Args:
        line: no command, which would no longer be copied in one piece.
        stream: where it goes.
        indent: of the lines after the first.
    """
    if not stream.isatty():
        return line
    columns = console_for(stream, width=None, colour=False, without_terminal=0).width
    return fill(line, columns, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)


def encodable(text: str, stream: TextIO) -> str:
    """Return `text` with `?` for what the stream's encoding lacks, so that a table never ends in an encoding error."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, errors="replace").decode(encoding)
