"""What `mlflow server --app-name mlflow-rank` serves: MLflow's own app, with the seal and the routes of the record."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mlflow_rank.errors import MissingDependencyError, UsageError
from mlflow_rank.registry.gate.ended_emergencies import end_emergencies
from mlflow_rank.registry.gate.workspace_door import guard_workspaces
from mlflow_rank.registry.outside.delivery import deliver
from mlflow_rank.registry.outside.hook_file import hooks_in_force
from mlflow_rank.registry.outside.tending import Chore, Tending, tend
from mlflow_rank.registry.server.artifact_seal import ArtifactSeal
from mlflow_rank.registry.server.record_routes import add_record_routes
from mlflow_rank.registry.server.sealed_app import App, Receive, Scope, Send, seal_fastapi, seal_flask

if TYPE_CHECKING:
    from mlflow_rank.registry.gate.gate import Gate

GATED = "rank+"
_SHUT = "Refused: this server {why}, so it serves nothing; start it with `mlflow-rank server`"


def create_app() -> App:
    """Return MLflow's app with the seal; called in each worker of uvicorn's."""
    return _sealed(authenticated=False)


def create_app_with_basic_auth() -> App:
    """Return the same behind MLflow's basic-auth."""
    return _sealed(authenticated=True)


def bootstrap_basic_auth() -> None:
    """Make the first user of basic-auth, or find out that its configuration is wrong, once for all workers.

    Raises:
        UsageError: MLflow refuses the configuration.
    """
    from mlflow.exceptions import MlflowException

    try:
        from mlflow.server.auth import bootstrap_admin_user, get_flask_server_secret_key
    except ImportError as error:
        raise MissingDependencyError(str(error.name), needed_for="basic-auth", install="'mlflow[auth]'") from error
    try:
        get_flask_server_secret_key()
        bootstrap_admin_user()
    except MlflowException as error:
        raise UsageError("MLflow's basic-auth cannot start", got=" ".join(error.message.split())) from error


def gate_here() -> Gate:
    """Return the gate of this process's registry store.

    Raises:
        MlflowException: the store has none (403): nothing is let through then.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import PERMISSION_DENIED
    from mlflow.server.handlers import _get_model_registry_store

    gate: Gate | None = getattr(_get_model_registry_store(), "gate", None)
    if gate is None:
        raise MlflowException("Refused: this server's registry has no gate.", PERMISSION_DENIED)
    return gate


def deliver_webhooks(stopping: Callable[[], bool]) -> None:
    """Deliver the messages that are due; where nobody is to be told anything, the database is not asked."""
    told = hooks_in_force()
    if not told.hooks:
        return
    from mlflow.server.handlers import _get_model_registry_store

    deliver(_get_model_registry_store().engine, told, stopping=stopping)


def end_break_glasses(stopping: Callable[[], bool]) -> None:
    """Go back from what was placed in an emergency that is over."""
    from mlflow.server.handlers import _get_model_registry_store

    store = _get_model_registry_store()
    end_emergencies(store, store.gate.clock(), stopping)


CHORES = (
    Chore("the end of emergencies", end_break_glasses),
    Chore("the delivery of webhooks", deliver_webhooks),
)
"""What each worker does beside answering."""


def _sealed(*, authenticated: bool) -> App:
    why = _why_not()
    if why is not None:
        return _Shut(_SHUT.format(why=why))
    from mlflow.server import app as flask_app
    from mlflow.server.fastapi_app import create_fastapi_app

    seal = ArtifactSeal(gate_here)
    add_record_routes(flask_app, gate_here, authenticated=authenticated)
    if authenticated:
        from mlflow.server.auth import create_app as with_basic_auth

        app: Any = with_basic_auth(flask_app)
    else:
        app = create_fastapi_app(flask_app)
    guard_workspaces(flask_app, gate_here)
    seal_flask(flask_app, seal)  # after basic-auth, whose hooks come first then
    seal_fastapi(app, seal)
    tend(app, Tending(CHORES))
    sealed: App = app
    return sealed


def _why_not() -> str | None:
    """Return why this process must not serve, None where it may."""
    from mlflow.environment_variables import _MLFLOW_SGI_NAME
    from mlflow.server.constants import ARTIFACTS_ONLY_ENV_VAR, REGISTRY_STORE_URI_ENV_VAR

    if _MLFLOW_SGI_NAME.get() != "uvicorn":
        return "does not run on uvicorn, the only one that the seal of files stands in"
    if os.environ.get(ARTIFACTS_ONLY_ENV_VAR):
        return "serves artifacts only, without the registry that says which of them are in use"
    if not os.environ.get(REGISTRY_STORE_URI_ENV_VAR, "").startswith(GATED):
        return f"has a registry without a gate (its --registry-store-uri does not begin with {GATED})"
    return None


class _Shut:
    """Answers every request with why nothing is served: a worker that ended would be started anew for ever."""

    def __init__(self, sentence: str) -> None:
        self.body = json.dumps({"error_code": "TEMPORARILY_UNAVAILABLE", "message": sentence}).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 503; take part in the server's start and end as it expects."""
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        elif scope["type"] == "http":
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(self.body)).encode())]
            await send({"type": "http.response.start", "status": 503, "headers": headers})
            await send({"type": "http.response.body", "body": self.body})
        else:
            await send({"type": "websocket.close", "code": 1013})  # try again later (RFC 6455's registry)
