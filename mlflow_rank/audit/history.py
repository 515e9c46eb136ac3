"""What was placed when, who did it, on which evidence; and how everything lay on a day."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from mlflow_rank.audit.entry import Entry
from mlflow_rank.audit.ledger import decision_of
from mlflow_rank.audit.placements import Placement, Placements, moves_of
from mlflow_rank.errors import UsageError

ERASED = "(erased)"


@dataclass(frozen=True, slots=True)
class Row:
    """One move of a target, by whom, and what it rested on; the actor is `(erased)` where the body is gone."""

    number: int
    at: str
    target: str
    before: str | None
    after: str | None
    actor: str
    verified: bool
    door: str
    decision: str | None
    verdict: str | None
    """The decision's sentence, or that of a break-glass; None where there was neither, or it was erased."""
    evidence: tuple[str, ...]
    """The digests of the statements that the decision was presented with."""

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {
            "number": self.number,
            "at": self.at,
            "target": self.target,
            "before": self.before,
            "after": self.after,
            "actor": self.actor,
            "verified": self.verified,
            "door": self.door,
            "decision": self.decision,
            "verdict": self.verdict,
            "evidence": list(self.evidence),
        }


def history(entries: Iterable[Entry], model: str, workspace: str | None = None) -> list[Row]:
    """Return every move of a model's targets, in order.

    Args:
        entries: of the ledger, or those of it that are about the model or name it in their bodies.
        model: whose.
        workspace: of the model; None for every workspace that has one of this name.

    Raises:
        LedgerError: a body is not what the ledger writes.
    """
    rows: list[Row] = []
    said: dict[str, tuple[str | None, tuple[str, ...]]] = {}
    erased: dict[int, Entry] = {}
    waiting: dict[int, str] = {}  # break-glasses that nobody has reviewed
    for entry in entries:
        if entry.kind == "erasure" and not entry.is_erased:
            for number, content in _repeated(entry):
                if (origin := erased.pop(number, None)) is not None:
                    rows += _rows(origin, content, model, said)
        if workspace is not None and entry.workspace != workspace:
            continue
        if entry.kind == "decision" and entry.reference is not None and not entry.is_erased:
            said[entry.reference] = _said(entry.content)
        elif entry.kind == "break_glass" and entry.reference is not None:
            waiting[entry.number] = entry.reference
            said[entry.reference] = _broken(entry), ()
        elif entry.kind == "closing" and (entry.reference or "").isdecimal():
            waiting.pop(int(entry.reference or ""), None)
        elif entry.kind == "change" and entry.is_erased:
            erased[entry.number] = entry
        elif entry.kind == "change":
            rows += _rows(entry, entry.content, model, said)
    unreviewed = set(waiting.values())
    told = (replace(row, verdict=f"{row.verdict}; NOT REVIEWED") if row.decision in unreviewed else row for row in rows)
    return sorted(told, key=lambda row: row.number)


def as_of(entries: Iterable[Entry], moment: datetime) -> list[Placement]:
    """Return what lay where at a moment, by the times that entries have.

    Args:
        entries: of the ledger, also those after the moment: what was erased since is told by its erasure.
        moment: with its zone; what was written at that very moment counts.

    Raises:
        LedgerError: a body is not what the ledger writes.
        UsageError: the moment has no zone.
    """
    if moment.utcoffset() is None:
        raise UsageError("a time without a time zone", got=str(moment), expected="a time with its zone")
    placements = Placements()
    erased: dict[int, Entry] = {}
    for entry in entries:
        if entry.kind == "erasure" and not entry.is_erased:
            for number, content in _repeated(entry):
                if (origin := erased.pop(number, None)) is not None:
                    placements.move(number, origin.workspace, moves_of(content), decision_of(content))
        if entry.kind != "change" or entry.moment > moment:
            continue
        if entry.is_erased:
            erased[entry.number] = entry
        else:
            content = entry.content
            placements.move(entry.number, entry.workspace, moves_of(content), decision_of(content))
    return [placements.now[key] for key in sorted(placements.now)]


def _rows(
    entry: Entry, content: Mapping[str, Any], model: str, said: Mapping[str, tuple[str | None, tuple[str, ...]]]
) -> Iterator[Row]:
    actor = content.get("actor")
    name = ERASED if entry.is_erased else _name(actor)
    decision = decision_of(content)
    verdict, evidence = said.get(decision or "", (None, ()))
    for move in moves_of(content):
        if move.model == model:
            yield Row(
                entry.number,
                entry.at,
                move.target,
                move.before,
                move.after,
                name,
                isinstance(actor, Mapping) and actor.get("verified") is True,
                str(content.get("door", ERASED if entry.is_erased else "unknown")),
                decision,
                verdict,
                evidence,
            )


def _name(actor: object) -> str:
    """Return who did it, and for whom."""
    if not isinstance(actor, Mapping):
        return "unknown"
    asked = actor.get("on_behalf_of")
    return str(actor.get("name")) + (f" for {asked}" if isinstance(asked, str) else "")


def _broken(entry: Entry) -> str:
    """Return in a sentence who placed a version in an emergency, and why."""
    if entry.is_erased:
        return f"BREAK-GLASS {ERASED}"
    body = entry.content
    signed = body.get("signed_by")
    by = ", ".join(str(each) for each in signed) if isinstance(signed, list) else "unknown"
    why = f"{body.get('ticket')}: {body.get('reason')}"
    return f"BREAK-GLASS by {by} until {body.get('expires_at')} ({why})"


def _said(content: Mapping[str, Any]) -> tuple[str | None, tuple[str, ...]]:
    """Return what a decision says, with the people who approved it, and the statements that it was presented with."""
    decision = content.get("decision")
    if not isinstance(decision, Mapping):
        return None, ()
    sentence = decision.get("sentence")
    digests = (each.get("digest") for each in _parts(decision.get("evidence")))
    rulings = _parts(decision.get("policies"))
    listed = (ruling["approvals"].get("by") for ruling in rulings if isinstance(ruling.get("approvals"), Mapping))
    people = sorted({str(name) for names in listed if isinstance(names, list) for name in names})
    by = f"; approved by {', '.join(people)}" if people else ""
    return (
        f"{sentence}{by}" if isinstance(sentence, str) else None,
        tuple(digest for digest in digests if isinstance(digest, str)),
    )


def _parts(value: object) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _repeated(erasure: Entry) -> Iterator[tuple[int, Mapping[str, Any]]]:
    moves = erasure.content.get("moves")
    for number, content in moves.items() if isinstance(moves, Mapping) else ():
        if str(number).isdecimal() and isinstance(content, Mapping):
            yield int(number), content
