"""The ledger in a database: every function works inside the transaction of whoever calls it.

Whoever appends takes the lock first, before anything else in that transaction is read or written: an UPDATE of the
head's row, which SQLite and PostgreSQL alike make others wait for. What was read before it may be out of date.
"""

from __future__ import annotations

import json
import secrets
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from mlflow_rank.audit.entry import SALT_BYTES, Entry, Record, sealed, start_of, written
from mlflow_rank.audit.matters import Matters, store_matters
from mlflow_rank.audit.merkle import CompactRange
from mlflow_rank.audit.placements import Placement, Placements, moves_of
from mlflow_rank.audit.tables import HEAD_ID, evidence_table, head_table, ledger_table, placements_table
from mlflow_rank.errors import LedgerError
from mlflow_rank.evidence.canonical import canonical_json
from mlflow_rank.evidence.strict_json import MOST_BYTES

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row, Select
    from sqlalchemy.orm import Session

    Database = Connection | Session

# Statements of every call, made once: making one takes ten times as long as carrying it out on SQLite.
_HEAD = select(head_table).where(head_table.c.id == HEAD_ID)
_HEAD_BECOMES = update(head_table).where(head_table.c.id == HEAD_ID)
_SHUT = _HEAD_BECOMES.where(head_table.c.gate_open != 0)
_ADD_ENTRY = insert(ledger_table)
_ADD_PLACEMENT = insert(placements_table)
_PLACEMENT_THERE = [placements_table.c[name] == bindparam(f"at_{name}") for name in ("workspace", "model", "target")]
_PLACEMENT = select(placements_table).where(*_PLACEMENT_THERE)
_DROP_PLACEMENT = delete(placements_table).where(*_PLACEMENT_THERE)
_EVIDENCE = (
    select(*(evidence_table.c[name] for name in ("digest", "kind", "received_at", "envelope")))
    .where(*(evidence_table.c[name] == bindparam(f"of_{name}") for name in ("workspace", "model", "version")))
    .order_by(evidence_table.c.number)
)

PAGE = 1000  # entries that are read at once; between pages SQLite lets writers in
_NEWEST = 20  # changes of one target that are read at once: who goes back seldom goes far


@dataclass(frozen=True, slots=True)
class Head:
    """Where the ledger ends: whose it is, the hash of its last entry, and its tree."""

    ledger_id: str
    hash: str
    tree: CompactRange

    @property
    def size(self) -> int:
        """Return how many entries there are, which is the number of the next."""
        return self.tree.size

    @property
    def origin(self) -> str:
        """Return by what name checkpoints call this ledger."""
        return f"mlflow-rank/{self.ledger_id}"


@dataclass(frozen=True, slots=True)
class KeptEvidence:
    """Accepted evidence: the digest of its statement, when it came, and the bytes of its envelope."""

    digest: str
    kind: str
    received_at: str
    envelope: bytes


def empty_head(ledger_id: str) -> Head:
    """Return the head of a ledger without entries."""
    return Head(ledger_id, start_of(ledger_id), CompactRange())


def lock(connection: Database) -> Head:
    """Make others who append wait until this transaction ends, and return where the ledger ends.

    Raises:
        LedgerError: there is no ledger in this database.
    """
    _open(connection)
    return head_of(connection)


def _open(connection: Database) -> None:
    connection.execute(_HEAD_BECOMES, {"gate_open": 1})


def release(connection: Database) -> None:
    """Shut the gate for the triggers, in a transaction that took the lock and has nothing to append after all."""
    connection.execute(_SHUT, {"gate_open": 0})


def head_of(connection: Database) -> Head:
    """Return where the ledger ends, without waiting for anybody.

    Raises:
        LedgerError: there is no ledger in this database, or its head is not what the ledger writes.
    """
    row = connection.execute(_HEAD).one_or_none()
    if row is None:
        raise LedgerError(
            "the ledger of this database has no head",
            expected="one row in rank_ledger_head",
            remedy="if somebody deleted it, restore the database; verify the ledger against a signed checkpoint",
        )
    try:
        peaks = tuple(bytes.fromhex(each) for each in json.loads(row.peaks))
        return Head(row.ledger_id, row.head, CompactRange(row.size, peaks))
    except (ValueError, TypeError) as error:
        raise LedgerError("the head of the ledger is damaged", got=ascii(row.peaks)[:80]) from error


