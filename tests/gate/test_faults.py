"""What breaks under a server breaks nothing in the ledger: no alias without its record, no record without its alias."""

from __future__ import annotations

import contextlib
import http.client
import os
import resource
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from gated import Hall
from mlflow.exceptions import MlflowException
from promotions import ALIAS, MODEL, Kept, promote, size_of
from servers import Answer, Database, Postgresql, Sqlite

from mlflow_rank.workflow.gating import build_store

pytestmark = pytest.mark.xdist_group("gate servers")
UNAVAILABLE = "TEMPORARILY_UNAVAILABLE"
INTERNALS = ("SELECT", "INSERT", "UPDATE ", "sqlalchemy", "sqlite3", "psycopg", "Traceback")


def promotions(registry: Any, count: int, *, meanwhile: Callable[[int], None] = lambda done: None) -> list[Answer]:
    """Promote so many times from sixteen clients; `meanwhile` is told how many were answered. None: no answer came."""
    answered, lock = 0, threading.Lock()

    def ask(number: int) -> Answer | None:
        nonlocal answered
        version = registry.versions[number % len(registry.versions)]
        answer = None
        with contextlib.suppress(OSError, http.client.HTTPException):  # a worker that is dead answers nothing
            answer = promote(registry.server, version)
        with lock:
            answered += 1
            meanwhile(answered)
        return answer

    with ThreadPoolExecutor(16) as clients:
        return [answer for answer in clients.map(ask, range(count)) if answer is not None]


def serves_again(registry: Any) -> None:
    """Fail unless the server promotes within a minute."""
    until = time.monotonic() + 60
    said = ""
    while time.monotonic() < until:
        with contextlib.suppress(OSError, http.client.HTTPException):
            answer = promote(registry.server, registry.versions[0])
            if answer.status == 200:
                return
            said = answer.text
        time.sleep(0.2)
    pytest.fail(f"it does not serve again: {said}")


def nothing_inside_is_told(answers: list[Answer]) -> None:
    """Fail if an answer is neither a success nor an excuse in plain words."""
    for answer in answers:
        if answer.status != 200:
            assert (answer.status, answer.code) == (503, UNAVAILABLE), answer.text
            assert not any(word in answer.text for word in INTERNALS), answer.text


def changes(registry: Any) -> int:
    """How many changes the ledger records, once it has been looked through."""
    return len(Kept.of(registry.database).explained().changes)


def test_workers_killed_amid_two_hundred_promotions_leave_a_whole_record(registry: Any) -> None:
    before = changes(registry)
    killed: list[int] = []

    def kill(answered: int) -> None:
        if answered in (40, 120):
            pid = next(pid for pid in registry.server.worker_processes() if pid not in killed)
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    answers = promotions(registry, 200, meanwhile=kill)
    succeeded = sum(answer.status == 200 for answer in answers)
    serves_again(registry)
    recorded = changes(registry) - before - 1
    # whoever was told of success is in the ledger; who died before the answer may be in it
    assert 0 < succeeded <= recorded <= 200
    assert len(killed) == 2
    assert set(registry.server.worker_processes()).isdisjoint(killed)


@pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
def test_connections_cut_amid_promotions_leave_a_whole_record(registry: Any) -> None:
    postgresql: Postgresql = registry.databases
    before = changes(registry)

    def cut(answered: int) -> None:
        if answered % 20 == 0:
            cut_connections(postgresql, registry)

    answers = promotions(registry, 100, meanwhile=cut)
    nothing_inside_is_told(answers)
    assert {answer.status for answer in answers} == {200, 503}
    serves_again(registry)
    assert sum(answer.status == 200 for answer in answers) <= changes(registry) - before - 1


@pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
def test_a_database_that_turned_read_only_takes_no_promotion_and_serves_again(registry: Any) -> None:
    postgresql: Postgresql = registry.databases
    before = changes(registry)
    name = registry.database.uri.rpartition("/")[2]
    postgresql.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    try:
        cut_connections(postgresql, registry)
        answers = promotions(registry, 8)
        assert {answer.status for answer in answers} == {503}
        nothing_inside_is_told(answers)
    finally:
        postgresql.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
        cut_connections(postgresql, registry)
    assert changes(registry) == before
    serves_again(registry)
    assert changes(registry) == before + 1


