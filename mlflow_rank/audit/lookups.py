"""Small questions that the gate asks the ledger at every call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from mlflow_rank.audit.tables import evidence_table, ledger_table

if TYPE_CHECKING:
    from sqlalchemy import Connection


def latest_reference(connection: Connection, kind: str) -> str | None:
    """Return the reference of the last entry of a kind; None where there is none."""
    columns = ledger_table.c
    wanted = select(columns.reference).where(columns.kind == kind).order_by(columns.number.desc()).limit(1)
    return connection.execute(wanted).scalar_one_or_none()


def evidence_digests(connection: Connection, workspace: str, model: str, version: str) -> tuple[str, ...]:
    """Return the digests of the statements that are kept about a version, sorted."""
    columns = evidence_table.c
    wanted = select(columns.digest).where(
        columns.workspace == workspace, columns.model == model, columns.version == version
    )
    return tuple(sorted(connection.execute(wanted).scalars()))
