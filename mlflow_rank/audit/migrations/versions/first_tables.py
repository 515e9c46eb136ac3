"""The first tables of the ledger, and its name."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from alembic.operations import Operations
from sqlalchemy.dialects.mysql import LONGBLOB, MEDIUMTEXT

from mlflow_rank.audit.entry import start_of

revision = "0001"
down_revision = None


def upgrade(op: Operations) -> None:
    """Make the tables, and the head of a ledger without entries."""
    long_text = sa.Text().with_variant(MEDIUMTEXT(), "mysql", "mariadb")
    long_bytes = sa.LargeBinary().with_variant(LONGBLOB(), "mysql", "mariadb")
    head = op.create_table(
        "rank_ledger_head",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("ledger_id", sa.String(36), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("head", sa.String(64), nullable=False),
        sa.Column("peaks", long_text, nullable=False),
    )
    op.create_table(
        "rank_ledger",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("workspace", sa.String(63)),
        sa.Column("model", sa.String(256)),
        sa.Column("version", sa.String(32)),
        sa.Column("target", sa.String(272)),
        sa.Column("reference", sa.String(128)),
        sa.Column("body_digest", sa.String(71), nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("body", long_text),
        sa.Column("salt", sa.String(32)),
        sa.UniqueConstraint("previous", name="uq_rank_ledger_previous"),
        sa.UniqueConstraint("hash", name="uq_rank_ledger_hash"),
    )
    op.create_index("ix_rank_ledger_model", "rank_ledger", ["workspace", "model", "number"])
    op.create_index("ix_rank_ledger_kind", "rank_ledger", ["kind", "number"])
    op.create_index("ix_rank_ledger_reference", "rank_ledger", ["reference"])
    op.create_table(
        "rank_placements",
        sa.Column("workspace", sa.String(63), primary_key=True),
        sa.Column("model", sa.String(256), primary_key=True),
        sa.Column("target", sa.String(272), primary_key=True),
        sa.Column("version", sa.String(32), nullable=False),
        sa.Column("files", sa.String(71)),
        sa.Column("decision", sa.String(128)),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "rank_evidence",
        sa.Column("workspace", sa.String(63), primary_key=True),
        sa.Column("model", sa.String(256), primary_key=True),
        sa.Column("version", sa.String(32), primary_key=True),
        sa.Column("digest", sa.String(71), primary_key=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("received_at", sa.String(27), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("envelope", long_bytes, nullable=False),
    )
    ledger_id = str(uuid.uuid4())
    op.bulk_insert(head, [{"id": 1, "ledger_id": ledger_id, "size": 0, "head": start_of(ledger_id), "peaks": "[]"}])
