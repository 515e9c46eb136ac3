"""A decision for the terminal: the verdict, every policy rule by rule with reasons, the evidence, what to do next."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, TextIO

from mlflow_rank.policy.decision import Approve, Deny
from mlflow_rank.policy.outcomes import Finding
from mlflow_rank.policy.watch import Watched
from mlflow_rank.reports.bars import UNICODE
from mlflow_rank.reports.decision_next import next_step
from mlflow_rank.reports.decision_numbers import numbers, short_digest
from mlflow_rank.reports.decision_words import (
    Decided,
    Group,
    Section,
    about,
    approvals_line,
    aside,
    evidence_lines,
    facts,
    formula_line,
    groups,
    sections,
    verdict,
    waivers_line,
)
from mlflow_rank.reports.terminal import console_for, glyphs_for, print_to
from mlflow_rank.reports.untrusted_text import plain

if TYPE_CHECKING:
    from rich.text import Text

_CERTAIN_TERMINAL = 100  # columns; as for a pilot
_NARROWEST, _WIDEST = 72, 120
_GAP = 2
_FACT = 12  # columns of the names of facts about the decision
_NAME = 18  # columns of the names of what the lines beneath a table say
_NARROWEST_ID = 13  # columns for the ids of rules; longer ones stand on a line of their own, whole
_RESULT = 9  # columns of the widest result and the gap
_VERDICTS = {
    "APPROVED": "bold green", "CLEAR": "bold green", "DENIED": "bold red", "WARN": "bold red",
    "COULD NOT DECIDE": "bold yellow",
}  # fmt: skip
_RESULTS = {"pass": "green", "fail": "bold red", "unknown": "yellow", "waived": "cyan"}
_TITLES = ("result", "rule", "observed", "n", "asked", "margin", "layer")
_RIGHT = frozenset({"n", "margin"})
_PLAIN_SIGNS = {"≥": ">=", "≤": "<=", "─": "-", "…": "..."}
_GUIDE = (
    "[low, high]: 95 % interval; asked: the bound, and which end of the interval is held against it, if one is; "
    "margin: the room left, or missing. Layer: the worst of those asked for; best: chosen by the pilot."
)
Piece = tuple[str, str]  # text and style
Line = tuple[Piece, ...]


def print_decision(
    decision: Approve | Deny, *, stream: TextIO | None = None, width: int | None = None, colour: bool | None = None
) -> None:
    """Print a decision: verdict, every rule with what was seen and asked, reasons, evidence, and what to do next.

    Args:
        decision: what was decided.
        stream: where to; None for stdout.
        width: in columns; None for the terminal's, 100 where there is none.
        colour: None for colour on a terminal that takes it (and none under NO_COLOR).

    """
    _print(decision, stream or sys.stdout, width, colour)


def print_watch(
    watched: Watched, *, stream: TextIO | None = None, width: int | None = None, colour: bool | None = None
) -> None:
    """Print what a watch policy says, in the form of a decision; see `print_decision` for the arguments."""
    _print(watched, stream or sys.stdout, width, colour)


def _print(decided: Decided, stream: TextIO, width: int | None, colour: bool | None) -> None:
    console = console_for(stream, width=width, colour=colour, without_terminal=_CERTAIN_TERMINAL)
    columns = min(max(console.width, _NARROWEST), _WIDEST)
    unicode = glyphs_for(stream) is UNICODE
    for line in _lines(decided, columns):
        print_to(console, _text(line, unicode), stream)


def _lines(decided: Decided, columns: int) -> Iterator[Line]:
    yield from _heading(decided, columns)
    for section in sections(decided):
        yield ()
        yield from _section(section, decided, columns)
    listed = evidence_lines(decided)
    if any(finding.observed is not None for section in sections(decided) for finding in section.findings):
        yield ()
        yield from _hanging("", _GUIDE, columns, "dim", indent=0)
    yield ()
    yield (("evidence" if listed else "evidence: none was presented", "bold"),)
    kinds = max((len(each.kind) for each in listed), default=0)
    for each in listed:
        start = f"  {each.kind:<{kinds}}  {each.digest}  {each.made_at}".rstrip() + "  "
        yield from _hanging(start, each.signed, columns, "" if each.trusted else "yellow", indent=kinds + 2 * _GAP)
    yield ()
    yield from _hanging("Next: ", next_step(decided), columns, "", start_style="bold", indent=6)


def _heading(decided: Decided, columns: int) -> Iterator[Line]:
    word = verdict(decided)
    said = word + (f" ({aside(decided)})" if aside(decided) else "")
    yield from _hanging(f"{said}  ", about(decided), columns, "bold", start_style=_VERDICTS[word], indent=len(said) + 2)
    for name, words in facts(decided):
        alarming = "NOT " in words or words.startswith("UNKNOWN") or name == "enforced"
        yield from _named(name, words, columns, "yellow" if alarming else "", name_columns=_FACT)


def _section(section: Section, decided: Decided, columns: int) -> Iterator[Line]:
    title = f"{section.title}: {section.answer}"
    yield (title, "bold"), (f"  {short_digest(section.policy.digest)}", "dim")
    yield from _table(section, columns)
    if formula_line(section):
        yield from _named("rules combined", formula_line(section), columns)
    yield from _named("rules that ran", section.ran, columns)
    if section.ruling is not None:
        count = section.ruling.approvals
        yield from _named("approvals", approvals_line(count), columns, "" if count.enough else "yellow")
        if waivers_line(section, decided.case.waivers):
            yield from _named("waivers", waivers_line(section, decided.case.waivers), columns)


def _table(section: Section, columns: int) -> Iterator[Line]:
    parts = groups(section)
    shown = {finding.rule: _cells(section, finding) for part in parts for group in part for finding in group.findings}
    widths = _widths(list(shown.values()), columns)
    kept = [title for title in _TITLES if widths[title]]
    yield tuple((_put(title, widths[title], title) + " " * _GAP, "") for title in kept)
    yield (((" " * _GAP).join("─" * widths[title] for title in kept), "dim"),)
    for part, warnings in zip(parts, (False, True), strict=True):
        if part and warnings:
            yield (("warnings, which decide nothing", "bold"),)
        for group in part:
            yield from _group(group, shown, widths, kept, columns, warnings)


def _cells(section: Section, finding: Finding) -> dict[str, str]:
    found = numbers(finding, section.rule(finding), at_least="≥", at_most="≤")
    result = "FAIL" if finding.result == "fail" and section.decides(finding) else finding.result
    texts = (result, finding.rule, found.observed, found.n, found.asked, found.margin, found.layer)
    return dict(zip(_TITLES, map(plain, texts), strict=True))


def _widths(rows: Sequence[dict[str, str]], columns: int) -> dict[str, int]:
    """Return each column's width, 0 for one that is left out: an empty one, or n where there is no room for it."""
    widths = {}
    for title in _TITLES:
        cells = [len(row[title]) + _grown(row[title]) for row in rows]
        widths[title] = max([len(title), *cells]) if any(cells) else 0
    widths["result"] = max(widths["result"], _RESULT - _GAP)
    if _room(widths, columns) < widths["rule"]:
        widths["n"] = 0
    widths["rule"] = min(widths["rule"], max(_room(widths, columns), _NARROWEST_ID))
    return widths


