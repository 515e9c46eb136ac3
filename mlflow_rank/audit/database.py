"""Opening the database of a ledger: to read while a server writes to it, or to append."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from mlflow_rank.audit.migrating import is_prepared
from mlflow_rank.errors import LedgerError, MissingDependencyError, UsageError

_PREFIX = "rank+"  # of the URIs that put the gate before MLflow's registry
_SNAPSHOTS = ("postgresql", "mysql", "mariadb")  # where REPEATABLE READ sees one moment and makes nobody wait


@contextmanager
def opened(uri: str, *, writes: bool = False) -> Iterator[Engine]:
    """Open the database of a ledger, which must be there already.

    Args:
        uri: as MLflow takes it, with or without `rank+` in front.
        writes: whether anything is to be written; else the database refuses it.

    Raises:
        UsageError: it names no database.
        LedgerError: the database cannot be read or written, or there is no ledger in it.
    """
    engine = _engine(_url(uri), writes=writes)
    try:
        with engine.connect() as connection:
            prepared = is_prepared(connection)
        if not prepared:
            raise LedgerError(
                "there is no ledger in this database",
                got=shown(uri),
                expected="the database of a server that was started with the gate",
                remedy="start it with mlflow-rank server, or mlflow server --registry-store-uri rank+…",
            )
        yield engine
    except SQLAlchemyError as error:
        said = str(error.orig if isinstance(error, DBAPIError) else error).partition("\n")[0][:200]
        raise LedgerError(
            "the database of the ledger cannot be used",
            got=f"{shown(uri)}: {said}",
            remedy="see that it is up and free",
        ) from error
    finally:
        engine.dispose()


@contextmanager
def at_one_moment(engine: Engine) -> Iterator[Connection]:
    """Give a connection whose reads all see the database as it is at one moment.

    On SQLite nobody can commit meanwhile, so be quick there.
    """
    level = "REPEATABLE READ" if engine.dialect.name in _SNAPSHOTS else None
    bound = engine if level is None else engine.execution_options(isolation_level=level)
    with bound.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN")
        yield connection
        connection.rollback()


def shown(uri: str) -> str:
    """Return the URI without its password.

    >>> shown("rank+postgresql://me:secret@db/mlflow")
    'postgresql://me:***@db/mlflow'
    """
    return _url(uri).render_as_string(hide_password=True)


def _url(uri: str) -> URL:
    try:
        url = make_url(uri.removeprefix(_PREFIX))
    except ArgumentError as error:
        raise UsageError(
            "this names no database",
            got=ascii(uri.partition("@")[0].partition(":")[0])[:60],  # what may hold a password is not shown
            expected="a URI such as sqlite:///mlflow.db or postgresql+psycopg2://user@host/database",
        ) from error
    if url.drivername in ("http", "https", "databricks", "databricks-uc", "uc", "file"):
        raise UsageError(
            "a ledger is read from its database, not from a server",
            got=url.render_as_string(hide_password=True),
            expected="a URI such as sqlite:///mlflow.db or postgresql+psycopg2://user@host/database",
            remedy="name it with --database or MLFLOW_RANK_DATABASE, or read an export with --file",
        )
    return url.set(drivername="postgresql") if url.drivername == "postgres" else url


def _engine(url: URL, *, writes: bool) -> Engine:
    if url.get_backend_name() == "sqlite":
        return _sqlite(url, writes=writes)
    try:
        engine = create_engine(url)
    except NoSuchModuleError as error:
        raise UsageError(
            "no such kind of database", got=url.drivername, expected="sqlite, postgresql, mysql"
        ) from error
    except ModuleNotFoundError as error:
        package = error.name or url.drivername
        raise MissingDependencyError(package, needed_for=f"{url.drivername} databases", install=package) from error
    return engine if writes or url.get_backend_name() != "postgresql" else _read_only(engine)


def _read_only(engine: Engine) -> Engine:
    return engine.execution_options(postgresql_readonly=True)


def _sqlite(url: URL, *, writes: bool) -> Engine:
    path = Path(url.database or "")
    if not path.is_file():
        raise UsageError("there is no such database", got=str(path), expected="the file of an SQLite database")
    address = f"file:{quote(str(path.absolute()))}?mode=rw"  # rw makes no file, and can finish what a crash left
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(address, uri=True, check_same_thread=False))

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA secure_delete = ON" if writes else "PRAGMA query_only = ON")  # erased is gone

    return engine
