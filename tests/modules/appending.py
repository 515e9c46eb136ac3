"""What one of several processes does that append to one ledger; it imports little, since each starts anew."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import create_engine, event

from mlflow_rank.audit import ledger
from mlflow_rank.audit.entry import Record


def append_often(uri: str, count: int) -> None:
    """Append one entry after the other, each in a transaction of its own."""
    waits = {"timeout": 120} if uri.startswith("sqlite") else {}
    engine = create_engine(uri, connect_args=waits)
    if waits:  # what is looked at is the order of transactions, and not whether the disk keeps its word
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))
    for number in range(count):
        record = Record("refusal", "default", "hubert", str(number), None, {"sentence": f"no {number}"})
        with engine.begin() as connection:
            ledger.append(connection, ledger.lock(connection), [record], at=datetime.now(UTC))
    engine.dispose()
