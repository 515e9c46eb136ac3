"""What is open: requests, flags and break-glasses."""

from __future__ import annotations

import sqlalchemy as sa
from alembic.operations import Operations

revision = "0002"
down_revision = "0001"


def upgrade(op: Operations) -> None:
    """Make the table; nothing is open in a ledger of before."""
    op.create_table(
        "rank_matters",
        sa.Column("workspace", sa.String(63), primary_key=True),
        sa.Column("model", sa.String(256), primary_key=True),
        sa.Column("version", sa.String(32), primary_key=True),
        sa.Column("target", sa.String(272), primary_key=True),
        sa.Column("kind", sa.String(32), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
