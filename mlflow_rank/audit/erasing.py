"""Erasing bodies, for privacy: what is erased is gone, that it was there and when stays proved.

What people wrote is in bodies, and nowhere else in an entry. Where versions lie must stay known, so the erasure repeats
the moves of the changes that it erases, which name no person.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import delete, select, update

from mlflow_rank.audit.entry import Entry, Record
from mlflow_rank.audit.ledger import append, decision_of, lock
from mlflow_rank.audit.outbox import forget
from mlflow_rank.audit.placements import moves_of
from mlflow_rank.audit.tables import evidence_table, ledger_table
from mlflow_rank.errors import UsageError

if TYPE_CHECKING:
    from mlflow_rank.audit.ledger import Database


def erase(connection: Database, numbers: Iterable[int], reason: str, actor: str, *, at: datetime) -> Entry:
    """Erase the bodies of entries, and the evidence that they accepted; return the entry that says so.

    Args:
        connection: of a transaction in which nothing was read or written before.
        numbers: of the entries.
        reason: why; it stays.
        actor: who does it; it stays.
        at: what time it is.

    Raises:
        UsageError: there is no such entry, it was erased before, or it is an erasure itself.
        LedgerError: see `append`.
    """
    head = lock(connection)
    wanted = sorted(set(numbers))
    if not wanted:
        raise UsageError("nothing to erase", expected="the numbers of entries")
    found = {number: _erasable(connection, number) for number in wanted}
    moves = {str(number): _moves(entry) for number, entry in found.items() if entry.kind == "change"}
    columns = ledger_table.c
    for number in wanted:
        connection.execute(update(ledger_table).where(columns.number == number).values(body=None, salt=None))
        connection.execute(delete(evidence_table).where(evidence_table.c.number == number))
    forget(connection, wanted)
    body = {"entries": wanted, "reason": reason, "actor": actor, "moves": moves}
    _, (entry,) = append(connection, head, [Record("erasure", None, None, None, None, body)], at=at)
    return entry


def _moves(entry: Entry) -> dict[str, object]:
    body = entry.content
    return {"moves": [move.document() for move in moves_of(body)], "decision": decision_of(body)}


def _erasable(connection: Database, number: int) -> Entry:
    row = connection.execute(select(ledger_table).where(ledger_table.c.number == number)).one_or_none()
    if row is None:
        raise UsageError("there is no such entry", got=f"entry {number}")
    entry = Entry(*tuple(row))
    if entry.kind == "erasure":
        raise UsageError("an erasure says where erased versions lie, and stays", got=f"entry {number}")
    if entry.is_erased:
        raise UsageError("this entry was erased before", got=f"entry {number}")
    return entry
