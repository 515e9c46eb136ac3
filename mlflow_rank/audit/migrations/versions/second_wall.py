"""What triggers go by: whether the gate is open in this transaction, and what was chosen for this database."""

from __future__ import annotations

import sqlalchemy as sa
from alembic.operations import Operations

revision = "0003"
down_revision = "0002"


def upgrade(op: Operations) -> None:
    """Add the column and the table; the gate is shut, and nothing was chosen."""
    op.add_column("rank_ledger_head", sa.Column("gate_open", sa.Integer, nullable=False, server_default="0"))
    op.create_table(
        "rank_settings",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("value", sa.String(255), nullable=False),
    )
