"""The door that is not in the registry's store: deleting a workspace deletes its models, or moves them to another one.

MLflow lets its workspace store do that, past every method of the registry; so it is stopped where the request comes in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mlflow_rank.audit import ledger
from mlflow_rank.policy.scope import standing
from mlflow_rank.registry.call import Call

if TYPE_CHECKING:
    from flask import Flask, Response

    from mlflow_rank.registry.gate import Gate

DOOR = "delete_workspace"
_RULE = "/mlflow/workspaces/<workspace_name>"


def guard_workspaces(app: Flask, gate: Callable[[], Gate]) -> None:
    """Refuse to delete a workspace with a protected placement in it, in whatever mode; call this after basic-auth."""

    def check() -> Response | None:
        from flask import Response, request
        from mlflow.exceptions import MlflowException

        if request.url_rule is None or request.method != "DELETE" or not request.url_rule.rule.endswith(_RULE):
            return None
        try:
            refuse_to_delete(gate(), str((request.view_args or {}).get("workspace_name")))
        except MlflowException as error:
            return Response(error.serialize_as_json(), error.get_http_status_code(), mimetype="application/json")
        return None

    app.before_request(check)


def refuse_to_delete(gate: Gate, workspace: str) -> None:
    """Refuse, and record that, where something in a workspace is protected.

    Raises:
        MlflowException: something is (403).
    """
    with gate.sessions.reading() as session:
        placed = ledger.placements(session, workspace=workspace)
    policies = [policy for _, policy in gate.rules().policies]
    for each in placed:
        if not standing(policies, each.model, each.target).left_alone:
            call = Call.here(DOOR, workspace, (each.model,), {"workspace": workspace}, version=each.version)
            where = f"{each.target} of {each.model} points at version {each.version} in workspace {workspace}"
            gate.refuse(call, f"{where}, which would go with it", target=each.target)
