from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from ledgers import new_ledger, tell
from sqlalchemy import Engine, create_engine, text

from mlflow_rank.audit.entry import Entry


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the database is."""
    return tmp_path / "mlflow.db"


@pytest.fixture
def engine(place: Path) -> Iterator[Engine]:
    """The database of an empty ledger."""
    engine = new_ledger(place)
    yield engine
    engine.dispose()


@pytest.fixture
def told(engine: Engine) -> list[Entry]:
    """The entries of a ledger with a little of everything; see `ledgers.tell`."""
    return tell(engine)


@pytest.fixture
def postgres(postgresql_uri: str) -> Iterator[str]:
    """The URI of an empty schema in PostgreSQL."""
    uri = postgresql_uri
    schema = f"audit_{uuid.uuid4().hex}"
    outside = create_engine(uri)
    with outside.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    yield f"{uri}{'&' if '?' in uri else '?'}options=-csearch_path%3D{schema}"
    with outside.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    outside.dispose()
