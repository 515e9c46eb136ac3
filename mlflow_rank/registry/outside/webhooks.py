"""What the outside is told: the news in entries of the ledger, posted by the transaction that appends them.

A message says what happened in one sentence and where the ledger says it; no evidence, no key and no comment of an
approval is in it. Whatever people wrote is cut, and stands on one line.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from mlflow_rank.audit import ledger, outbox
from mlflow_rank.audit.entry import Entry, Record, written
from mlflow_rank.audit.outbox import Letter
from mlflow_rank.audit.placements import moves_of
from mlflow_rank.evidence.canonical import canonical_json
from mlflow_rank.registry.outside.hook_file import Event, HooksInForce
from mlflow_rank.registry.outside.tending import ring

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session

LONGEST = 300  # characters of what somebody wrote
# doors by which a version gives its place back
_BACKWARD = ("rollback", "demotion", "break_glass_expired", "break_glass_rejected")
Body = Mapping[str, object]
Verdict = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class News:
    """An event in an entry, in a sentence; `by` are the people whose signed word it was."""

    event: Event
    entry: Entry
    sentence: str
    actor: Body
    target: str | None
    by: tuple[str, ...] = ()
    decision: str | None = None

    def payload(self, letter_id: str) -> str:
        """Return what one receiver is sent."""
        entry = self.entry
        message = {
            "id": letter_id,
            "event": self.event,
            "at": entry.at,
            "workspace": entry.workspace,
            "model": entry.model,
            "version": entry.version,
            "target": self.target,
            "actor": self.actor,
            "by": list(self.by),
            "decision": self.decision,
            "sentence": self.sentence,
            "ledger": {"number": entry.number, "hash": entry.hash},
        }
        return canonical_json(message).decode()


def tell(session: Session, entries: Sequence[Entry], told: HooksInForce, at: datetime) -> None:
    """Put what happened into the outbox, in the transaction that appended the entries; it goes out after the commit."""
    if not told.hooks:
        return
    connection = session.connection()
    letters = list(letters_of(news_in(entries, lambda decision: _verdict(connection, decision)), told, at))
    if letters:
        from sqlalchemy import event

        outbox.post(connection, letters)
        event.listen(session, "after_commit", lambda _: ring(), once=True)


def letters_of(news: Iterable[News], told: HooksInForce, at: datetime) -> Iterator[Letter]:
    """Yield a message of each news to each receiver that wants it."""
    now = written(at)
    for each in news:
        for hook in told.hooks:
            if hook.wants(each.event, each.entry.model):
                named = str(uuid.uuid4())
                yield Letter(named, each.entry.number, hook.name, each.event, each.payload(named), 0, now, now)


def not_told(connection: Connection, told: HooksInForce) -> list[Record]:
    """Return the record that the file of webhooks cannot be used; none where it can, or where that is recorded."""
    if told.problem is None:
        return []
    reference = f"webhooks {told.digest}"
    if ledger.find(connection, "finding", reference) is not None:
        return []
    sentence = f"nobody outside is told what happens here: {words(told.problem)}"
    return [Record("finding", None, None, None, None, {"sentence": sentence}, reference)]


def news_in(entries: Sequence[Entry], verdict: Verdict) -> Iterator[News]:
    """Yield the news in entries that were appended together.

    Args:
        entries: with their bodies.
        verdict: `approve` or `deny` of a decision that was recorded before these entries, by its id; None where there
            is no such decision.
    """
    bodies = [(entry, entry.content) for entry in entries]
    decided = {entry.reference: _part(body, "decision") for entry, body in bodies if entry.kind == "decision"}
    refused = {body.get("decision") for entry, body in bodies if entry.kind == "refusal"}
    for entry, body in bodies:
        if entry.kind == "request":
            yield _news("requested", entry, body, _said(f"{_version(entry)} is to go to {entry.target}", body))
        elif entry.kind == "evidence" and body.get("kind") == "approval":
            yield from _word(entry, body)
        elif entry.kind == "refusal" and entry.target is not None:
            yield _news("refused", entry, body, words(body.get("sentence")), decision=_text(body.get("decision")))
        elif entry.kind == "decision" and entry.reference not in refused:
            yield from _denied(entry, body, decided[entry.reference])
        elif entry.kind == "change":
            yield from _moved(entry, body, decided, verdict)
        elif entry.kind == "break_glass":
            sentence = f"{_version(entry)} is placed at {entry.target} without approval"
            yield _news("break-glass", entry, body, _said(sentence, body))
        elif entry.kind == "review":
            who = " and ".join(_by(body)) or _name(body)
            sentence = f"the break-glass of {_version(entry)} is reviewed by {who}: {words(body.get('verdict'))}"
            yield _news("break-glass", entry, body, sentence)


def words(text: object) -> str:
    """Return what somebody wrote, on one line, cut, with signs that steer a terminal written out.

    >>> words("a\\n b\\x1b"), len(words("a" * 999))
    ('a b\\\\x1b', 300)
    """
    line = " ".join(str(text).split())
    said = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in line)
    return said if len(said) <= LONGEST else f"{said[: LONGEST - 1]}…"


def _word(entry: Entry, body: Body) -> Iterator[News]:
    """Yield a person's word for a promotion, or against it."""
    who, target = " and ".join(_by(body)) or _name(body), _text(body.get("target"))
    if body.get("verdict") == "approve":
        yield _news("approved", entry, body, f"{_version(entry)} for {target} is approved by {who}", target=target)
    elif body.get("verdict") == "reject":
        yield _news("refused", entry, body, f"{_version(entry)} for {target} is rejected by {who}", target=target)


