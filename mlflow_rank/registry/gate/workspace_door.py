"""The door that is not in the registry's store: deleting a workspace deletes its models, or moves them to another one.

MLflow lets its workspace store do that, past every method of the registry; so it is stopped where the request comes in.
What is let through opens the gate in MLflow's own transaction, or the triggers of the second wall would refuse it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mlflow_rank.audit import ledger
from mlflow_rank.audit.tables import head_table
from mlflow_rank.policy.scope import standing
from mlflow_rank.registry.gate.call import Call

if TYPE_CHECKING:
    from flask import Flask, Response
    from sqlalchemy.orm import Session

    from mlflow_rank.registry.gate.gate import Gate
    from mlflow_rank.registry.gate.joined_sessions import MakeSession

DOOR = "delete_workspace"
_RULE = "/mlflow/workspaces/<workspace_name>"
_LET_THROUGH = "mlflow_rank_workspace_let_through"  # in `flask.g`, which lasts as long as the request


def guard_workspaces(app: Flask, gate: Callable[[], Gate]) -> None:
    """Refuse to delete a workspace with a protected placement in it, in whatever mode; call this after basic-auth."""

    def check() -> Response | None:
        from flask import Response, g, request
        from mlflow.exceptions import MlflowException
        from mlflow.server.handlers import _get_workspace_store

        if request.url_rule is None or request.method != "DELETE" or not request.url_rule.rule.endswith(_RULE):
            return None
        try:
            refuse_to_delete(gate(), str((request.view_args or {}).get("workspace_name")))
        except MlflowException as error:
            return Response(error.serialize_as_json(), error.get_http_status_code(), mimetype="application/json")
        setattr(g, _LET_THROUGH, True)
        let_through(_get_workspace_store())
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


def let_through(store: Any) -> None:
    """Have MLflow's workspace store open the gate where a deletion was let through; a store of another kind is left."""
    made = getattr(store, "ManagedSessionMaker", None)
    if made is not None and not isinstance(made, _GateSessions):
        store.ManagedSessionMaker = _GateSessions(made)


class _GateSessions:
    """Stands in for the `ManagedSessionMaker` of MLflow's workspace store."""

    def __init__(self, original: MakeSession) -> None:
        self.original = original

    @contextmanager
    def __call__(self, read_only: bool = True) -> Iterator[Session]:
        """Open a session as MLflow would; the gate is open in it if it deletes what was let through."""
        from flask import g, has_request_context
        from sqlalchemy import inspect

        with self.original(read_only=read_only) as session:
            deletes = not read_only and has_request_context() and getattr(g, _LET_THROUGH, False)
            if not deletes or not inspect(session.connection()).has_table(head_table.name):
                yield session
                return
            ledger.lock(session.connection())
            yield session
            session.flush()
            ledger.release(session)