def append(connection: Database, head: Head, records: Sequence[Record], *, at: datetime) -> tuple[Head, list[Entry]]:
    """Append records in this order, and return where the ledger ends then, and the entries.

    Args:
        connection: of the transaction in which `lock` returned `head`.
        head: where the ledger ends.
        records: what happened; the moves of changes change the placements as well.
        at: what time it is. The clock is recorded as it is, even where it went back.

    Raises:
        LedgerError: something does not fit into the ledger, or somebody appended without the lock.
    """
    entries: list[Entry] = []
    tree, previous = head.tree, head.hash
    moved, matters = Placements(), Matters()
    for record in records:
        entry = sealed(record, number=tree.size, at=at, previous=previous, salt=secrets.token_bytes(SALT_BYTES))
        tree, previous = tree.appended(bytes.fromhex(entry.hash)), entry.hash
        entries.append(entry)
        if record.kind == "change":
            moved.move(entry.number, record.workspace, moves_of(record.body), decision_of(record.body))
        matters.take(entry)
    after = Head(head.ledger_id, previous, tree)
    if not entries:
        release(connection)
        return after, entries
    try:
        connection.execute(_ADD_ENTRY, [_row(entry) for entry in entries])
        _place(connection, moved)
        store_matters(connection, matters)
    except IntegrityError as error:
        raise LedgerError(
            "somebody else appended to the ledger at the same moment",
            got=f"entry {head.size} is there already",
            expected="that the lock is taken first",
            remedy="call again",
        ) from error
    values = {"size": tree.size, "head": previous, "peaks": json.dumps([peak.hex() for peak in tree.peaks])}
    values["gate_open"] = 0
    connection.execute(update(head_table).where(head_table.c.id == HEAD_ID).values(values))
    return after, entries


def entries(
    connection: Database, *, model: str | None = None, workspace: str | None = None, first: int = 0
) -> Iterator[Entry]:
    """Yield the entries from number `first` on, of all models or of one, in order; a page at a time."""
    wanted = select(ledger_table)
    if model is not None:
        wanted = wanted.where(ledger_table.c.model == model)
    if workspace is not None:
        wanted = wanted.where(ledger_table.c.workspace == workspace)
    yield from paged(connection, wanted, first)


def concerning(connection: Database, model: str, workspace: str | None = None) -> Iterator[Entry]:
    """Yield the entries that `history` needs of a model, in order.

    They are those about the model, changes of another that name it, such as renaming it, and erasures.
    """
    columns = ledger_table.c
    named = columns.body.contains(canonical_json(model).decode(), autoescape=True)
    moved = and_(columns.kind == "change", or_(named, columns.body.is_(None)))
    about = or_(columns.model == model, columns.kind == "erasure", moved)
    wanted = select(ledger_table).where(about)
    if workspace is not None:
        wanted = wanted.where(or_(columns.workspace == workspace, columns.kind == "erasure"))
    yield from paged(connection, wanted)


def paged(connection: Database, wanted: Select[Any], first: int = 0) -> Iterator[Entry]:
    """Yield the entries of a selection from number `first` on, in order; a page at a time."""
    number = ledger_table.c.number
    while True:
        page = connection.execute(wanted.where(number >= first).order_by(number).limit(PAGE)).all()
        yield from map(_entry, page)
        if len(page) < PAGE:
            return
        first = page[-1].number + 1


def find(connection: Database, kind: str, reference: str) -> Entry | None:
    """Return the last entry of this kind with this reference, such as a decision by its id, or None."""
    columns = ledger_table.c
    wanted = select(ledger_table).where(columns.reference == reference, columns.kind == kind)
    row = connection.execute(wanted.order_by(columns.number.desc()).limit(1)).one_or_none()
    return None if row is None else _entry(row)


def entry_at(connection: Database, number: int) -> Entry | None:
    """Return the entry with this number; None where there is none."""
    row = connection.execute(select(ledger_table).where(ledger_table.c.number == number)).one_or_none()
    return None if row is None else _entry(row)


