"""What a look at a gate found, for the terminal: the worst first, and beneath it what goes round the gate."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO

from mlflow_rank.registry.server.checkup import HOLDS, OPEN, Check, Checkup, worst_first
from mlflow_rank.reports.bars import UNICODE
from mlflow_rank.reports.terminal import console_for, encodable, glyphs_for, print_to
from mlflow_rank.reports.untrusted_text import plain

_CERTAIN_TERMINAL = 120  # columns, where nothing is known about a file's or pipe's width
_STATES = {"ok": "ok", "warn": "warn", "fail": "FAIL", "unknown": "unknown"}
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red", "unknown": "magenta"}


def print_checkup(checkup: Checkup, *, stream: TextIO | None = None) -> None:
    """Print the checks, what is still bypassable from here, the details of both, and the verdict.

    Args:
        checkup: what was found.
        stream: where to; None for stdout.
    """
    stream = stream or sys.stdout
    _print(("", "check", "what was found", "what to do"), checkup.checks, stream)
    if checkup.bypasses:
        stream.write("\nwhat is still bypassable here\n\n")
        _print(("", "way round", "what was found", "what to do"), checkup.bypasses, stream)
    for each in (*worst_first(checkup.checks), *worst_first(checkup.bypasses)):
        if each.details:
            lines = "".join(f"  {plain(line)}\n" for line in each.details)
            stream.write(encodable(f"\n{plain(each.name)}\n{lines}", stream))
    stream.write(encodable(f"\n{verdict(checkup)}\n", stream))


def verdict(checkup: Checkup) -> str:
    """Return the whole in one sentence."""
    every = [*checkup.checks, *checkup.bypasses]
    counted = {state: sum(each.state == state for each in every) for state in _STATES}
    where = plain(checkup.where)
    if checkup.exit_code == OPEN:
        return f"{where}: the gate is NOT SHUT, or of no use: {counted['fail']} of {len(every)} checks fail."
    if checkup.exit_code != HOLDS:
        return f"{where}: nobody can say whether the gate is shut: {counted['unknown']} checks could not be made."
    warned = f"; {counted['warn']} warnings" if counted["warn"] else ""
    return f"{where}: the gate is shut{warned}."


def _print(titles: Sequence[str], checks: Sequence[Check], stream: TextIO) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    console = console_for(stream, width=None, colour=None, without_terminal=_CERTAIN_TERMINAL)
    unicode = glyphs_for(stream) is UNICODE
    table = Table(box=box.SIMPLE_HEAD if unicode else box.ASCII2, show_edge=False, pad_edge=False)
    table.add_column(titles[0], no_wrap=True)
    for title in titles[1:]:
        table.add_column(title, overflow="fold")
    for each in worst_first(checks):
        state = Text(_STATES[each.state], style=_COLOURS[each.state])
        table.add_row(state, Text(plain(each.name)), Text(plain(each.sentence)), Text(plain(each.remedy)))
    print_to(console, table, stream)