@pytest.mark.parametrize("share", [1.0, 0.5], ids=["no room for more", "no room for what is there"])
@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
def test_a_full_disk_takes_no_promotion_and_serves_again(registry: Any, share: float) -> None:
    before = changes(registry)
    with files_at_most(registry, int(share * size_of(registry.database))):
        answers = promotions(registry, 40)  # a page of the file may have room for the first ones
    nothing_inside_is_told(answers)
    succeeded = sum(answer.status == 200 for answer in answers)
    assert succeeded < 40
    assert changes(registry) == before + succeeded
    serves_again(registry)
    assert changes(registry) == before + succeeded + 1


@contextlib.contextmanager
def files_at_most(registry: Any, size: int) -> Iterator[None]:
    """Let the workers write no file beyond so many bytes: to them the disk is full. Other programs notice nothing."""
    workers = registry.server.worker_processes()
    assert workers
    hard = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE)[1] for pid in workers}
    try:
        for pid in workers:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard[pid]))
        yield
    finally:
        for pid in workers:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard[pid], hard[pid]))


def cut_connections(postgresql: Postgresql, registry: Any) -> None:
    """End every connection to the registry's database, from PostgreSQL's side."""
    name = registry.database.uri.rpartition("/")[2]
    postgresql.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")


# in this process


@pytest.fixture
def database(tmp_path: Path, sqlite: Sqlite) -> Database:
    """Where a hall keeps its tables; MLflow's are there already, which saves making them."""
    return Database(f"sqlite:///{shutil.copy(sqlite.new().file, tmp_path / 'mlflow.db')}")


def test_a_clock_that_was_set_back_is_recorded_as_it_is_and_breaks_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    hall = Hall.built(database.file.parent, monkeypatch)
    first, second = hall.proved(), hall.proved()
    hall.store.set_registered_model_alias(MODEL, ALIAS, first)
    with set_back(hall, timedelta(minutes=10)):
        hall.store.set_registered_model_alias(MODEL, ALIAS, second)
    with set_back(hall, timedelta(days=365)), pytest.raises(MlflowException) as refused:  # evidence is not made yet
        hall.store.set_registered_model_alias(MODEL, ALIAS, first)
    assert refused.value.error_code == "PERMISSION_DENIED"
    assert hall.champion() == second
    times = [entry.moment for entry in hall.entries()]
    assert times != sorted(times)
    Kept.of(database).explained()
    hall.store.set_registered_model_alias(MODEL, ALIAS, first)
    assert hall.champion() == first


def test_a_read_only_file_takes_no_promotion_and_answers_questions(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    hall = Hall.built(database.file.parent, monkeypatch)
    version, other = hall.proved(), hall.proved()
    hall.store.set_registered_model_alias(MODEL, ALIAS, version)
    reading = build_store(f"rank+sqlite:///file:{database.file}?mode=ro&uri=true")
    before = hall.entries()
    for call in (
        lambda: reading.set_registered_model_alias(MODEL, ALIAS, other),
        lambda: reading.delete_registered_model_alias(MODEL, ALIAS),
        lambda: reading.transition_model_version_stage(MODEL, other, "Production", False),
        lambda: reading.delete_model_version(MODEL, version),
    ):
        with pytest.raises(MlflowException) as refused:
            call()
        assert refused.value.error_code == UNAVAILABLE
        assert not any(word in refused.value.message for word in INTERNALS), refused.value.message
    assert str(reading.get_model_version_by_alias(MODEL, ALIAS).version) == version
    assert hall.entries() == before
    hall.store.set_registered_model_alias(MODEL, ALIAS, other)
    Kept.of(database).explained()


@contextlib.contextmanager
def set_back(hall: Hall, by: timedelta) -> Iterator[None]:
    """Let the gate's clock go wrong."""
    gate = hall.store.gate
    hall.store.gate = replace(gate, clock=lambda: datetime.now(UTC) - by)
    yield
    hall.store.gate = gate
