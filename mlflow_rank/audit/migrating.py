"""The ledger's tables are made, or brought up to date, by whichever process comes first; the others wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.script.revision import ResolutionError
from sqlalchemy import Connection, Engine, text

from mlflow_rank.audit import triggers
from mlflow_rank.errors import LedgerError

VERSION_TABLE = "rank_alembic_version"  # beside MLflow's own alembic_version, which is never touched
_LOCK = 0x6D6C5F72616E6B  # "ml_rank": whoever else takes advisory locks in this database takes others
_SECONDS = 60  # to wait for another process that makes the tables


def prepare(engine: Engine) -> None:
    """Make the ledger's tables in this database, or bring them up to date; does nothing where they are.

    Triggers that were installed, and are gone since, are put up again: `mlflow db upgrade` makes tables anew, without
    them. Several processes and threads may call it at the same moment. MLflow's tables need not be there.

    Raises:
        LedgerError: a newer version of this package has been here.
    """
    with engine.connect() as connection:
        if not _missing(connection) and not triggers.is_breached(connection):
            return
    with engine.connect() as connection, _alone(connection):
        context = _context(connection)
        if _missing(connection):  # still, now that nobody else can make them
            triggers.lift(connection)
            context.run_migrations(op=Operations(context))
        triggers.restore(connection, at=datetime.now(UTC))


def is_prepared(connection: Connection) -> bool:
    """Say whether the ledger's tables are there and as this version knows them.

    Raises:
        LedgerError: a newer version of this package has been here.
    """
    return not _missing(connection)


def _missing(connection: Connection) -> list[Any]:
    """Return the revisions that this database lacks."""
    return _steps(_context(connection).get_current_heads())


def _context(connection: Connection) -> MigrationContext:
    opts = {"version_table": VERSION_TABLE, "transactional_ddl": True, "fn": lambda heads, _: _steps(heads)}
    return MigrationContext.configure(connection, opts=opts)


def _steps(heads: tuple[str, ...]) -> list[Any]:
    script = ScriptDirectory(Path(__file__).parent / "migrations")
    try:
        script.revision_map.get_revisions(heads)
    except ResolutionError as error:
        raise LedgerError(
            "the ledger in this database was made by a newer version",
            got=f"revision {', '.join(heads)}",
            expected=f"at most {script.get_current_head()}",
            remedy="upgrade mlflow-rank: pip install --upgrade mlflow-rank",
        ) from error
    current: Any = heads
    return script._upgrade_revs("head", current)  # as alembic.command.upgrade calls it


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Commit what happens inside as one transaction, while no other process is inside as well."""
    dialect, patience = connection.dialect.name, 0
    if dialect == "sqlite":
        patience = connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {_SECONDS * 1000}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif dialect == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    elif dialect in ("mysql", "mariadb"):
        connection.execute(text("SELECT GET_LOCK('mlflow_rank', :seconds)"), {"seconds": _SECONDS})
    elif dialect == "mssql":
        connection.execute(
            text("EXEC sp_getapplock @Resource = 'mlflow_rank', @LockMode = 'Exclusive', @LockTimeout = :wait"),
            {"wait": _SECONDS * 1000},
        )
    try:
        yield
        connection.commit()
    finally:
        if dialect == "sqlite":
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {patience}")
        if dialect in ("mysql", "mariadb"):
            connection.execute(text("SELECT RELEASE_LOCK('mlflow_rank')"))
