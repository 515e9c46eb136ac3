"""Who is recorded at the door, under basic-auth with two workers; and that workspaces keep evidence apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from filed import Desk
from promotions import asking_for_a_pilot, rules
from servers import ADMIN, Answer, Database, Server, Site, Sqlite, serving

from mlflow_rank.audit import ledger
from mlflow_rank.audit.entry import Entry
from mlflow_rank.registry.gate.tag_parcel import parcels

MODEL = "encoder"


def entries(database: Database) -> list[Entry]:
    engine = sqlalchemy.create_engine(database.uri, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        return list(ledger.entries(connection))


@pytest.fixture(scope="module")
def guarded(sqlite: Sqlite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Database, Desk]]:
    """A gated server with basic-auth and two workers."""
    desk, database = Desk.laid(tmp_path_factory.mktemp("desk")), sqlite.new()
    site = Site(
        tmp_path_factory.mktemp("server"), database, workers=2, app="mlflow-rank-basic-auth",
        environment=rules(desk, asking_for_a_pilot()), as_typed=True,
    )  # fmt: skip
    with serving(site) as [server]:
        yield server, database, desk


def test_the_authenticated_user_is_recorded_and_no_other_name_that_a_header_claims(
    guarded: tuple[Server, Database, Desk],
) -> None:
    server, database, _ = guarded
    how: Any = {"auth": ADMIN, "headers": {"X-Forwarded-User": "root", "User-Agent": "tests/1"}}
    create = {"name": MODEL, "source": "models:/m-1", "run_id": "x"}

    assert server.call("POST", "registered-models/create", {"name": MODEL}).status == 401
    assert server.call("POST", "registered-models/create", {"name": MODEL}, **how).status == 200
    assert server.call("POST", "model-versions/create", create, **how).status in (400, 403, 404)
    answer = server.call("POST", "registered-models/set-tag", {"name": MODEL, "key": "rank.x", "value": "y"}, **how)

    assert answer.status == 403
    last = entries(database)[-1]
    assert last.content["actor"] == {"name": "admin", "verified": True}
    origin: Any = last.content["origin"]
    assert (origin["address"], origin["program"]) == ("127.0.0.1", "tests/1")


def test_workspaces_keep_evidence_apart_and_nobody_deletes_one_with_a_champion(
    sqlite: Sqlite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, database = Desk.laid(tmp_path / "desk"), sqlite.new()
    site = Site(
        tmp_path / "server", database, workspaces=True, app="mlflow-rank",
        options=("--workspace-store-uri", database.uri), environment=rules(desk, asking_for_a_pilot()),
    )  # fmt: skip
    with serving(site) as [server]:
        made = server.raw("POST", "/api/3.0/mlflow/workspaces", {"name": "other"})
        assert made.status in (200, 201), made.text
        monkeypatch.setenv("MLFLOW_WORKSPACE", "other")
        client = server.client()
        run = client.create_run(client.create_experiment("it"))
        client.log_artifacts(run.info.run_id, str(desk.model), "model")
        files = {"source": f"{run.info.artifact_uri}/model", "run_id": run.info.run_id}
        in_other = {"X-MLFLOW-WORKSPACE": "other"}

        _forgery_is_anonymous(server, database)
        _evidence_stays_in_its_workspace(server, desk, files, in_other)

        [placed] = [each for each in entries(database) if each.kind == "change" and each.content["moves"]]
        assert placed.workspace == "other"
        for mode in ("RESTRICT", "CASCADE", "SET_DEFAULT"):
            answer = server.raw("DELETE", f"/api/3.0/mlflow/workspaces/other?mode={mode}")
            assert answer.status == 403, answer.text
        assert entries(database)[-1].content["door"] == "delete_workspace"


def _forgery_is_anonymous(server: Server, database: Database) -> None:
    body = {"name": "m", "tags": [{"key": "rank.x", "value": "y"}]}
    assert server.call("POST", "registered-models/create", body, headers={"X-Forwarded-User": "ann"}).status == 403
    assert entries(database)[-1].content["actor"] == {"name": "anonymous", "verified": False}


def _evidence_stays_in_its_workspace(server: Server, desk: Desk, files: Any, in_other: dict[str, str]) -> None:
    def call(method: str, name: str, headers: dict[str, str], **body: Any) -> Answer:
        return server.call(method, name, {"name": MODEL, **body}, headers=headers)

    for headers in ({}, in_other):
        assert call("POST", "registered-models/create", headers).status == 200
    made = call("POST", "model-versions/create", in_other, **files)
    assert made.status == 200, made.text
    for key, value in parcels(desk.pilot(called=f"models:/{MODEL}/1").read_bytes()):
        answer = call("POST", "model-versions/set-tag", in_other, version="1", key=key, value=value)
        assert answer.status == 200, answer.text

    elsewhere = call("POST", "registered-models/alias", {}, alias="champion", version="1")
    assert elsewhere.status == 404, elsewhere.text
    there = call("POST", "registered-models/alias", in_other, alias="champion", version="1")
    assert there.status == 200, there.text
