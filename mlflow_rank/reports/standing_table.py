"""How models stand, for the terminal: what must not be overlooked, what is placed where, and what is asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TextIO

from mlflow_rank.registry.clients.outlook_document import Matter, Outlook
from mlflow_rank.reports.columns import print_columns
from mlflow_rank.reports.terminal import encodable, in_width
from mlflow_rank.reports.untrusted_text import plain
from mlflow_rank.reports.why_words import matter_words, shown, when

_DIGEST = 19  # characters of a digest that are shown: `sha256:` and twelve
_WEIGHED = ("measurement", "pilot", "alarms", "approval", "waiver")  # no acts, which policies do not look at
_PLACED = ("model", "target", "version", "since (UTC)", "by", "decision")
_ASKED = ("model", "version", "target", "asked by", "since (UTC)", "comment")
_FOUND = ("policy", "rule", "result", "why")


def print_standing(outlooks: Sequence[Outlook], *, version: str | None = None, stream: TextIO | None = None) -> None:
    """Print how models stand: flags and break-glasses first, then placements and open requests.

    Args:
        outlooks: of the models.
        version: of which alone to tell; None for all.
        stream: where to; None for stdout.
    """
    stream = stream or sys.stdout
    for line in loud_lines(outlooks, version=version):
        stream.write(encodable(f"{in_width(line, stream) if line.startswith('!!') else line}\n", stream))
    placed = [
        (each.model, at.target, at.version, when(at.at), _by(at.by, at.on_behalf_of), at.decision or "none")
        for each in outlooks
        for at in each.placements
        if version in (None, at.version)
    ]
    asked = [
        (each.model, one.version, one.target, _by(one.by or "unknown", None, one.verified), when(one.at), one.words)
        for each in outlooks
        for one in each.open("request", version=version)
    ]
    if placed:
        print_columns(_PLACED, placed, stream)
    if asked:
        stream.write("\nopen requests\n" if placed else "open requests\n")
        print_columns(_ASKED, asked, stream)
    if not placed and not asked:
        stream.write("nothing is placed, and nobody has asked for anything\n")


def loud_lines(outlooks: Sequence[Outlook], *, version: str | None = None) -> Iterator[str]:
    """Yield what nobody may overlook: break-glasses that nobody has reviewed, and flags; what is overdue first.

    A version that is flagged, and no longer where it was, is told of only where it is asked for.
    """
    loud = [
        (each.model, matter)
        for each in outlooks
        for matter in each.matters
        if matter.kind == "break_glass" or (matter.kind == "flag" and (matter.placed or version is not None))
        if version in (None, matter.version)
    ]
    for model, matter in sorted(loud, key=_urgency):
        yield f"!! {plain(matter_words(model, matter))}"
        if matter.kind == "break_glass":
            command = f'mlflow-rank review models:/{model} --number {matter.number} --accept --comment "…" --key FILE'
            yield f"   review it: {plain(command)}  (or --reject)"


def print_promotion(outlook: Outlook, target: str, *, stream: TextIO | None = None) -> None:
    """Print what a word on a promotion is bound to, and what the policies say of it now: before it is signed."""
    stream = stream or sys.stdout
    version = outlook.version
    if version is None:
        return
    policies = ", ".join(f"{each.name} r{each.revision} {_short(each.digest)}" for each in version.policies)
    for name, said in (
        ("model", f"{outlook.model} version {version.number}, in workspace {outlook.workspace}"),
        ("target", target),
        ("files", version.files or "unknown"),
        ("policies", policies or "none"),
        ("evidence", f"{_short(version.evidence_digest)}, and what was said on it"),
    ):
        stream.write(encodable(f"{name:<9} {plain(said)}\n", stream))
    for piece in version.evidence:
        if piece.kind in _WEIGHED:
            by = ", ".join(piece.signed_by) or "nobody who is trusted"
            line = f"  {piece.kind} {_short(piece.digest)}, made {when(piece.made_at)}, signed by {by}"
            stream.write(encodable(f"{shown(line)}\n", stream))
    found = [
        (str(ruling.get("name")), str(each.get("rule")), str(each.get("result")), str(each.get("sentence")))
        for ruling in outlook.rulings
        for each in ruling.get("findings") or ()
    ]
    if found:
        print_columns(_FOUND, found, stream)


def _urgency(item: tuple[str, Matter]) -> tuple[int, int]:
    _, matter = item
    return (0 if matter.overdue else 1 if matter.kind == "break_glass" else 2, matter.number)


def _by(name: str | None, on_behalf_of: str | None, verified: bool = True) -> str:
    said = name or "unknown"
    if on_behalf_of:
        return f"{said} for {on_behalf_of}"
    return said if verified else f"{said} (unverified)"


def _short(digest: str | None) -> str:
    return "-" if digest is None else digest[:_DIGEST]
