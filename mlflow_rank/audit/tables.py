"""The tables of the ledger, which lie beside MLflow's own in the same database and begin with `rank_`."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, String, Table, Text, UniqueConstraint
from sqlalchemy.dialects.mysql import LONGBLOB, MEDIUMTEXT

METADATA = MetaData()
HEAD_ID = 1  # of the only row of `rank_ledger_head`

_LONG_TEXT = Text().with_variant(MEDIUMTEXT(), "mysql", "mariadb")  # TEXT of MySQL ends after 64 KiB
_LONG_BYTES = LargeBinary().with_variant(LONGBLOB(), "mysql", "mariadb")
_HEX = String(64)  # a SHA-256 in hexadecimal digits
_DIGEST = String(71)  # `sha256:` and such a one
_NUMBER = BigInteger()
_WORKSPACE, _MODEL, _VERSION = String(63), String(256), String(32)  # as long as MLflow's own columns, or longer
_TARGET = String(272)  # `alias:` or `stage:` and a name of MLflow's

head_table = Table(
    "rank_ledger_head",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("ledger_id", String(36), nullable=False),
    Column("size", _NUMBER, nullable=False),
    Column("head", _HEX, nullable=False),
    Column("peaks", _LONG_TEXT, nullable=False),
    Column("gate_open", Integer, nullable=False, server_default="0"),
)
"""One row: whose checkpoints they are, how many entries there are, the last hash, and the tree's perfect subtrees.

`gate_open` is 1 only inside a transaction of the gate, which nobody else sees: triggers let nothing through without it.
"""

ledger_table = Table(
    "rank_ledger",
    METADATA,
    Column("number", _NUMBER, primary_key=True, autoincrement=False),
    Column("at", String(27), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("workspace", _WORKSPACE),
    Column("model", _MODEL),
    Column("version", _VERSION),
    Column("target", _TARGET),
    Column("reference", String(128)),
    Column("body_digest", _DIGEST, nullable=False),
    Column("previous", _HEX, nullable=False),
    Column("hash", _HEX, nullable=False),
    Column("body", _LONG_TEXT),
    Column("salt", String(32)),
    UniqueConstraint("previous", name="uq_rank_ledger_previous"),
    UniqueConstraint("hash", name="uq_rank_ledger_hash"),
    Index("ix_rank_ledger_model", "workspace", "model", "number"),
    Index("ix_rank_ledger_kind", "kind", "number"),
    Index("ix_rank_ledger_reference", "reference"),
)
"""The entries. Nothing in them changes but `body` and `salt`, which an erasure takes away."""

placements_table = Table(
    "rank_placements",
    METADATA,
    Column("workspace", _WORKSPACE, primary_key=True),
    Column("model", _MODEL, primary_key=True),
    Column("target", _TARGET, primary_key=True),
    Column("version", _VERSION, nullable=False),
    Column("files", _DIGEST),
    Column("decision", String(128)),
    Column("number", _NUMBER, nullable=False),
)
"""What the ledger says is placed now: the sum of the moves of all entries."""

evidence_table = Table(
    "rank_evidence",
    METADATA,
    Column("workspace", _WORKSPACE, primary_key=True),
    Column("model", _MODEL, primary_key=True),
    Column("version", _VERSION, primary_key=True),
    Column("digest", _DIGEST, primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("received_at", String(27), nullable=False),
    Column("number", _NUMBER, nullable=False),
    Column("envelope", _LONG_BYTES, nullable=False),
)
"""The envelopes of accepted evidence, compressed; `number` is the entry that says so."""

matters_table = Table(
    "rank_matters",
    METADATA,
    Column("workspace", _WORKSPACE, primary_key=True),
    Column("model", _MODEL, primary_key=True),
    Column("version", _VERSION, primary_key=True),
    Column("target", _TARGET, primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("number", _NUMBER, nullable=False),
)
"""What is open: requests, flags and break-glasses that no later entry has closed; `number` is of the entry."""

settings_table = Table(
    "rank_settings",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("value", String(255), nullable=False),
)
"""What was chosen for this database, such as that it shall have triggers."""

outbox_table = Table(
    "rank_outbox",
    METADATA,
    Column("id", String(36), primary_key=True),
    Column("number", _NUMBER, nullable=False),
    Column("hook", String(64), nullable=False),
    Column("event", String(32), nullable=False),
    Column("payload", _LONG_TEXT, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("made_at", String(27), nullable=False),
    Column("next_at", String(27), nullable=False),
    Column("error", String(500)),
    Index("ix_rank_outbox_state", "state", "next_at"),
)
"""Messages to the outside: `pending` until they are `delivered`, `dead` when nobody took them for too long."""
