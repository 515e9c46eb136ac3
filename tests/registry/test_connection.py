from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlflow_rank.errors import MeasurementError
from mlflow_rank.registry.clients.connection import connected_client, speaking_to

# MLflow's own use of SQLAlchemy 2.1, not ours.

_FAST_ENOUGH_SECONDS = 15.0


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port where a connection is taken and nothing is ever said."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


def _refused(uri: str, what_is_safe: str) -> MeasurementError:
    started = time.monotonic()
    with pytest.raises(MeasurementError) as raised:
        connected_client(uri, what_is_safe=what_is_safe)
    assert time.monotonic() - started < _FAST_ENOUGH_SECONDS
    return raised.value


def test_a_server_that_is_down_is_named_within_seconds_and_the_results_are_said_to_be_kept(
    store: str, closed_port: int
) -> None:
    uri = f"http://127.0.0.1:{closed_port}"
    error = _refused(uri, "the results are kept at out.json")
    assert error.exit_code == 3
    assert error.what == f"MLflow cannot be used at {uri}; the results are kept at out.json"
    assert str(error.got).startswith("ConnectionRefusedError")
    assert "--no-mlflow" in str(error.remedy)


def test_a_server_that_never_answers_is_given_up(store: str, silent_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")  # what a person has set is kept: 1 s instead of 5
    assert _refused(f"http://127.0.0.1:{silent_port}", "-").got == "TimeoutError: timed out"


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg2", "mysql+pymysql"])
def test_a_database_host_that_is_down_is_named_without_its_password(store: str, closed_port: int, scheme: str) -> None:
    error = _refused(f"{scheme}://me:secret@127.0.0.1:{closed_port}/mlflow", "-")
    assert f"{scheme}://me:***@127.0.0.1:{closed_port}/mlflow" in error.what
    assert "secret" not in str(error)


def test_a_database_file_that_cannot_be_made_is_named(store: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert "file/mlflow.db" in _refused(f"sqlite:///{tmp_path}/file/mlflow.db", "-").what


def test_a_file_that_is_no_database_is_named_at_once(store: str, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("these are not the tables you are looking for" * 99)
    assert _refused(f"sqlite:///{tmp_path}/mlflow.db", "-").got == "DatabaseError: file is not a database"


@pytest.mark.parametrize("chosen", [None, "sqlite:///chosen.db"])
def test_where_mlflow_asked_before_it_asks_again_and_nothing_that_was_not_set_is_set(
    store: str, monkeypatch: pytest.MonkeyPatch, chosen: str | None
) -> None:
    import mlflow
    from mlflow.tracking._tracking_service import utils

    if chosen is not None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", chosen)
    before = mlflow.get_tracking_uri(), utils._tracking_uri, os.environ.get("MLFLOW_TRACKING_URI")

    with speaking_to("sqlite:///another.db"):
        assert mlflow.get_tracking_uri() == "sqlite:///another.db"

    assert (mlflow.get_tracking_uri(), utils._tracking_uri, os.environ.get("MLFLOW_TRACKING_URI")) == before
    assert utils._tracking_uri is None


def test_settings_for_the_probe_do_not_outlast_it(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connected_client(store)
    assert not [name for name in os.environ if name.startswith("MLFLOW_HTTP_REQUEST")]