def _room(widths: dict[str, int], columns: int) -> int:
    """Return how many columns the others leave for the ids of rules."""
    return columns - sum(width + _GAP for title, width in widths.items() if width and title != "rule")


def _grown(text: str) -> int:
    """Return by how much text grows where its signs are written in ASCII."""
    return sum(len(instead) - 1 for sign, instead in _PLAIN_SIGNS.items() if sign in text)


def _group(
    group: Group, shown: dict[str, dict[str, str]], widths: dict[str, int], kept: list[str], columns: int, warns: bool
) -> Iterator[Line]:
    for finding in group.findings:
        cells = shown[finding.rule]
        style = "yellow" if warns and finding.result == "fail" else _RESULTS[finding.result]
        lines = [cells]
        if len(cells["rule"]) > widths["rule"]:
            start = f"{cells['result']:<{widths['result']}}" + " " * _GAP
            yield (start, style), (cells["rule"], "")
            lines = [cells | {"result": "", "rule": ""}] if cells["observed"] else []
        for row in lines:
            yield tuple(
                (_put(row[title], widths[title], title) + " " * _GAP, style if title == "result" else "")
                for title in kept
            )
    n = shown[group.findings[0].rule]["n"] if not widths["n"] else ""
    for name, words in group.notes:
        words = f"{words}; n={n}" if n and name == "why" else words
        start = f"{'':{widths['result'] + _GAP}}{name:<4}  "
        yield from _hanging(start, words, columns, "", start_style="dim", indent=len(start))


def _put(text: str, width: int, title: str) -> str:
    room = width - _grown(text)
    return f"{text:>{room}}" if title in _RIGHT else f"{text:<{room}}"


def _named(name: str, words: str, columns: int, style: str = "", *, name_columns: int = _NAME) -> Iterator[Line]:
    start = f"  {name:<{name_columns - _GAP}}"
    yield from _hanging(start, words, columns, style, start_style="dim", indent=name_columns)


def _hanging(start: str, words: str, columns: int, style: str, *, start_style: str = "", indent: int) -> Iterator[Line]:
    """Yield words that begin after `start` and go on beneath, `indent` columns in."""
    wrapped = wrap(
        plain(words).replace("…", "..."), columns, initial_indent="\0" * len(start), subsequent_indent=" " * indent,
        break_on_hyphens=False,
    ) or ["\0" * len(start)]  # fmt: skip
    yield (start, start_style), (wrapped[0].lstrip("\0"), style)
    yield from (((line, style),) for line in wrapped[1:])


def _text(line: Line, unicode: bool) -> Text:
    from rich.text import Text

    text = Text(no_wrap=True, overflow="ignore", end="\n")
    for piece, style in line:
        written = piece
        for sign, instead in () if unicode else _PLAIN_SIGNS.items():
            written = written.replace(sign, instead)
        text.append(written, style=style)
    text.rstrip()
    return text
