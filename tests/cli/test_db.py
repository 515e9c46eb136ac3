"""`mlflow-rank db`: what it says, what it leaves, and its exit codes."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from ledgers import new_ledger
from sqlalchemy import NullPool, create_engine, make_url
from walled import registry

from mlflow_rank.cli import main

Db = Callable[..., Result]


@pytest.fixture
def db(monkeypatch: pytest.MonkeyPatch) -> Db:
    """Call `mlflow-rank db` in this process."""
    for name in ("MLFLOW_REGISTRY_URI", "MLFLOW_RANK_DATABASE"):
        monkeypatch.delenv(name, raising=False)

    def call(*words: str) -> Result:
        return CliRunner().invoke(main, ["db", *words])

    return call


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A gated registry on SQLite."""
    registry(tmp_path / "mlflow.db").dispose()
    return tmp_path / "mlflow.db"


@pytest.fixture
def postgres(postgresql_uri: str) -> Iterator[str]:
    """A gated registry in a schema of its own."""
    schema = f"db_{os.getpid()}"
    outside = create_engine(postgresql_uri, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with outside.connect() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    uri = make_url(postgresql_uri).update_query_dict({"options": f"-csearch_path={schema}"}).render_as_string(False)
    registry(uri).dispose()
    yield uri
    with outside.connect() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")


def plain_client(place: Path, statement: str) -> None:
    with closing(sqlite3.connect(place)) as database, database:
        database.execute(statement)


def test_triggers_are_installed_checked_and_removed(db: Db, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"rank+sqlite:///{place}")

    before, installed, again, after = db("check"), db("install"), db("install"), db("check")

    assert [each.exit_code for each in (before, installed, again, after)] == [1, 0, 0, 0]
    assert before.stderr == "0 of 23 triggers are there; mlflow-rank db install puts them up\n"
    assert installed.stderr == "23 triggers installed, 0 were there\n"
    assert again.stderr == "0 triggers installed, 23 were there\n"
    assert after.stderr == "23 of 23 triggers are there\n"
    assert "MISSING  rank_wall_registered_model_aliases_update on registered_model_aliases" in before.stdout
    assert "there    rank_wall_registered_model_aliases_update on registered_model_aliases" in after.stdout
    with pytest.raises(sqlite3.IntegrityError, match="mlflow_rank: aliases change only through the gate"):
        plain_client(place, "UPDATE registered_model_aliases SET version = 2")

    removed, gone = db("remove"), db("check")

    assert (removed.exit_code, gone.exit_code) == (0, 1)
    assert removed.stderr == "23 triggers removed\n"
    plain_client(place, "UPDATE registered_model_aliases SET version = 2")


def test_triggers_are_installed_checked_and_removed_in_postgresql(db: Db, postgres: str) -> None:
    said = [db(verb, "--registry-uri", f"rank+{postgres}") for verb in ("check", "install", "check", "remove", "check")]

    assert [each.exit_code for each in said] == [1, 0, 0, 0, 1]
    assert said[2].stderr == "17 of 17 triggers are there\n"


def test_the_ledger_says_who_did_it(db: Db, place: Path) -> None:
    uri = f"sqlite:///{place}"
    db("install", "--registry-uri", uri, "--actor", "ann")
    db("remove", "--registry-uri", uri, "--actor", "bob")

    with closing(sqlite3.connect(place)) as database:
        bodies = [json.loads(body) for (body,) in database.execute("SELECT body FROM rank_ledger WHERE kind='finding'")]

    assert [each["actor"] for each in bodies] == ["ann", "bob"]


def test_what_is_missing_or_another_is_named(db: Db, place: Path) -> None:
    uri = f"sqlite:///{place}"
    db("install", "--registry-uri", uri)
    plain_client(place, "DROP TRIGGER rank_wall_rank_ledger_delete")
    plain_client(place, "DROP TRIGGER rank_wall_rank_ledger_update")
    plain_client(place, "CREATE TRIGGER rank_wall_rank_ledger_update AFTER UPDATE ON rank_ledger BEGIN SELECT 1; END")

    result = db("check", "--registry-uri", uri)
    document = json.loads(db("check", "--registry-uri", uri, "--json").stdout)

    assert result.exit_code == 1
    assert "MISSING  rank_wall_rank_ledger_delete on rank_ledger\n" in result.stdout
    assert "OTHER    rank_wall_rank_ledger_update on rank_ledger\n" in result.stdout
    assert "1 were changed, or are of another version; mlflow-rank db install puts them up again" in result.stderr
    assert (document["stands"], document["wanted"], document["gate_open"]) == (False, True, False)
    assert {each["state"] for each in document["triggers"]} == {"there", "missing", "other"}


def test_a_gate_that_somebody_left_open_is_said(db: Db, place: Path) -> None:
    uri = f"sqlite:///{place}"
    db("install", "--registry-uri", uri)
    plain_client(place, "UPDATE rank_ledger_head SET gate_open = 1")

    result = db("check", "--registry-uri", uri)

    assert result.exit_code == 1
    assert "the gate stands open" in result.stderr
    assert db("install", "--registry-uri", uri).exit_code == 0
    assert db("check", "--registry-uri", uri).exit_code == 0


@pytest.mark.parametrize("verb", ["install", "check", "remove"])
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "no registry is named"),
        (["--registry-uri", "http://127.0.0.1:5000"], 2, "from its database, not from a server"),
        (["--registry-uri", "sqlite:///nowhere.db"], 2, "there is no such database"),
    ],
)
def test_what_is_no_gated_registry_is_said(db: Db, verb: str, words: list[str], code: int, said: str) -> None:
    result = db(verb, *words)

    assert result.exit_code == code
    assert said in result.stderr


def test_a_ledger_without_mlflows_tables_cannot_have_triggers(db: Db, tmp_path: Path) -> None:
    new_ledger(tmp_path / "mlflow.db").dispose()

    result = db("install", "--registry-uri", f"sqlite:///{tmp_path / 'mlflow.db'}")

    assert result.exit_code == 3
    assert "the second wall does not know this registry" in result.stderr
