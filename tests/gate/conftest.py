"""What tests of the gate share: databases with MLflow's tables in them, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from acting import People
from filed import Desk
from gated import Hall
from promotions import approved_versions, asking_for_a_pilot, files_of, rules
from servers import Database, Postgresql, Server, Site, Sqlite, serving

from mlflow_rank.audit.stored import verify_database


@pytest.fixture(scope="session")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Sqlite:
    """Makes SQLite databases."""
    return Sqlite(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session")
def postgresql(postgresql_uri: str) -> Iterator[Postgresql]:
    """Makes PostgreSQL databases, on the server of the tests; they are dropped in the end."""
    server = Postgresql(postgresql_uri)
    yield server
    server.drop()


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest) -> Sqlite | Postgresql:
    """Makes databases: of the one kind, then of the other."""
    made: Sqlite | Postgresql = request.getfixturevalue(request.param)
    return made


@dataclass(frozen=True)
class Registry:
    """A gated server of two workers, and eight versions of one model that may each become champion."""

    databases: Sqlite | Postgresql
    database: Database
    server: Server
    desk: Desk
    files: Mapping[str, str]
    versions: list[str]

    def more_versions(self, count: int) -> list[str]:
        """So many more that may become champion."""
        return approved_versions(self.server, self.desk, self.files, count)


@pytest.fixture(scope="session")
def registry(databases: Sqlite | Postgresql, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """The server that tests of races and faults share; each leaves it as a server that serves."""
    desk, database = Desk.laid(tmp_path_factory.mktemp("desk")), databases.new()
    site = Site(tmp_path_factory.mktemp("server"), database, workers=2, environment=rules(desk, asking_for_a_pilot()))
    with serving(site) as [server]:
        files = files_of(server, desk)
        yield Registry(databases, database, server, desk, files, approved_versions(server, desk, files, 8))


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[People]:
    """People at a gate in this process, whose ledger holds in the end, whatever they did."""
    hall = Hall.built(tmp_path, monkeypatch)
    yield People(hall)
    verified = verify_database(hall.store.engine)
    hall.store._dispose_engine()
    assert verified.holds, verified.problems
