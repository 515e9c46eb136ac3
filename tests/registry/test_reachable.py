from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from servers import free_port

from mlflow_rank.errors import MeasurementError
from mlflow_rank.registry.clients.reachable import check_reachable


@contextmanager
def answering(status: int) -> Iterator[str]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("status", [200, 302, 401, 404])
def test_whoever_answers_is_there(status: int) -> None:
    with answering(status) as uri:
        check_reachable(uri, what_is_safe="points wait")


@pytest.mark.parametrize("status", [502, 503])
def test_a_proxy_before_a_server_that_is_away_is_no_server(status: int) -> None:
    with answering(status) as uri, pytest.raises(MeasurementError, match="points wait") as raised:
        check_reachable(uri, what_is_safe="points wait")
    assert str(status) in str(raised.value.got)


def test_nobody_is_said_with_the_address_and_without_the_password() -> None:
    with pytest.raises(MeasurementError) as raised:
        check_reachable(f"http://ann:secret@127.0.0.1:{free_port()}", what_is_safe="points wait")
    assert "ann:***@127.0.0.1" in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_file_that_is_no_database_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("weights")
    with pytest.raises(MeasurementError):
        check_reachable(f"sqlite:///{tmp_path / 'mlflow.db'}", what_is_safe="points wait")
    check_reachable(f"sqlite:///{tmp_path / 'new.db'}", what_is_safe="points wait")


def test_asking_leaves_the_environment_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a training that runs meanwhile would notice")

    with answering(200) as uri, monkeypatch.context() as patched:
        patched.setattr(type(os.environ), "__setitem__", refuse)
        check_reachable(uri, what_is_safe="points wait")
