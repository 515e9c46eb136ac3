"""The seal and the record where workspaces and a static prefix are in use: the same files, under other paths."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from filed import Desk
from promotions import approved_versions, asking_for_a_pilot, promote, rules
from servers import Answer, Server, Site, Sqlite, start

PREFIX = "/pre"
PROXY = "/mlflow-artifacts/artifacts"


@dataclass(frozen=True)
class InWorkspace(Server):
    """A server under a static prefix, asked within one workspace."""

    workspace: str | None = None

    def raw(self, method: str, path: str, body: object = None, **how: Any) -> Answer:
        headers = {} if self.workspace is None else {"X-MLFLOW-WORKSPACE": self.workspace}
        bare = path.startswith(("/health", "/api/2.0/mlflow/", "/api/3.0/", "/mlflow-rank/"))
        return super().raw(method, PREFIX + path if bare else path, body, **how, headers=headers)


@dataclass(frozen=True)
class Teams:
    """A server on which `encoder` of the workspace `team` has a champion; `root` is where its files lie."""

    server: InWorkspace
    artifacts: Path
    root: str


@pytest.fixture(scope="module")
def teams(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Teams]:
    desk, databases = Desk.laid(tmp_path_factory.mktemp("desk")), Sqlite(tmp_path_factory.mktemp("databases"))
    site = Site(
        tmp_path_factory.mktemp("server"),
        databases.new(),
        app="mlflow-rank",
        workspaces=True,
        options=["--static-prefix", PREFIX],
        environment=rules(desk, asking_for_a_pilot()),
    )
    started = start(site)
    nowhere = InWorkspace(started.url, started.log, started.process)
    try:
        nowhere.ready()
        made = nowhere.raw("POST", "/api/3.0/mlflow/workspaces", {"name": "team"})
        assert made.status in (200, 201), made.text
        server = replace(nowhere, workspace="team")
        experiment = server.call("POST", "experiments/create", {"name": "e"}).body["experiment_id"]
        run = server.call("POST", "runs/create", {"experiment_id": experiment, "start_time": 1}).body["run"]["info"]
        root = f"{experiment}/{run['run_id']}/artifacts/model"
        for path in desk.model.iterdir():
            assert server.raw("PUT", f"/api/2.0{PROXY}/{root}/{path.name}", path.read_bytes()).status == 200
        files = {"source": f"{run['artifact_uri']}/model", "run_id": run["run_id"]}
        (version,) = approved_versions(server, desk, files, 1)
        assert promote(server, version).status == 200
        yield Teams(server, site.place / "artifacts", root)
    finally:
        nowhere.end()


@pytest.mark.parametrize("workspace", ["team", "default"])
@pytest.mark.parametrize(
    ("method", "api"),
    [
        ("PUT", "/api/2.0"),
        ("PUT", "/ajax-api/2.0"),
        ("PUT", f"{PREFIX}/api/2.0"),
        ("PUT", f"{PREFIX}/ajax-api/2.0"),
        ("DELETE", f"{PREFIX}/api/2.0"),
        ("DELETE", f"{PREFIX}/ajax-api/2.0"),
    ],
)
def test_no_path_leads_to_the_files_of_a_champion(teams: Teams, method: str, api: str, workspace: str) -> None:
    server = replace(teams.server, workspace=workspace)
    roots = [f"workspaces/team/{teams.root}"] + ([teams.root] if workspace == "team" else [])

    for root in roots:
        answer = server.raw(method, f"{api}{PROXY}/{root}/config.json", b"evil")
        assert (answer.status, answer.code) == (403, "PERMISSION_DENIED"), answer.text
    assert (teams.artifacts / "workspaces/team" / teams.root / "config.json").read_bytes() == b"{}"


def test_the_same_path_in_another_workspace_is_another_file(teams: Teams) -> None:
    server = replace(teams.server, workspace="default")

    assert server.raw("PUT", f"/api/2.0{PROXY}/{teams.root}/config.json", b"ours").status == 200
    assert (teams.artifacts / teams.root / "config.json").read_bytes() == b"ours"
    assert (teams.artifacts / "workspaces/team" / teams.root / "config.json").read_bytes() == b"{}"


def test_each_workspace_has_its_own_record(teams: Teams) -> None:
    path = "/mlflow-rank/api/v1/placements/encoder"
    ours, theirs = (replace(teams.server, workspace=name).raw("GET", path).body for name in ("team", "default"))
    decision = ours["placements"][0]["decision"]

    assert theirs["placements"] == []
    for workspace, status in (("team", 200), ("default", 404)):
        server = replace(teams.server, workspace=workspace)
        assert server.raw("GET", f"/mlflow-rank/api/v1/decisions/{decision}").status == status
