"""Reaching an MLflow store, and finding out within seconds when it cannot be reached."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_rank.errors import MeasurementError

if TYPE_CHECKING:
    from mlflow import MlflowClient

# MLflow's own defaults (7 retries with doubling pauses, 120 s each) take minutes to say that nobody listens.
# 1 retry and 5 s per attempt say so in about ten; a variable the user has set is left as it is.
_PROBE_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
}
_QUIET_SETTINGS = {
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
_TRACKING_URI = "MLFLOW_TRACKING_URI"
_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}  # each database's registered port (IANA)
_SOCKET_TIMEOUT_SECONDS = 5.0  # as long as one attempt above
_CHATTY_LOGGERS = ("mlflow.store.db.utils", "alembic.runtime.migration", "mlflow.pyfunc")


def connected_client(tracking_uri: str | None, *, what_is_safe: str = "nothing was written") -> MlflowClient:
    """Return a client of a store that has just answered.

    Args:
        tracking_uri: MLflow's tracking URI; None for the one MLflow itself would use (`MLFLOW_TRACKING_URI`, else
            `sqlite:///mlflow.db` in the working directory, created on first use).
        what_is_safe: what the error says about work done so far.

    Raises:
        MeasurementError: the store does not answer; names the URI.

    """
    import mlflow
    from mlflow import MlflowClient

    uri = tracking_uri or mlflow.get_tracking_uri()
    try:
        with _environment(_PROBE_SETTINGS), quiet_mlflow():
            probe_database(uri)
            client = MlflowClient(tracking_uri=uri)
            client.search_experiments(max_results=1)
    except Exception as error:  # whatever a driver, a proxy or a plugin raises, the answer is the same
        raise unreachable(uri, error, what_is_safe=what_is_safe) from error
    return client


def unreachable(uri: str, error: Exception, *, what_is_safe: str) -> MeasurementError:
    """Return the error for a store that did not answer or stopped answering."""
    return MeasurementError(
        f"MLflow cannot be used at {without_password(uri)}; {what_is_safe}",
        got=_root(error),
        expected="a tracking server or database that answers",
        remedy="start the server or set MLFLOW_TRACKING_URI, then run again; "
        "measuring and piloting do without it: --no-mlflow",
    )


@contextmanager
def quiet_mlflow() -> Iterator[None]:
    """Keep the terminal for results: no addresses on stdout, no notes on new tables, no progress over small files."""
    import logging

    levels = {name: logging.getLogger(name).level for name in _CHATTY_LOGGERS}
    for name in levels:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        with _environment(_QUIET_SETTINGS):
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


@contextmanager
def speaking_to(uri: str) -> Iterator[None]:
    """Make `uri` MLflow's own choice for a while: parts of MLflow ask there, whatever store their caller named."""
    import mlflow
    from mlflow.tracking._tracking_service.utils import _use_tracking_uri

    if uri == mlflow.get_tracking_uri():
        yield
        return
    variable = os.environ.get(_TRACKING_URI)
    try:
        with _use_tracking_uri(uri):  # where nothing had been set, nothing is set afterwards
            yield
    finally:
        if variable is not None:  # which MLflow would leave unset
            os.environ[_TRACKING_URI] = variable


@contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    """Set variables that the user has not set, for a while: MLflow has no other switch for these."""
    added = {name: value for name, value in settings.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def probe_database(uri: str) -> None:
    """Ask a database for a sign of life: MLflow would try for 100 s before it says that there is none."""
    import sqlite3

    from sqlalchemy import make_url

    if uri.partition("://")[0].partition("+")[0] not in _PORTS | {"sqlite": None}:
        return
    url = make_url(uri)
    if url.host:
        socket.create_connection(
            (url.host, url.port or _PORTS[url.get_backend_name()]), _SOCKET_TIMEOUT_SECONDS
        ).close()
    elif url.database and url.database != ":memory:" and Path(url.database).exists():
        with closing(sqlite3.connect(url.database)) as connection:
            connection.execute("PRAGMA schema_version")


def without_password(uri: str) -> str:
    """Return an address as it may be shown and kept.

    >>> without_password("postgresql://ann:secret@host/mlflow")
    'postgresql://ann:***@host/mlflow'
    """
    from urllib.parse import urlsplit

    password = urlsplit(uri).password
    return uri if password is None else uri.replace(f":{password}@", ":***@", 1)


def _root(error: BaseException) -> str:
    """Return the operating system's own complaint, which drivers wrap in pages of theirs; without one, the error's."""
    told, inner = error, error
    while (deeper := inner.__cause__ or inner.__context__) is not None:
        inner = deeper
        if isinstance(inner, OSError):
            told = inner
    lines = str(told).strip().splitlines() or ["no message"]
    return f"{type(told).__name__}: {lines[0][:300]}"  # enough to recognise it by
