"""MLflow's server with the seal and the record: a real one of two workers, with and without basic-auth, and attacks."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from filed import Desk, trust_text
from promotions import approved_versions, asking_for_a_pilot, promote, rules
from servers import ADMIN, Answer, Server, Site, Sqlite, serving

import mlflow_rank
from mlflow_rank.errors import EvidenceError
from mlflow_rank.registry.clients.decision_records import records_at

PROXY = "/api/2.0/mlflow-artifacts"
READER, STRANGER = ("rita", "a pass phrase of rita"), ("sam", "a pass phrase of sam")
RECORD = "/mlflow-rank/api/v1"


@dataclass(frozen=True)
class As(Server):
    """A server, asked as one user."""

    user: tuple[str, str] | None = None

    @classmethod
    def of(cls, server: Server, user: tuple[str, str]) -> As:
        return cls(server.url, server.log, server.process, user)

    def raw(self, method: str, path: str, body: object = None, **how: Any) -> Answer:
        return super().raw(method, path, body, **{"auth": self.user} | how)


@dataclass(frozen=True)
class Sealed:
    """A server on which version 1 of `encoder` is champion; `root` is where its files lie, below the proxy."""

    server: Server
    place: Path
    database: Path
    root: str
    run_id: str

    @property
    def files(self) -> Path:
        return self.place / "artifacts" / self.root

    def untouched(self) -> bool:
        return sorted((path.name, path.read_bytes()) for path in self.files.rglob("*") if path.is_file()) == [
            ("config.json", b"{}"),
            ("model.safetensors", b"weights"),
        ]

    def refusals(self) -> list[Mapping[str, Any]]:
        with closing(sqlite3.connect(self.database)) as connection:
            rows = connection.execute("SELECT body FROM rank_ledger WHERE kind = 'refusal' ORDER BY number")
            return [body for (text,) in rows if (body := json.loads(text))["door"] == "artifact_proxy"]


def sealed_by(server: Server, site: Site, desk: Desk) -> Sealed:
    """Register the desk's model and make it champion."""
    created = server.call("POST", "runs/create", {"experiment_id": "0", "start_time": 1})
    assert created.status == 200, created.text
    run = created.body["run"]["info"]
    root = f"0/{run['run_id']}/artifacts/model"
    for path in sorted(desk.model.iterdir()):
        assert server.raw("PUT", f"{PROXY}/artifacts/{root}/{path.name}", path.read_bytes()).status == 200
    files = {"source": f"{run['artifact_uri']}/model", "run_id": run["run_id"]}
    (version,) = approved_versions(server, desk, files, 1)
    promoted = promote(server, version)
    assert promoted.status == 200, promoted.text
    return Sealed(server, site.place, site.database.file, root, run["run_id"])


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sealed, Sealed]]:
    """An open server, and one with basic-auth, READER and STRANGER, who may read nothing that he is not given."""
    desk, databases = Desk.laid(tmp_path_factory.mktemp("desk")), Sqlite(tmp_path_factory.mktemp("databases"))
    auth = tmp_path_factory.mktemp("auth")
    (auth / "auth.ini").write_text(
        f"[mlflow]\ndefault_permission = NO_PERMISSIONS\ndatabase_uri = sqlite:///{auth}/auth.db\n"
        "admin_username = admin\nauthorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    go_by = rules(desk, asking_for_a_pilot())
    sites = [
        Site(tmp_path_factory.mktemp("open"), databases.new(), workers=2, app="mlflow-rank", environment=go_by),
        Site(
            tmp_path_factory.mktemp("closed"),
            databases.new(),
            workers=2,
            app="mlflow-rank-basic-auth",
            environment=go_by | {"MLFLOW_AUTH_CONFIG_PATH": str(auth / "auth.ini")},
        ),
    ]
    with serving(*sites) as [plain, closed]:
        admin = As.of(closed, ADMIN)
        for name, secret in (READER, STRANGER):
            made = admin.call("POST", "users/create", {"username": name, "password": secret})
            assert made.status == 200, made.text
        yield sealed_by(plain, sites[0], desk), sealed_by(admin, sites[1], desk)


@pytest.fixture
def desk_trust(tmp_path: Path) -> Path:
    (tmp_path / "trust.yaml").write_text(trust_text())
    return tmp_path / "trust.yaml"


@pytest.fixture
def opened(both: tuple[Sealed, Sealed]) -> Sealed:
    return both[0]


@pytest.fixture
def closed(both: tuple[Sealed, Sealed]) -> Sealed:
    return both[1]


# what is refused


def spellings(root: str) -> dict[str, tuple[str, str, object]]:
    """Requests that would change files below `root`, each in another way."""
    run = root.split("/")[1]
    above = root.rpartition("/")[0]
    return {
        "write over a file": ("PUT", f"{PROXY}/artifacts/{root}/model.safetensors", b"evil"),
        "by the pages' route": ("PUT", f"/ajax-api/2.0/mlflow-artifacts/artifacts/{root}/config.json", b"evil"),
        "add a file": ("PUT", f"{PROXY}/artifacts/{root}/deep/new.py", b"evil"),
        "with doubled slashes": ("PUT", f"{PROXY}/artifacts/{root.replace('/', '//')}//config.json", b"evil"),
        "with dots": ("PUT", f"{PROXY}/artifacts/{root}/./config.json", b"evil"),
        "encoded once": ("PUT", f"{PROXY}/artifacts/{quote(root, safe='')}/config.json", b"evil"),
        "encoded twice": ("PUT", f"{PROXY}/artifacts/{quote(quote(root, safe=''), safe='')}%252Fconfig.json", b"evil"),
        "with a letter encoded": ("PUT", f"{PROXY}/artifacts/{root.replace('model', '%6dodel')}/config.json", b"evil"),
        "with backslashes": ("PUT", f"{PROXY}/artifacts/{root.replace('/', '%5C')}%5Cconfig.json", b"evil"),
        "delete a file": ("DELETE", f"{PROXY}/artifacts/{root}/config.json", None),
        "delete the directory": ("DELETE", f"{PROXY}/artifacts/{root}", None),
        "delete what it lies in": ("DELETE", f"{PROXY}/artifacts/{above}", None),
        "delete the run's files": ("DELETE", f"{PROXY}/artifacts/0/{run}", None),
        "delete with a query's end": ("DELETE", f"{PROXY}/artifacts/0/{run}%3F", None),
        "delete the experiment": ("DELETE", "/ajax-api/2.0/mlflow-artifacts/artifacts/0", None),
        "parts of a file": ("POST", f"{PROXY}/mpu/create/{root}", {"path": "config.json", "num_parts": 1}),
        "complete them": ("POST", f"{PROXY}/mpu/complete/{root}", {"path": "x", "upload_id": "1", "parts": []}),
        "abort them": ("POST", f"{PROXY}/mpu/abort/{root}", {"path": "config.json", "upload_id": "1"}),
        "upload from the pages": (
            "POST", f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=model/config.json", b"evil",
        ),
        "an address to upload to": (
            "POST", "/api/2.0/mlflow/artifacts/presigned-upload-url", {"run_id": run, "path": "model/config.json"},
        ),
    }  # fmt: skip


@pytest.mark.parametrize("way", spellings("0/r/artifacts/model"))
def test_files_of_the_champion_stay_as_they_are(opened: Sealed, way: str) -> None:
    method, path, body = spellings(opened.root)[way]
    before = len(opened.refusals())

    answer = opened.server.raw(method, path, body)

    assert (answer.status, answer.code) == (403, "PERMISSION_DENIED"), answer.text
    assert answer.body["message"].startswith("Refused: these files belong to a model version")
    assert "\n" not in answer.body["message"]
    assert opened.untouched()
    (refusal,) = opened.refusals()[before:]
    assert refusal["arguments"]["method"] == method
    assert refusal["actor"] == {"name": "anonymous", "verified": False}


def test_dots_and_addresses_that_would_lead_into_the_files_change_nothing(opened: Sealed) -> None:
    sly = f"{PROXY}/artifacts/0/other/../{opened.root.partition('/')[2]}/config.json"

    as_file = f"{PROXY}/artifacts/file:{opened.root}/config.json"
    for path in (sly, sly.replace("..", "%2e%2e"), sly.replace("..", "%252e%252e"), as_file):
        assert opened.server.raw("PUT", path, b"evil").status in (400, 403, 404)
    assert opened.untouched()


# what is not


def test_other_files_are_written_and_deleted_as_ever(opened: Sealed) -> None:
    beside = f"{opened.root}_2/config.json"
    large = b"x" * 3_000_000

    assert opened.server.raw("PUT", f"{PROXY}/artifacts/{beside}", large).status == 200
    assert opened.server.raw("GET", f"{PROXY}/artifacts/{beside}").text == large.decode()
    uploaded = opened.server.raw(
        "POST", f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={opened.run_id}&path=notes/a.txt", b"words"
    )
    assert uploaded.status == 200, uploaded.text
    assert opened.server.raw("DELETE", f"{PROXY}/artifacts/{beside}").status == 200
    assert opened.server.raw("GET", f"{PROXY}/artifacts/{opened.root}/config.json").text == "{}"


def test_an_upload_in_parts_beside_the_files_is_answered_by_mlflow(opened: Sealed) -> None:
    folder = opened.root.rpartition("/")[0]

    answer = opened.server.raw("POST", f"{PROXY}/mpu/create/{folder}", {"path": "notes.txt", "num_parts": 1})

    assert "multipart" in answer.text.lower()  # a local store has no such uploads
    assert answer.status != 403


# who is asked first


def test_whoever_may_not_write_learns_nothing_of_what_is_sealed(closed: Sealed) -> None:
    free, taken = f"0/{closed.run_id}/artifacts/notes", closed.root

    for user, status in ((None, 401), (("admin", "wrong"), 401), (STRANGER, 403)):
        for method, path in (("PUT", "{}/config.json"), ("DELETE", "{}/config.json"), ("DELETE", "{}")):
            answers = [
                closed.server.raw(method, f"{PROXY}/artifacts/{path.format(root)}", b"evil", auth=user)
                for root in (free, taken)
            ]
            assert [answer.status for answer in answers] == [status, status], (user, method, path)
            assert answers[0].text == answers[1].text
    assert closed.untouched()


@pytest.mark.parametrize(
    "way", ["write over a file", "delete the directory", "upload from the pages", "parts of a file"]
)
def test_an_administrator_is_refused_by_name(closed: Sealed, way: str) -> None:
    method, path, body = spellings(closed.root)[way]

    answer = closed.server.raw(method, path, body)

    assert (answer.status, answer.code) == (403, "PERMISSION_DENIED"), answer.text
    assert closed.untouched()
    assert closed.refusals()[-1]["actor"] == {"name": "admin", "verified": True}


# the record


def test_the_record_names_what_is_placed_and_shows_the_signed_decision(opened: Sealed) -> None:
    placed = opened.server.raw("GET", f"{RECORD}/placements/encoder")
    (placement,) = placed.body["placements"]
    shown = opened.server.raw("GET", f"{RECORD}/decisions/{placement['decision']}")

    assert (placement["target"], placement["version"]) == ("alias:champion", "1")
    assert shown.body["decision"]["verdict"] == "approve"
    assert json.loads(shown.body["envelope"])["signatures"]
    assert shown.body["checkpoint"].startswith("mlflow-rank/")


def test_what_is_not_in_the_record_is_said_in_json(opened: Sealed) -> None:
    for path in ("decisions/000000000000", "decisions/a%20b"):
        answer = opened.server.raw("GET", f"{RECORD}/{path}")
        assert (answer.status, answer.code) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert opened.server.raw("GET", f"{RECORD}/placements/nothing").body["placements"] == []
    assert opened.server.raw("POST", f"{RECORD}/placements/encoder", {}).status == 405


def test_the_record_is_read_by_whoever_may_read_the_model(closed: Sealed) -> None:
    (placement,) = closed.server.raw("GET", f"{RECORD}/placements/encoder").body["placements"]
    paths = [f"{RECORD}/placements/encoder", f"{RECORD}/decisions/{placement['decision']}"]
    nowhere = [f"{RECORD}/placements/none", f"{RECORD}/decisions/0"]
    granted = closed.server.call(
        "POST", "registered-models/permissions/create", {"name": "encoder", "username": "rita", "permission": "READ"}
    )
    if granted.status != 200:
        granted = closed.server.raw(
            "POST",
            "/api/3.0/mlflow/users/permissions/grant",
            {"username": "rita", "resource_type": "registered_model", "resource_id": "encoder", "permission": "READ"},
        )
    assert granted.status == 200, granted.text

    for path, none in zip(paths, nowhere, strict=True):
        assert closed.server.raw("GET", path, auth=READER).status == 200
        assert closed.server.raw("GET", path, auth=None).status == 401
        unreadable, missing = (closed.server.raw("GET", each, auth=STRANGER) for each in (path, none))
        assert unreadable.status == 404
        assert (unreadable.status, unreadable.text) == (missing.status, missing.text)


# loading over HTTP


def test_a_consumer_reads_the_record_over_http_and_nothing_of_another_form_is_loaded(
    opened: Sealed, closed: Sealed, desk_trust: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sealed, user in ((opened, None), (closed, ADMIN)):
        for name, value in zip(("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"), user or (), strict=False):
            monkeypatch.setenv(name, value)
        with pytest.raises(EvidenceError) as raised:
            mlflow_rank.load_model("models:/encoder@champion", trust=desk_trust, tracking_uri=sealed.server.url)
        # said after placement, decision, signature and bytes were found to hold
        assert raised.value.what == "this model is of a form that is not loaded"


def test_a_consumer_whom_the_server_does_not_let_in_loads_nothing(
    closed: Sealed, desk_trust: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", STRANGER[0])
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", STRANGER[1])

    assert records_at(closed.server.url).placements("encoder") == []
    assert records_at(closed.server.url).envelope("000000000000") is None
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
    with pytest.raises(EvidenceError, match="the record of decisions cannot be read"):
        records_at(closed.server.url).placements("encoder")
