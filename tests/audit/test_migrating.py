from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from ledgers import appended, new_ledger, refusal
from sqlalchemy import Engine, NullPool, create_engine, inspect, text

from mlflow_rank.audit import ledger
from mlflow_rank.audit.migrating import VERSION_TABLE, is_prepared, prepare
from mlflow_rank.audit.tables import METADATA
from mlflow_rank.errors import LedgerError


def differences(engine: Engine) -> list[object]:
    with engine.connect() as connection:
        opts = {"version_table": VERSION_TABLE, "compare_type": True}
        return list(compare_metadata(MigrationContext.configure(connection, opts=opts), METADATA))


def test_the_revisions_make_the_tables_that_the_code_knows(engine: Engine) -> None:
    assert differences(engine) == []


def test_the_revisions_make_the_tables_that_the_code_knows_in_postgresql(postgres: str) -> None:
    engine = new_ledger(postgres)
    found = differences(engine)
    engine.dispose()
    assert found == []


def test_an_empty_ledger_has_a_name_of_its_own_and_no_entries(engine: Engine, tmp_path: Path) -> None:
    other = new_ledger(tmp_path / "other.db")

    with engine.connect() as first, other.connect() as second:
        heads = ledger.head_of(first), ledger.head_of(second)

    assert heads[0] == ledger.empty_head(heads[0].ledger_id)
    assert heads[0].ledger_id != heads[1].ledger_id


def test_preparing_again_changes_nothing(engine: Engine) -> None:
    appended(engine, refusal())
    with engine.connect() as connection:
        before = ledger.head_of(connection)

    prepare(engine)

    with engine.connect() as connection:
        assert ledger.head_of(connection) == before
        assert is_prepared(connection)


def prepare_at_once(uri: str) -> int:
    """Return how many entries the ledger has that eight threads made; each failure is raised."""
    barrier = threading.Barrier(8)

    def go(_: int) -> None:
        engine = create_engine(uri, poolclass=NullPool)
        barrier.wait()
        prepare(engine)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(go, range(8)))
    with create_engine(uri, poolclass=NullPool).connect() as connection:
        return ledger.head_of(connection).size


def test_threads_that_prepare_at_once_make_one_ledger(place: Path) -> None:
    assert prepare_at_once(f"sqlite:///{place}") == 0


def test_threads_that_prepare_at_once_make_one_ledger_in_postgresql(postgres: str) -> None:
    assert prepare_at_once(postgres) == 0


def test_tables_of_others_are_left_alone(place: Path) -> None:
    database = sqlite3.connect(place)
    database.executescript(
        "CREATE TABLE alembic_version (version_num TEXT); INSERT INTO alembic_version VALUES ('abc')"
    )
    database.close()

    engine = new_ledger(place)

    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all() == ["abc"]
    ours = set(inspect(engine).get_table_names()) - {"alembic_version"}
    assert all(name.startswith("rank_") for name in ours)


def test_a_ledger_of_a_newer_version_is_refused_with_what_to_do(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))

    with pytest.raises(LedgerError, match="a newer version") as raised:
        prepare(engine)
    assert raised.value.remedy is not None
    assert "upgrade" in raised.value.remedy


def test_waiting_for_others_is_put_back_to_what_the_engine_had(place: Path) -> None:
    engine = create_engine(f"sqlite:///{place}", connect_args={"timeout": 7})

    prepare(engine)

    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == 7000
    engine.dispose()


def test_tables_that_cannot_be_made_leave_nothing_behind(place: Path) -> None:
    database = sqlite3.connect(place)
    database.execute("CREATE TABLE rank_evidence (other TEXT)")
    database.close()
    engine = create_engine(f"sqlite:///{place}", poolclass=NullPool)

    with pytest.raises(Exception, match="already exists"):
        prepare(engine)

    assert inspect(engine).get_table_names() == ["rank_evidence"]
