"""Small questions that the gate asks the ledger at every call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select

from mlflow_rank.audit.placements import Placement
from mlflow_rank.audit.tables import evidence_table, ledger_table, placements_table

if TYPE_CHECKING:
    from sqlalchemy import Connection

_LATEST = (
    select(ledger_table.c.reference)
    .where(ledger_table.c.kind == bindparam("of_kind"))
    .order_by(ledger_table.c.number.desc())
    .limit(1)
)
_DIGESTS = select(evidence_table.c.digest).where(
    *(evidence_table.c[name] == bindparam(f"of_{name}") for name in ("workspace", "model", "version"))
)


def latest_reference(connection: Connection, kind: str) -> str | None:
    """Return the reference of the last entry of a kind; None where there is none."""
    return connection.execute(_LATEST, {"of_kind": kind}).scalar_one_or_none()


def evidence_digests(connection: Connection, workspace: str, model: str, version: str) -> tuple[str, ...]:
    """Return the digests of the statements that are kept about a version, sorted."""
    about = {"of_workspace": workspace, "of_model": model, "of_version": version}
    return tuple(sorted(connection.execute(_DIGESTS, about).scalars()))


def placed_on(connection: Connection, prefix: str, workspace: str | None = None) -> list[Placement]:
    """Return what is placed on a basis whose id begins so, in a workspace or in all, in order."""
    columns = placements_table.c
    wanted = select(placements_table).where(columns.decision.startswith(prefix, autoescape=True))
    if workspace is not None:
        wanted = wanted.where(columns.workspace == workspace)
    ordered = wanted.order_by(columns.workspace, columns.model, columns.target)
    return [Placement(**row._mapping) for row in connection.execute(ordered)]