def changes_of(connection: Database, workspace: str, model: str, target: str) -> Iterator[Entry]:
    """Yield the changes that were made on a decision about this target of a model, the newest first."""
    columns, before = ledger_table.c, None
    wanted = select(ledger_table).where(
        columns.workspace == workspace, columns.model == model, columns.kind == "change", columns.target == target
    )
    while True:
        older = wanted if before is None else wanted.where(columns.number < before)
        page = connection.execute(older.order_by(columns.number.desc()).limit(_NEWEST)).all()
        yield from map(_entry, page)
        if len(page) < _NEWEST:
            return
        before = page[-1].number


def placement(connection: Database, workspace: str, model: str, target: str) -> Placement | None:
    """Return which version the ledger put at this target; None where there is none."""
    there = {"at_workspace": workspace, "at_model": model, "at_target": target}
    row = connection.execute(_PLACEMENT, there).one_or_none()
    return None if row is None else Placement(**row._mapping)


def placements(connection: Database, *, workspace: str | None = None, model: str | None = None) -> list[Placement]:
    """Return what the ledger put anywhere, in a workspace or of a model, by workspace, model and target."""
    columns = placements_table.c
    wanted = select(placements_table)
    if workspace is not None:
        wanted = wanted.where(columns.workspace == workspace)
    if model is not None:
        wanted = wanted.where(columns.model == model)
    ordered = wanted.order_by(columns.workspace, columns.model, columns.target)
    return [Placement(**row._mapping) for row in connection.execute(ordered)]


def keep_evidence(
    connection: Database, workspace: str, model: str, version: str, *,
    digest: str, kind: str, envelope: bytes, received_at: datetime, number: int,
) -> None:  # fmt: skip
    """Keep the envelope of accepted evidence, in place of one of the same statement that was kept before.

    Args:
        connection: of the transaction that appended the entry.
        workspace: whose model it is.
        model: which it is about, together with `version`.
        version: see `model`.
        digest: of the statement, as the entry's reference.
        kind: what it is.
        envelope: the bytes as they were signed.
        received_at: when it came.
        number: of the entry of kind `evidence` that says so.
    """
    about = {"workspace": workspace, "model": model, "version": version, "digest": digest}
    columns = evidence_table.c
    _open(connection)  # again: appending the entry has shut it
    connection.execute(delete(evidence_table).where(*(columns[name] == value for name, value in about.items())))
    more = {"kind": kind, "received_at": written(received_at), "number": number, "envelope": zlib.compress(envelope)}
    connection.execute(insert(evidence_table), [about | more])
    release(connection)


def evidence_of(connection: Database, workspace: str, model: str, version: str) -> list[KeptEvidence]:
    """Return the evidence that is kept about a version, in the order in which it came.

    Raises:
        LedgerError: an envelope cannot be read.
    """
    rows = connection.execute(_EVIDENCE, {"of_workspace": workspace, "of_model": model, "of_version": version}).all()
    return [KeptEvidence(row.digest, row.kind, row.received_at, unpacked(row.envelope, row.digest)) for row in rows]


def unpacked(packed: bytes, digest: str) -> bytes:
    """Return the bytes of a kept envelope.

    Raises:
        LedgerError: they are damaged, or larger than an envelope can be.
    """
    reader = zlib.decompressobj()
    try:
        envelope = reader.decompress(packed, MOST_BYTES)
    except (zlib.error, TypeError) as error:
        raise LedgerError(f"the kept evidence {digest} cannot be unpacked", got=str(error)) from error
    if not reader.eof or reader.unused_data:
        raise LedgerError(f"the kept evidence {digest} does not end where it should")
    return envelope


def decision_of(body: Mapping[str, object]) -> str | None:
    """Return the id of the decision behind a change; None where there was none."""
    decision = body.get("decision")
    return decision if isinstance(decision, str) else None


def _place(connection: Database, moved: Placements) -> None:
    if not moved.last:
        return
    keys = [{"at_workspace": key[0], "at_model": key[1], "at_target": key[2]} for key in moved.last]
    connection.execute(_DROP_PLACEMENT, keys)
    rows = [{name: getattr(each, name) for name in Placement.__dataclass_fields__} for each in moved.now.values()]
    if rows:
        connection.execute(_ADD_PLACEMENT, rows)


def _row(entry: Entry) -> dict[str, object]:
    return {name: getattr(entry, name) for name in Entry.__dataclass_fields__}


def _entry(row: Row[Any]) -> Entry:
    return Entry(*tuple(row))  # the columns are in the order of its fields
