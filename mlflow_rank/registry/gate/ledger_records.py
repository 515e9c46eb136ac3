"""What the gate writes into the ledger: decisions, changes, refusals, and which rules were in force."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlflow_rank.audit import ledger
from mlflow_rank.audit.checkpoint import checkpoint_of
from mlflow_rank.audit.entry import LONGEST, Entry, Record
from mlflow_rank.audit.lookups import latest_reference
from mlflow_rank.audit.placements import Move
from mlflow_rank.evidence.envelope import Envelope
from mlflow_rank.evidence.keys import PrivateKey
from mlflow_rank.evidence.testimony import decision_statement
from mlflow_rank.policy.decision import Decision
from mlflow_rank.registry.gate.actor import GATE
from mlflow_rank.registry.gate.basis import Basis
from mlflow_rank.registry.gate.call import Call, recordable
from mlflow_rank.registry.gate.rules_in_force import RulesInForce
from mlflow_rank.registry.outside.hook_file import hooks_in_force
from mlflow_rank.registry.outside.webhooks import not_told, tell

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_KNOWN: dict[str, str] = {}  # the rules that a ledger was last seen to know, so that it is not asked at every call


def decision_record(head: ledger.Head, call: Call, decision: Decision, key: PrivateKey | None) -> Record:
    """Return a decision, signed with the gate's key where it has one, and with a checkpoint of all that went before."""
    document = decision.written()  # once, for all that follows
    checkpoint = checkpoint_of(head, key, GATE).text
    envelope = Envelope(decision_statement(document, now=decision.at, checkpoint=checkpoint).to_bytes())
    signed = envelope if key is None else envelope.signed_by(key)
    body = {
        "decision": document,
        "envelope": signed.to_json().decode(),
        "checkpoint": checkpoint,
        "actor": call.actor.document(),
        "origin": dict(call.origin),
    }
    request = decision.case.request
    return Record(
        "decision", call.workspace, request.model, request.version, request.target, body, reference=decision.id
    )


def change_record(call: Call, moves: Iterable[Move], basis: Basis | None) -> Record:
    """Return that a call was let through, on which basis, and what it moved."""
    listed = [replace(move, files=_files_of(basis, move)).document() for move in moves]
    body = call.body(decision=None if basis is None else basis.id, moves=listed)
    target = None if basis is None else basis.target
    return Record("change", call.workspace, _first(call.models), call.version, target, body)


def refusal_record(call: Call, sentence: str, target: str | None, decision: Decision | None = None) -> Record:
    """Return that a call was refused, and in which words."""
    body = call.body(decision=None if decision is None else decision.id, sentence=sentence)
    return Record("refusal", call.workspace, _first(call.models), call.version, target, body)


def append(
    session: Session, head: ledger.Head, call: Call, rules: RulesInForce, records: Sequence[Record], at: datetime
) -> list[Entry]:
    """Append records to the ledger, before them that other rules are in force than the ledger knows."""
    connection = session.connection()
    news: list[Record] = []
    if _KNOWN.get(head.ledger_id) != rules.digest and latest_reference(connection, "policies") != rules.digest:
        news = [Record("policies", call.workspace, None, None, None, rules.document(), reference=rules.digest)]
    told = hooks_in_force()
    fitting = [_fitting(record) for record in (*news, *not_told(connection, told), *records)]
    _, entries = ledger.append(connection, head, fitting, at=at)
    tell(session, entries, told, at)
    if news:
        _KNOWN.pop(head.ledger_id, None)  # this transaction may still be rolled back, and the news with it
    else:
        _KNOWN[head.ledger_id] = rules.digest
    return entries


def _fitting(record: Record) -> Record:
    """Return a record with names as long as the ledger's columns: whoever sends longer ones is refused all the same."""
    cut: dict[str, Any] = {
        name: str(recordable(value)).replace("\x00", "?")[:longest]
        for name, longest in LONGEST.items()
        if name != "kind" and (value := getattr(record, name)) is not None
    }
    return replace(record, **cut)


def _files_of(basis: Basis | None, move: Move) -> str | None:
    if basis is None:
        return None
    return basis.files if (move.target, move.after) == (basis.target, basis.version) else None


def _first(models: Sequence[str]) -> str | None:
    return models[0] if models else None
