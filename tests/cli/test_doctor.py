"""`mlflow-rank doctor` at real servers, one with a gate and one without, and at gates in this process."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from filed import Desk, key_of, trust_text
from gated import Hall
from promotions import asking_for_a_pilot, rules
from servers import ADMIN, Server, Site, Sqlite, free_port, serving

from mlflow_rank.cli import main
from mlflow_rank.workflow.doctoring import DoctorRequest, look_at
from mlflow_rank.workflow.second_wall import put_up


@dataclass(frozen=True)
class Both:
    """A server with a gate, basic-auth, a key and triggers, and a plain MLflow server."""

    gated: Server
    plain: Server
    desk: Desk


ANN = ("ann", "a pass phrase of ann")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    desk, databases = Desk.laid(tmp_path_factory.mktemp("desk")), Sqlite(tmp_path_factory.mktemp("databases"))
    auth = tmp_path_factory.mktemp("auth")
    (auth / "auth.ini").write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{auth}/auth.db\n"
        "admin_username = admin\nauthorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    match = {"models": ["encoder", "hubert-*"], "targets": "any"}
    environment = rules(desk, asking_for_a_pilot(match=match)) | {"MLFLOW_AUTH_CONFIG_PATH": str(auth / "auth.ini")}
    gated = Site(
        tmp_path_factory.mktemp("gated"), databases.new(), app="mlflow-rank-basic-auth", environment=environment
    )
    plain = Site(tmp_path_factory.mktemp("plain"), databases.new(), gated=False)
    with serving(gated, plain) as [first, second]:
        put_up(gated.database.uri, "ann", now=datetime.now(UTC))
        made = first.call("POST", "users/create", {"username": ANN[0], "password": ANN[1]}, auth=ADMIN)
        assert made.status == 200, made.text
        yield Both(first, second, desk)


@pytest.fixture(autouse=True)
def _nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def doctor(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["doctor", *map(str, words)])


def states(result: Result, part: str = "checks") -> dict[str, str]:
    return {each["name"]: each["state"] for each in json.loads(result.stdout)[part]}


def log_in(monkeypatch: pytest.MonkeyPatch, user: str, password: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)


def left_at(server: Server, **how: Any) -> list[str]:
    """Models and experiments of canaries that are still there."""
    models = server.call("GET", "registered-models/search", **how).body.get("registered_models", [])
    experiments = server.call("POST", "experiments/search", {"max_results": 100}, **how).body["experiments"]
    return [each["name"] for each in (*models, *experiments) if "canary" in each["name"]]


def test_a_server_whose_gate_is_shut_is_said_to_be_to_any_user_of_it(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", both.gated.url)
    log_in(monkeypatch, *ANN)

    result = doctor("--json")

    assert result.exit_code == 0, result.output
    assert set(states(result).values()) == {"ok"}
    assert states(result, "bypasses") == {}
    canary = next(each for each in json.loads(result.stdout)["checks"] if each["name"] == "canary")
    assert "all 4 calls of hubert-rank-canary-" in canary["sentence"]
    assert "refused, and recorded" in canary["sentence"]
    assert left_at(both.gated, auth=ADMIN) == []


def test_it_is_printed_with_its_verdict_last(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    log_in(monkeypatch, *ADMIN)

    result = doctor("--tracking-uri", both.gated.url, "--no-canary")

    assert result.exit_code == 0, result.output
    assert result.stdout.endswith(f"{both.gated.url}: the gate is shut.\n")
    assert "canary" not in result.stdout
    assert "no canary was sent" in result.stderr


def test_a_server_without_a_gate_is_found_out_and_left_as_it_was(both: Both) -> None:
    result = doctor("--tracking-uri", both.plain.url, "--json")

    assert result.exit_code == 1, result.output
    assert states(result) == {"canary": "fail", "gate": "fail"}
    canary = json.loads(result.stdout)["checks"][0]
    assert "the gate is OPEN: alias champion" in canary["sentence"]
    assert sum("WENT THROUGH, and was taken back" in line for line in canary["details"]) == 4
    assert left_at(both.plain) == []


def test_the_health_of_a_gate_is_told_to_nobody_without_a_password(both: Both) -> None:
    answers = [both.gated.raw("GET", "/mlflow-rank/api/v1/health", auth=auth) for auth in (None, ("ann", "a guess"))]

    assert [each.status for each in answers] == [401, 401]


def test_a_wrong_password_says_nothing_about_the_gate(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    log_in(monkeypatch, "admin", "a guess")

    assert doctor("--tracking-uri", both.gated.url).exit_code == 3


def test_a_server_that_does_not_answer_says_nothing_about_the_gate() -> None:
    assert doctor("--tracking-uri", f"http://127.0.0.1:{free_port()}").exit_code == 3


def test_no_database_is_made_by_looking_for_one(tmp_path: Path) -> None:
    result = doctor("--registry-uri", "rank+sqlite:///mlflow.db")

    assert result.exit_code == 3
    assert list(tmp_path.iterdir()) == []


# in this process


@pytest.fixture
def hall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hall:
    place = tmp_path / "hall"
    place.mkdir()
    hall = Hall.built(place, monkeypatch)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"rank+sqlite:///{place}/mlflow.db")
    return hall


def test_a_gate_in_this_process_is_looked_at_likewise(hall: Hall) -> None:
    result = doctor("--json")

    assert result.exit_code == 0, result.output
    assert states(result)["canary"] == "ok"
    assert {name: state for name, state in states(result).items() if state != "ok"} == {
        "seal": "warn", "triggers": "warn"
    }  # fmt: skip
    assert {"database file", "plain database client", "artifact root"} == set(states(result, "bypasses"))


def test_a_policy_that_is_broken_is_told_with_its_line(hall: Hall) -> None:
    hall.desk.write("policies/policy.yaml", "apiVersion: mlflow-rank/v1\nkind: PromotionPolicy\nmode: perhaps\n")

    result = doctor()

    assert result.exit_code == 1
    assert "NOT SHUT, or of no use" in result.stdout
    assert "policy.yaml:3:7: mode:" in " ".join(result.stdout.split())


def test_a_gate_whose_key_nobody_trusts_is_of_no_use(hall: Hall) -> None:
    hall.desk.write("trust.yaml", trust_text(gate={"key": key_of("eve").public.text}))

    result = doctor("--no-canary", "--json")

    assert result.exit_code == 1
    assert states(result)["gate key"] == "fail"


def test_a_database_that_is_opened_without_its_gate_is_not_tried(hall: Hall) -> None:
    result = doctor("--registry-uri", f"sqlite:///{hall.desk.place}/mlflow.db", "--json")

    assert result.exit_code == 1
    assert states(result) == {"gate": "fail"}
    assert [each.name for each in hall.store.search_registered_models()] == ["encoder"]


def test_clocks_that_differ_are_found(hall: Hall) -> None:
    def found(**off: float) -> dict[str, str]:
        def clock() -> datetime:
            return datetime.now(UTC) + timedelta(**off)

        checkup = look_at(DoctorRequest(canary=False), os.environ, clock=clock, say=[].append)
        return {each.name: each.state for each in checkup.checks}

    assert [found(minutes=minutes)["clock"] for minutes in (0, 1, -6)] == ["ok", "warn", "fail"]


def test_code_is_scanned(hall: Hall, tmp_path: Path) -> None:
    (tmp_path / "serve.py").write_text('load("models:/encoder/latest")\n')

    result = doctor("--no-canary", "--scan", tmp_path / "serve.py")

    assert result.exit_code == 0
    assert f"  {tmp_path}/serve.py:1: models:/encoder/latest\n" in result.stdout
    assert doctor("--no-canary", "--scan", tmp_path / "nowhere").exit_code == 2