def _denied(entry: Entry, body: Body, decision: Body) -> Iterator[News]:
    """Yield a denial that no refusal beside it tells: nothing was asked for, or the policies only watch."""
    if decision.get("verdict") == "deny":
        sentence = words(decision.get("sentence"))
        said = sentence if decision.get("enforced") else f"{sentence}; not enforced"
        yield _news("refused", entry, body, said, decision=entry.reference)


def _moved(entry: Entry, body: Body, decided: Mapping[str | None, Body], verdict: Verdict) -> Iterator[News]:
    decision, moves = _text(body.get("decision")), moves_of(body)
    moved = [each for each in moves if entry.target in (None, each.target)]
    if not moved:
        return
    way = "; ".join(
        f"{each.target} of {words(each.model)}: {each.before or '-'} to {each.after or '-'}" for each in moved
    )
    target = entry.target or moved[0].target
    if body.get("door") in _BACKWARD:
        yield _news("demoted", entry, body, _said(f"{way}, by {body['door']}", body), target=target, decision=decision)
    elif decision is not None:
        here = decided.get(decision)
        if (verdict(decision) if here is None else here.get("verdict")) == "approve":
            sentence = way if here is None else f"{way}; {words(here.get('sentence'))}"
            yield _news("promoted", entry, body, sentence, target=target, decision=decision)


def _news(
    event: Event, entry: Entry, body: Body, sentence: str, *, target: str | None = None, decision: str | None = None
) -> News:
    actor = {
        name: words(value) if isinstance(value, str) else value
        for name, value in _part(body, "actor").items()
        if isinstance(value, str | bool | None)
    }
    return News(event, entry, sentence, actor, target or entry.target, _by(body), decision)


def _said(sentence: str, body: Body) -> str:
    """Return a sentence with the reason that somebody gave."""
    given = [_given(body, name) for name in ("reason", "comment")]
    reasons = [words(each) for each in given if isinstance(each, str) and each.strip()]
    ticket = _text(_given(body, "ticket"))
    return "; ".join([sentence, *reasons, *([f"ticket {words(ticket)}"] if ticket else [])])


def _by(body: Body) -> tuple[str, ...]:
    witnessed, signed = body.get("witnessed"), _given(body, "signed_by")
    if isinstance(witnessed, str):  # then it was the gate that signed
        return (words(witnessed),)
    return tuple(words(each) for each in signed) if isinstance(signed, list | tuple) else ()


def _given(body: Body, name: str) -> object:
    """Return what a body says of itself, or of the call that it is about."""
    return body[name] if name in body else _part(body, "arguments").get(name)


def _version(entry: Entry) -> str:
    return f"version {words(entry.version)} of {words(entry.model)}"


def _name(body: Body) -> str:
    return words(_part(body, "actor").get("name", "somebody"))


def _part(body: Body, name: str) -> Body:
    part = body.get(name)
    return part if isinstance(part, Mapping) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _verdict(connection: Connection, decision: str) -> str | None:
    entry = ledger.find(connection, "decision", decision)
    return None if entry is None or entry.is_erased else _text(_part(entry.content, "decision").get("verdict"))
