"""The second wall on SQLite and PostgreSQL: what goes past the gate fails, what goes through it does not."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from gated import MODEL, Hall
from ledgers import appended, refusal
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy import Connection, Engine, NullPool, create_engine, create_mock_engine, make_url
from sqlalchemy.exc import IntegrityError
from walled import MODELS, NOW, registry, walled

from mlflow_rank.audit import ledger, triggers
from mlflow_rank.audit.erasing import erase
from mlflow_rank.audit.migrating import VERSION_TABLE, prepare
from mlflow_rank.audit.stored import verify_database
from mlflow_rank.errors import LedgerError, UsageError
from mlflow_rank.workflow.auditing import find_deviations

OPEN = "UPDATE rank_ledger_head SET gate_open = 1"
SHUT = "UPDATE rank_ledger_head SET gate_open = 0"
PROMOTE = "UPDATE registered_model_aliases SET version = 2 WHERE alias = 'champion'"
PAST_THE_GATE = (
    PROMOTE,
    "UPDATE registered_model_aliases SET alias = 'Champion'",
    "INSERT INTO registered_model_aliases (workspace, name, alias, version) VALUES ('default', 'hubert', 'beta', 2)",
    "DELETE FROM registered_model_aliases",
    "UPDATE model_versions SET current_stage = 'Production' WHERE version = 1",
    "UPDATE model_versions SET current_stage = 'None'",
    "UPDATE model_versions SET current_stage = NULL WHERE version = 2",
    "UPDATE model_versions SET source = '/tmp/other' WHERE version = 1",
    "UPDATE model_versions SET storage_location = '/tmp/other' WHERE version = 1",
    "UPDATE model_versions SET version = 7 WHERE version = 1",
    "UPDATE model_versions SET name = 'wavlm' WHERE version = 1",
    (
        "INSERT INTO model_versions (workspace, name, version, current_stage) "
        "VALUES ('default', 'hubert', 3, 'Production')"
    ),
    "DELETE FROM model_versions WHERE version = 1",
    "UPDATE registered_models SET name = 'data2vec' WHERE name = 'hubert'",
    "DELETE FROM registered_models WHERE name = 'wavlm'",
    "UPDATE rank_ledger SET version = '2' WHERE number = 0",
    "UPDATE rank_ledger SET body = NULL, salt = NULL WHERE number = 0",
    "UPDATE rank_ledger SET body = '{}' WHERE number = 0",
    "DELETE FROM rank_ledger WHERE number = 3",
    "INSERT INTO rank_ledger (number, at, kind, body_digest, previous, hash) VALUES (9, 'x', 'x', 'x', 'x', 'x')",
    "UPDATE rank_ledger_head SET size = size - 1",
    "UPDATE rank_ledger_head SET size = size + 1",
    "UPDATE rank_ledger_head SET head = 'x'",
    "UPDATE rank_ledger_head SET ledger_id = 'x'",
    "DELETE FROM rank_ledger_head",
    "INSERT INTO rank_ledger_head (id, ledger_id, size, head, peaks) VALUES (2, 'x', 0, 'x', '[]')",
    "UPDATE rank_placements SET version = '2'",
    "DELETE FROM rank_placements",
    "INSERT INTO rank_matters (workspace, model, version, target, kind, number) VALUES ('a', 'b', 'c', 'd', 'e', 0)",
    "DELETE FROM rank_evidence",
    "UPDATE rank_evidence SET version = '2'",
)
NOT_EVEN_THROUGH_IT = (
    "DELETE FROM rank_ledger WHERE number = 3",
    "UPDATE rank_ledger SET version = '2' WHERE number = 0",
    "UPDATE rank_ledger SET body = '{}' WHERE number = 0",
    "INSERT INTO rank_ledger (number, at, kind, body_digest, previous, hash) VALUES (-1, 'x', 'x', 'x', 'x', 'x')",
    "UPDATE rank_ledger_head SET size = size - 1",
    "UPDATE rank_ledger_head SET ledger_id = 'x'",
    "DELETE FROM rank_ledger_head",
    "INSERT INTO rank_ledger_head (id, ledger_id, size, head, peaks) VALUES (2, 'x', 0, 'x', '[]')",
)
HARMLESS = (
    "UPDATE model_versions SET description = 'better', last_updated_time = 7",
    "UPDATE model_versions SET current_stage = current_stage, source = source",
    "UPDATE registered_models SET description = 'better'",
    "INSERT INTO registered_models (workspace, name) VALUES ('default', 'data2vec')",
    "INSERT INTO model_versions (workspace, name, version, current_stage) VALUES ('default', 'wavlm', 1, 'None')",
    "INSERT INTO model_version_tags (workspace, name, version, key) VALUES ('default', 'hubert', 1, 'k')",
)
REPLACING = (
    (
        "INSERT OR REPLACE INTO registered_model_aliases (workspace, name, alias, version) "
        "VALUES ('default', 'hubert', 'champion', 2)"
    ),
    (
        "INSERT OR REPLACE INTO model_versions (workspace, name, version, current_stage) "
        "VALUES ('default', 'hubert', 2, 'None')"
    ),
    (
        "INSERT OR REPLACE INTO rank_ledger (number, at, kind, body_digest, previous, hash) "
        "VALUES (0, 'x', 'x', 'x', 'x', 'x')"
    ),
    "INSERT OR REPLACE INTO rank_ledger_head (id, ledger_id, size, head, peaks) VALUES (1, 'x', 0, 'x', '[]')",
    (
        "INSERT OR REPLACE INTO rank_placements SELECT workspace, model, target, '2', files, decision, number "
        "FROM rank_placements"
    ),
    "UPDATE OR IGNORE registered_model_aliases SET version = 2",
    "UPDATE OR REPLACE model_versions SET version = 2 WHERE version = 1",
    (
        "INSERT INTO registered_model_aliases VALUES ('default', 'hubert', 'champion', 2) "
        "ON CONFLICT DO UPDATE SET version = 2"
    ),
)


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = walled(tmp_path_factory.mktemp("walled") / "mlflow.db")
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def postgresql(postgresql_uri: str) -> Iterator[Engine]:
    schema = f"Wall {os.getpid()}"  # whose name must be quoted
    outside = create_engine(postgresql_uri, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with outside.connect() as connection:
        connection.exec_driver_sql(f'CREATE SCHEMA "{schema}"')
    path = f'-csearch_path="{schema}"'.replace(" ", "\\ ")
    engine = walled(make_url(postgresql_uri).update_query_dict({"options": path}).render_as_string(False))
    yield engine
    engine.dispose()
    with outside.connect() as connection:
        connection.exec_driver_sql(f'DROP SCHEMA "{schema}" CASCADE')


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """A registry behind its wall, on the one and the other; tests take back what they do."""
    made: Engine = request.getfixturevalue(request.param)
    return made


@pytest.fixture(scope="module")
def connection(engine: Engine) -> Iterator[Connection]:
    """One connection for all tests that take back what they do, which is quicker than one for each."""
    with engine.connect() as connection:
        yield connection


def attempt(connection: Connection, *statements: str) -> int:
    """Carry out statements in one transaction, and take them back; return how many rows the last one met."""
    try:
        return [connection.exec_driver_sql(statement).rowcount for statement in statements][-1]
    finally:
        connection.rollback()


def states(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        return {each.state for each in triggers.check(connection).triggers}


# what goes past the gate


@pytest.mark.parametrize("statement", PAST_THE_GATE)
def test_what_goes_past_the_gate_is_refused(connection: Connection, statement: str) -> None:
    with pytest.raises(IntegrityError, match="mlflow_rank: "):
        attempt(connection, statement)


@pytest.mark.parametrize("statement", NOT_EVEN_THROUGH_IT)
def test_the_ledger_only_grows_even_while_the_gate_is_open(connection: Connection, statement: str) -> None:
    with pytest.raises(IntegrityError, match="mlflow_rank: "):
        attempt(connection, OPEN, statement)


def test_what_changes_nothing_for_consumers_needs_no_gate(connection: Connection) -> None:
    for statement in HARMLESS:
        assert attempt(connection, statement) > 0, statement


def test_what_was_refused_passes_in_a_transaction_that_opened_the_gate(connection: Connection) -> None:
    for statement in PAST_THE_GATE:
        if statement not in NOT_EVEN_THROUGH_IT:
            assert attempt(connection, OPEN, statement) > 0, statement


@pytest.mark.parametrize("statement", REPLACING)
def test_sqlite_replaces_nothing_past_the_gate(sqlite: Engine, statement: str) -> None:
    with sqlite.connect() as connection, pytest.raises(IntegrityError, match="mlflow_rank: "):
        attempt(connection, statement)


def test_postgresql_empties_no_table(postgresql: Engine) -> None:
    for table in ("registered_model_aliases", "model_version_tags, model_versions", "rank_ledger", "rank_ledger_head"):
        with (
            postgresql.connect() as connection,
            pytest.raises(IntegrityError, match=r"mlflow_rank: .* is never emptied"),
        ):
            attempt(connection, f"TRUNCATE {table}")


def test_postgresql_is_not_fooled_by_a_head_of_ones_own(postgresql: Engine) -> None:
    own = "CREATE TEMP TABLE rank_ledger_head ON COMMIT DROP AS SELECT 1 AS id, 1 AS gate_open, 0 AS size"

    with postgresql.connect() as connection, pytest.raises(IntegrityError, match="only through the gate"):
        attempt(connection, own, PROMOTE)


def test_postgresql_commits_nothing_that_leaves_the_gate_open(postgresql: Engine) -> None:
    with postgresql.connect() as connection:
        connection.exec_driver_sql(OPEN)
        with pytest.raises(IntegrityError, match="opens the gate shuts it again"):
            connection.commit()
        connection.rollback()
        assert attempt(connection, OPEN, PROMOTE, SHUT, "SET CONSTRAINTS ALL IMMEDIATE") == -1


def test_triggers_see_the_rows_that_a_cascade_changes(engine: Engine) -> None:
    cascades = ["PRAGMA foreign_keys = ON"] if engine.dialect.name == "sqlite" else []
    gap = f"DROP TRIGGER rank_wall_{'registered_models_update' if cascades else 'model ON registered_models'}"
    renamed = "UPDATE registered_models SET name = 'data2vec' WHERE name = 'hubert'"

    with engine.connect() as connection:
        for statement in (*cascades, "BEGIN" if cascades else OPEN, *([OPEN] if cascades else []), gap, SHUT):
            connection.exec_driver_sql(statement)
        with pytest.raises(IntegrityError, match=r"mlflow_rank: (aliases|stages|registered_model_aliases)"):
            connection.exec_driver_sql(renamed)
        connection.rollback()
        assert attempt(connection, *cascades, OPEN, renamed) == 1


def test_a_script_with_sqlite3_is_refused_in_our_words(tmp_path: Path) -> None:
    place = tmp_path / "mlflow.db"
    walled(place).dispose()

    with closing(sqlite3.connect(place)) as database:
        with pytest.raises(sqlite3.IntegrityError, match=r"^mlflow_rank: aliases change only through the gate$"):
            database.execute(PROMOTE)
        assert database.execute("SELECT version FROM registered_model_aliases").fetchall() == [(1,)]


def test_psql_is_refused_in_our_words(postgresql: Engine) -> None:
    psql = shutil.which("psql")
    if psql is None:
        pytest.skip("there is no psql here")
    url = postgresql.url.set(drivername="postgresql")
    schema = postgresql.url.query["options"]

    ended = subprocess.run(
        [psql, url.difference_update_query(["options"]).render_as_string(False), "-c", PROMOTE],
        env=os.environ | {"PGOPTIONS": str(schema)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert "ERROR:  mlflow_rank: registered_model_aliases changes only through the gate" in ended.stderr
    with postgresql.connect() as connection:
        assert connection.exec_driver_sql("SELECT version FROM registered_model_aliases").scalars().all() == [1]


# what goes through it


def test_entries_evidence_and_erasures_go_through(engine: Engine) -> None:
    with engine.connect() as connection:
        head = ledger.lock(connection)
        _, (entry,) = ledger.append(connection, head, [refusal()], at=NOW)
        ledger.keep_evidence(
            connection, "default", "hubert", "1",
            digest="sha256:" + "a" * 64, kind="pilot", envelope=b"{}", received_at=NOW, number=entry.number,
        )  # fmt: skip
        erase(connection, [entry.number], "asked for", "ann", at=NOW)
        assert triggers.check(connection).stands
        connection.rollback()


def test_a_version_is_promoted_through_the_gate_and_not_by_a_client_that_goes_round_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hall = Hall.built(tmp_path, monkeypatch)
    with hall.store.engine.begin() as connection:
        triggers.install(connection, "ann", at=NOW)
    first, second = hall.proved(), hall.version()
    hall.store.set_registered_model_alias(MODEL, "champion", first)
    plain = f"sqlite:///{tmp_path / 'mlflow.db'}"

    with pytest.raises(MlflowException, match="mlflow_rank: aliases change only through the gate"):
        MlflowClient(plain, plain).set_registered_model_alias(MODEL, "champion", second)
    with pytest.raises(MlflowException, match="Refused"):
        hall.store.set_registered_model_alias(MODEL, "champion", second)

    assert hall.champion() == first
    with hall.store.engine.connect() as connection:
        assert triggers.check(connection).stands
    assert find_deviations(hall.store.engine, lambda *_: True, record=False, now=NOW) == ([], 0)
    assert verify_database(hall.store.engine, {}, trust=None).holds


def test_who_opens_the_gate_by_hand_gets_through_and_is_found(tmp_path: Path) -> None:
    place = tmp_path / "mlflow.db"
    engine = walled(place)
    with closing(sqlite3.connect(place)) as database, database:
        database.executescript(f"{OPEN}; {PROMOTE}; UPDATE rank_ledger SET body = NULL, salt = NULL WHERE number = 0;")

    with engine.connect() as connection:
        assert triggers.check(connection).gate_open
        assert not triggers.check(connection).stands
    found, _ = find_deviations(engine, lambda _workspace, _model, target: "alias" in target, record=False, now=NOW)
    assert [(each.target, each.ledger, each.registry) for each in found] == [("alias:champion", "1", "2")]
    assert any("entry 0" in problem for problem in verify_database(engine, {}, trust=None).problems)
    appended(engine, refusal())
    with engine.connect() as connection:
        assert triggers.check(connection).stands, "the next entry shuts the gate"
    engine.dispose()


# putting it up and taking it down


def test_the_wall_is_put_up_once_taken_down_once_and_both_are_recorded(place: Path) -> None:
    engine = registry(place)
    assert states(engine) == {"missing"}

    for change in (triggers.install, triggers.install, triggers.remove, triggers.remove):
        with engine.begin() as connection:
            change(connection, "ann", at=NOW)
        if change is triggers.install:
            assert states(engine) == {"there"}

    assert states(engine) == {"missing"}
    prepare(engine)
    assert states(engine) == {"missing"}, "what was taken down stays down"
    with engine.connect() as connection:
        said = [each.content for each in ledger.entries(connection) if each.kind == "finding"]
    assert said == [
        {"actor": "ann", "sentence": f"the triggers of the second wall were {done}"}
        for done in ("installed", "removed")
    ]
    engine.dispose()


def test_a_trigger_that_was_dropped_or_changed_is_seen_and_put_up_again(engine: Engine) -> None:
    sqlite = engine.dialect.name == "sqlite"
    with engine.connect() as connection:
        ledger.lock(connection)
        if sqlite:
            connection.exec_driver_sql("DROP TRIGGER rank_wall_model_versions_delete")
            connection.exec_driver_sql("DROP TRIGGER rank_wall_registered_model_aliases_update")
            connection.exec_driver_sql(
                "CREATE TRIGGER rank_wall_registered_model_aliases_update BEFORE UPDATE ON registered_model_aliases "
                "WHEN 0 BEGIN SELECT RAISE(ABORT, 'mlflow_rank: aliases change only through the gate'); END"
            )
        else:
            connection.exec_driver_sql("DROP TRIGGER rank_wall_version ON model_versions")
            connection.exec_driver_sql("ALTER TABLE registered_model_aliases DISABLE TRIGGER rank_wall_gate")
        found = [each.state for each in triggers.check(connection).triggers]
        assert (found.count("missing"), found.count("other")) == (1, 1)
        assert triggers.is_breached(connection)

        triggers.restore(connection, at=NOW)

        assert triggers.check(connection).stands
        (*_, last) = ledger.entries(connection)
        assert str(last.content["sentence"]).startswith("2 triggers of the second wall were missing or changed")
        connection.rollback()


def test_a_function_that_was_emptied_is_seen(postgresql: Engine) -> None:
    with postgresql.connect() as connection:
        connection.exec_driver_sql(
            "CREATE OR REPLACE FUNCTION rank_wall_gate() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
        )
        found = {each.table for each in triggers.check(connection).triggers if each.state == "other"}
        connection.rollback()

    assert found == {"registered_model_aliases", "rank_placements", "rank_matters", "rank_evidence"}


def test_tables_that_alembic_makes_anew_get_their_triggers_back(place: Path) -> None:
    engine = walled(place)
    for table in MODELS:
        with engine.begin() as connection:
            context = Operations(MigrationContext.configure(connection))
            with context.batch_alter_table(table, recreate="always"):
                pass  # as a migration of MLflow's on SQLite: a new table, filled from the old one, under its name
    assert states(engine) == {"there", "missing"}
    with engine.connect() as connection:
        assert attempt(connection, PROMOTE) == 1

    prepare(engine)

    assert states(engine) == {"there"}
    with engine.connect() as connection, pytest.raises(IntegrityError, match="mlflow_rank: aliases"):
        attempt(connection, PROMOTE)
    engine.dispose()


def test_our_own_migrations_are_not_stopped_by_the_wall(place: Path) -> None:
    engine = walled(place)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE rank_outbox")
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '0003'")

    prepare(engine)

    assert states(engine) == {"there"}
    engine.dispose()


def test_a_ledger_without_a_registry_beside_it_gets_no_wall(engine: Engine) -> None:
    with engine.connect() as connection:
        ledger.lock(connection)  # begins a transaction, also where Python's sqlite3 begins none for a DROP
        triggers.lift(connection)
        connection.exec_driver_sql("DROP TABLE registered_model_aliases")
        with pytest.raises(LedgerError, match="does not know this registry") as raised:
            triggers.restore(connection, at=NOW)
        connection.rollback()

    assert raised.value.got == "no table registered_model_aliases"


def test_other_databases_have_no_wall_and_are_told_so() -> None:
    mysql = create_mock_engine("mysql+pymysql://", lambda *_: None)

    with pytest.raises(UsageError, match="no triggers for databases of this kind") as raised:
        triggers.check(mysql)  # type: ignore[arg-type]
    assert raised.value.got == "mysql"
    assert not triggers.is_breached(mysql)  # type: ignore[arg-type]
