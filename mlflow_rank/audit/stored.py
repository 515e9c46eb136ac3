"""Whether everything that a database holds of its ledger agrees: entries, head, placements and kept evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, select

from mlflow_rank.audit.checkpoint import Checkpoint
from mlflow_rank.audit.database import at_one_moment
from mlflow_rank.audit.ledger import Head, entries, head_of, placements, unpacked
from mlflow_rank.audit.matters import Matter, open_matters
from mlflow_rank.audit.placements import Placement
from mlflow_rank.audit.tables import evidence_table
from mlflow_rank.audit.verification import Verified, Walk
from mlflow_rank.errors import EvidenceError, LedgerError
from mlflow_rank.evidence.envelope import read_envelope
from mlflow_rank.evidence.trust import TrustStore

_About = tuple[str, str, str, str]  # workspace, model, version and digest of kept evidence


def verify_database(
    engine: Engine, checkpoints: Mapping[str, Checkpoint] | None = None, *, trust: TrustStore | None = None
) -> Verified:
    """Verify the ledger of a database, while servers may go on writing to it.

    Args:
        engine: of the database.
        checkpoints: that were kept elsewhere, by what they are called in messages.
        trust: whose signatures under checkpoints are believed; None to look at no signature.

    Raises:
        LedgerError: the head cannot be read, so nobody knows which ledger this is.
    """
    with at_one_moment(engine) as connection:
        head, placed, kept = head_of(connection), placements(connection), _kept(connection)
        matters = open_matters(connection)
    walk = Walk(head.ledger_id, checkpoints or {}, trust, stop=head.size)
    with engine.connect() as connection:
        for entry in entries(connection):
            walk.take(entry)
        later = head_of(connection)
        said = (*_places(walk, placed), *_matters(walk, matters), *_keeps(walk, kept, connection))
        for problem in (*_ends(walk, head, later), *said):
            walk.report(problem)
    return walk.finished()


def _ends(walk: Walk, head: Head, later: Head) -> Iterator[str]:
    """Yield how the head disagrees with the entries; it was read before them, and `later` after them."""
    count = walk.chain.count
    if head.ledger_id != later.ledger_id:
        yield "the name of the ledger changed while it was read"
    if count < head.size:
        yield f"the head says {head.size} entries, and there are {count}: the ledger was cut short"
    elif count > later.size:
        yield f"the head says {later.size} entries, and there are {count}: some were written past it"
    elif walk.hash_at_stop != head.hash:
        yield f"the head says another last entry than entry {head.size - 1}: one of the two was replaced"
    elif walk.tree_at_stop != head.tree and not walk.problems:  # else the entries are at fault, as was said
        yield "the head says another tree than the entries have: one of the two was changed"


def _places(walk: Walk, placed: Sequence[Placement]) -> Iterator[str]:
    stored, summed = {each.key: each for each in placed}, walk.placements.now
    for key in sorted(stored.keys() | summed.keys()):
        if stored.get(key) != summed.get(key):
            yield (
                f"rank_placements says {_where(stored.get(key))} for {key[2]} of {key[1]}, "
                f"and the entries say {_where(summed.get(key))}"
            )


def _matters(walk: Walk, there: Sequence[Matter]) -> Iterator[str]:
    stored = {each.key: each.number for each in there}
    summed = {key: each.number for key, each in walk.matters.open.items()}
    for key in sorted(stored.keys() | summed.keys()):
        if stored.get(key) != summed.get(key):
            _, model, version, target, kind = key
            yield (
                f"rank_matters says of a {kind} of version {version} of {model} to {target} that it is "
                f"{_since(stored.get(key))}, and the entries say {_since(summed.get(key))}"
            )


def _since(number: int | None) -> str:
    return "not open" if number is None else f"open since entry {number}"


def _where(placement: Placement | None) -> str:
    if placement is None:
        return "nothing"
    return f"version {placement.version} by entry {placement.number} (files {placement.files})"


def _keeps(walk: Walk, kept: Mapping[_About, int], connection: Connection) -> Iterator[str]:
    said = walk.evidence
    for about, number in kept.items():
        if about not in said:
            yield f"{_named(about)} is kept, and no entry says that it was accepted"
        elif said[about] != number:
            yield f"{_named(about)} is kept for entry {number}, and was last accepted by entry {said[about]}"
        else:
            yield from _envelope(connection, about)
    for each, number in said.items():
        if each not in kept and number not in walk.chain.bare:
            yield f"entry {number} says that {each[3]} was accepted, and it is not kept"


def _envelope(connection: Connection, about: _About) -> Iterator[str]:
    packed = connection.execute(select(evidence_table.c.envelope).where(*_is(about))).scalar_one_or_none()
    if packed is None:
        return  # it was erased, or came anew, since the keys were read
    try:
        found = read_envelope(unpacked(packed, about[3]), named="it").digest
    except (LedgerError, EvidenceError) as error:
        yield f"{_named(about)} cannot be read: {error.what}"
        return
    if found != about[3]:
        yield f"{_named(about)} was changed: it has the digest {found}"


def _kept(connection: Connection) -> dict[_About, int]:
    columns = evidence_table.c
    rows = connection.execute(select(columns.workspace, columns.model, columns.version, columns.digest, columns.number))
    return {(row[0], row[1], row[2], row[3]): row[4] for row in rows}


def _is(about: _About) -> list[Any]:
    columns = evidence_table.c
    return [
        columns.workspace == about[0],
        columns.model == about[1],
        columns.version == about[2],
        columns.digest == about[3],
    ]


def _named(about: _About) -> str:
    return f"the evidence {about[3]} about {about[1]} {about[2]}"
