"""`mlflow-rank server`: which command it starts, what it says before, and a real one that ends when it is asked to."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import evidence
import pytest
from click.testing import CliRunner
from filed import Desk, key_of, trust
from servers import Server, free_port

from mlflow_rank.cli.server import server_command
from mlflow_rank.errors import UsageError
from mlflow_rank.workflow.serving import SECRET_KEY, ServerRequest, announcement, gated, launch
from tests.conftest import plain_environment

PLAIN = {"PATH": "/usr/bin"}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk with a directory of one policy."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    desk = Desk.laid(tmp_path)
    match = {"models": ["encoder"], "targets": ["alias:champion"]}
    desk.write("policies/speech.yaml", evidence.policy_text(evidence.PILOT_RULE, match=match))
    return desk


def said(request: ServerRequest) -> str:
    return "\n".join(announcement(launch(request, PLAIN)))


# the command


def test_it_is_mlflow_server_with_the_gate_and_every_other_option_untouched(place: Desk) -> None:
    others = ("--port", "5000", "-h", "0.0.0.0", "--workers=2", "--uvicorn-opts", "--log-level debug")

    starting = launch(ServerRequest(backend="sqlite:///runs.db", others=others), PLAIN)

    assert starting.command[1:4] == ("-m", "mlflow", "server")
    assert starting.command[-len(others) :] == others
    given = dict(zip(starting.command[4:10:2], starting.command[5:10:2], strict=True))
    assert given == {
        "--backend-store-uri": "sqlite:///runs.db",
        "--registry-store-uri": "rank+sqlite:///runs.db",
        "--app-name": "mlflow-rank",
    }


def test_workers_find_the_rules_wherever_they_work(place: Desk) -> None:
    request = ServerRequest(trust=Path("trust.yaml"), gate_key=Path("gate.key"))

    environment = launch(request, PLAIN | {"MLFLOW_RANK_TRUST": "another.yaml"}).environment

    assert environment == PLAIN | {
        "MLFLOW_RANK_POLICIES": str(place.place / "policies"),
        "MLFLOW_RANK_TRUST": str(place.place / "trust.yaml"),
        "MLFLOW_RANK_GATE_KEY": str(place.place / "gate.key"),
    }


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sqlite:///mlflow.db", "rank+sqlite:///mlflow.db"),
        ("rank+sqlite:///mlflow.db", "rank+sqlite:///mlflow.db"),
        ("postgresql+psycopg2://a:b@db/x", "rank+postgresql+psycopg2://a:b@db/x"),
    ],
)
def test_a_registry_gets_its_gate_once(uri: str, expected: str) -> None:
    assert gated(uri) == expected


@pytest.mark.parametrize("uri", ["./mlruns", "file:///mlruns", "http://lab:5000", "oracle://u:secret@db/x", "sqlite"])
def test_what_has_no_gate_is_not_served(uri: str) -> None:
    with pytest.raises(UsageError, match="there is no gate for a registry of this kind") as raised:
        gated(uri)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "others",
    [("--app-name", "basic-auth"), ("--app-name=x",), ("--dev",), ("--gunicorn-opts", ""), ("--artifacts-only",)],
)
def test_options_that_take_the_seal_away_are_refused(place: Desk, others: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="cannot be used behind the gate"):
        launch(ServerRequest(others=others), PLAIN)


def test_they_are_refused_from_the_environment_too(place: Desk) -> None:
    with pytest.raises(UsageError) as raised:
        launch(ServerRequest(), PLAIN | {"MLFLOW_GUNICORN_OPTS": "--threads 4"})
    assert raised.value.got == "MLFLOW_GUNICORN_OPTS"


def test_basic_auth_needs_its_secret_before_any_worker_starts(place: Desk) -> None:
    with pytest.raises(UsageError) as raised:
        launch(ServerRequest(basic_auth=True), PLAIN)
    assert SECRET_KEY in str(raised.value)

    starting = launch(ServerRequest(basic_auth=True), PLAIN | {SECRET_KEY: "x"})
    assert "mlflow-rank-basic-auth" in starting.command


# what is said


def test_what_is_gated_by_what_is_said(place: Desk) -> None:
    request = ServerRequest(backend="postgresql+psycopg2://mlflow:secret@db/x", gate_key=Path("gate.key"))

    text = said(request)

    assert "secret" not in text
    assert "gated registry: rank+postgresql+psycopg2://mlflow:***@db/x" in text
    assert re.search(r"  speech.yaml: \S+ r\d+ in mode enforce: encoder to alias:champion", text)
    assert f"decisions are signed by {key_of('gate').public.key_id[:19]}" in text
    assert f"trust.yaml, {len(trust().keys)} keys" in text
    assert "SHUT" not in text


def test_a_gate_that_stays_shut_is_said_first(place: Desk) -> None:
    missing = said(ServerRequest(policies=Path("nowhere")))
    place.write("policies/broken.yaml", "apiVersion: mlflow-rank/v1\nkind: PromotionPolicy\n")
    broken = said(ServerRequest())
    place.write("other/empty.yaml", "")
    empty = said(ServerRequest(policies=Path("other")))

    for text, cause in ((missing, "nowhere"), (broken, "broken.yaml"), (empty, "empty.yaml")):
        first = text.splitlines()[0]
        assert first.startswith("THE GATE STAYS SHUT")
        assert cause in first


def test_what_is_missing_for_signed_decisions_is_said(place: Desk) -> None:
    (place.place / "trust.yaml").unlink()

    text = said(ServerRequest())

    assert "no signed evidence counts" in text
    assert "decisions are not signed: mlflow_rank.load_model will refuse them" in text


def test_help_is_about_the_gate_and_h_is_left_to_mlflow() -> None:
    text = CliRunner().invoke(server_command, ["--help"]).stdout

    for word in ("--policies", "--trust", "--gate-key", "--basic-auth", "Examples", "reconcile"):
        assert word in text
    parameters = {option for each in server_command.params for option in each.opts}
    assert "-h" not in parameters


def test_help_and_the_package_load_nothing_heavy() -> None:
    heavy = ("mlflow", "torch", "sqlalchemy", "flask", "pandas")
    code = (
        "import json, sys, mlflow_rank\n"
        "from mlflow_rank.cli.server import server_command\n"
        "server_command(['--help'], standalone_mode=False)\n"
        f"sys.stderr.write(json.dumps([name for name in {heavy} if name in sys.modules]))"
    )

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)

    assert ended.stderr == "[]"


# a real one


@pytest.fixture
def running(place: Desk) -> Iterator[Server]:
    port, log = free_port(), place.place / "server.log"
    code = "from mlflow_rank.cli.server import server_command; server_command()"
    words = ["--policies", "policies", "--port", str(port), "--workers", "1", "--host", "127.0.0.1"]
    environment = plain_environment(MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false", DO_NOT_TRACK="true")
    with log.open("wb") as written:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *words],
            cwd=place.place,
            env=environment,
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(f"http://127.0.0.1:{port}", log, process)
    try:
        server.ready()
        yield server
    finally:
        server.end()


def test_it_serves_behind_the_gate_and_ends_on_ctrl_c(running: Server) -> None:
    run = running.call("POST", "runs/create", {"experiment_id": "0", "start_time": 1}).body["run"]["info"]
    folder = f"/api/2.0/mlflow-artifacts/artifacts/0/{run['run_id']}/artifacts/model"
    assert running.raw("PUT", f"{folder}/config.json", b"{}").status == 200
    running.call("POST", "registered-models/create", {"name": "encoder"})
    version = {"name": "encoder", "source": f"{run['artifact_uri']}/model", "run_id": run["run_id"]}
    created = running.call("POST", "model-versions/create", version)
    refused = running.call("POST", "registered-models/alias", {"name": "encoder", "alias": "champion", "version": "1"})

    assert created.status == 200, created.text
    assert (refused.status, refused.code) == (403, "PERMISSION_DENIED"), refused.text
    assert "gated registry: rank+sqlite:///mlflow.db" in running.said()
    assert running.raw("GET", "/mlflow-rank/api/v1/placements/encoder").body["placements"] == []

    os.killpg(running.process.pid, signal.SIGINT)  # as a terminal sends it

    assert running.process.wait(timeout=60) == 0
    with pytest.raises(OSError, match="refused"):
        running.raw("GET", "/health")
    assert "Traceback" not in running.said()
