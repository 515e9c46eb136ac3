"""Deleting a workspace, with the second wall around the registry: what is let through passes, all else does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from filed import Desk
from flask import Flask
from mlflow.entities.workspace import Workspace, WorkspaceDeletionMode
from mlflow.exceptions import MlflowException
from mlflow.server import workspace_helpers
from mlflow.store.workspace.sqlalchemy_store import SqlAlchemyStore
from mlflow.utils.workspace_context import WorkspaceContext
from promotions import exemption, rules
from servers import Database

from mlflow_rank.audit import triggers
from mlflow_rank.registry.gate.workspace_door import guard_workspaces
from mlflow_rank.workflow.gating import build_store


@dataclass(frozen=True)
class Teams:
    """Two workspaces of models that are left alone, in a registry with triggers, and a server that deletes them."""

    registry: Any
    workspaces: SqlAlchemyStore
    app: Flask

    def delete(self, name: str, mode: str) -> Any:
        """Ask the server to delete a workspace."""
        return self.app.test_client().delete(f"/api/3.0/mlflow/workspaces/{name}?mode={mode}")

    def aliases(self) -> list[tuple[str, str]]:
        with self.registry.engine.connect() as connection:
            asked = "SELECT workspace, name FROM registered_model_aliases ORDER BY workspace, name"
            return [tuple(row) for row in connection.exec_driver_sql(asked)]


@pytest.fixture(scope="module")
def teams(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Teams]:
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('database') / 'mlflow.db'}")
    environment = rules(Desk.laid(tmp_path_factory.mktemp("desk")), exemption("free-*"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setenv("MLFLOW_ENABLE_WORKSPACES", "true")
        registry, workspaces = build_store(database.gated), SqlAlchemyStore(database.uri)
        for name in ("red", "blue"):
            workspaces.create_workspace(Workspace(name))
            with WorkspaceContext(name):
                registry.create_registered_model(f"free-{name}")
                registry.create_model_version(f"free-{name}", "s3://b/1")
                registry.set_registered_model_alias(f"free-{name}", "champion", "1")
        with registry.engine.begin() as connection:
            triggers.install(connection, "ann", at=datetime.now(UTC))
        patch.setattr(workspace_helpers, "_workspace_store", workspaces)
        app = Flask("workspaces")

        @app.delete("/api/3.0/mlflow/workspaces/<workspace_name>")
        def delete(workspace_name: str) -> str:
            from flask import request

            workspaces.delete_workspace(workspace_name, WorkspaceDeletionMode[request.args["mode"]])
            return "{}"

        guard_workspaces(app, lambda: registry.gate)
        yield Teams(registry, workspaces, app)
        registry._dispose_engine()
        workspaces._engine.dispose()


def test_a_workspace_is_deleted_through_the_server_and_not_past_it(teams: Teams) -> None:
    for mode in (WorkspaceDeletionMode.CASCADE, WorkspaceDeletionMode.SET_DEFAULT):
        with pytest.raises(MlflowException, match="mlflow_rank: "):
            teams.workspaces.delete_workspace("red", mode)
    assert teams.aliases() == [("blue", "free-blue"), ("red", "free-red")]

    assert teams.delete("red", "CASCADE").status_code == 200
    assert teams.aliases() == [("blue", "free-blue")]
    assert teams.delete("blue", "SET_DEFAULT").status_code == 200
    assert teams.aliases() == [("default", "free-blue")]

    with teams.registry.engine.connect() as connection:
        assert triggers.check(connection).stands
