"""Reaching an MLflow store, and finding out within seconds when it cannot be reached."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
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
        with _quick_to_give_up(), quiet_mlflow():
            _probe_database_host(uri)
            client = MlflowClient(tracking_uri=uri)
            client.search_experiments(max_results=1)
    except Exception as error:  # whatever a driver, a proxy or a plugin raises, the answer is the same
        raise unreachable(uri, error, what_is_safe=what_is_safe) from error
    return client


def unreachable(uri: str, error: Exception, *, what_is_safe: str) -> MeasurementError:
    """Return the error for a store that did not answer or stopped answering."""
    return MeasurementError(
        f"MLflow cannot be used at {_without_password(uri)}; {what_is_safe}",
        got=f"{type(error).__name__}: {_first_line(error)}",
        expected="a tracking server or database that answers",
        remedy="start the server or set MLFLOW_TRACKING_URI, then run again; or leave MLflow out with --no-mlflow",
    )


@contextmanager
def quiet_mlflow() -> Iterator[None]:
    """Keep MLflow's notes about the tables of a new database and about saving a model off the terminal."""
    import logging

    levels = {name: logging.getLogger(name).level for name in _CHATTY_LOGGERS}
    for name in levels:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


@contextmanager
def _quick_to_give_up() -> Iterator[None]:
    added = {name: value for name, value in _PROBE_SETTINGS.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _probe_database_host(uri: str) -> None:
    """Open and close a TCP connection to a database's host: MLflow would try for 100 s before it says no."""
    from urllib.parse import urlsplit

    parts = urlsplit(uri)
    ports = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}  # each dialect's registered port (IANA)
    default_port = ports.get(parts.scheme.partition("+")[0])
    if default_port is not None and parts.hostname:
        socket.create_connection((parts.hostname, parts.port or default_port), _SOCKET_TIMEOUT_SECONDS).close()


def _without_password(uri: str) -> str:
    from urllib.parse import urlsplit

    password = urlsplit(uri).password
    return uri if password is None else uri.replace(f":{password}@", ":***@", 1)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else "no message")[:300]  # a driver's message can run over pages
