"""Read-only routes by which decisions and placements are read over HTTP, by whoever may read the model."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mlflow_rank.errors import LedgerError
from mlflow_rank.policy.targets import canonical_target
from mlflow_rank.registry.gate.outlook import outlook, outlooks
from mlflow_rank.registry.gate.records import API, entry_of, placed
from mlflow_rank.registry.server.artifact_routes import workspace_here
from mlflow_rank.registry.server.health import Serving, health

if TYPE_CHECKING:
    from flask import Flask, Response

    from mlflow_rank.registry.gate.gate import Gate

DECISION = f"{API}/decisions/<decision>"
PLACEMENTS = f"{API}/placements/<name>"
STANDING, EVERY = f"{API}/standing/<name>", f"{API}/standing"
HEALTH = f"{API}/health"
# JSON and nothing else: no page of ours or of others may be made of it
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_ID = re.compile(r"[0-9a-zA-Z:_-]{1,128}")
_ENDPOINT = "mlflow_rank_"
MayRead = Callable[[str], bool]
Body = Mapping[str, object]


def everybody(_: str) -> bool:
    """Say that any model may be read: where nobody is authenticated, MLflow itself says so."""
    return True


def readers_of_basic_auth(name: str) -> bool:
    """Say whether the user who is authenticated may read a registered model."""
    from mlflow.exceptions import MlflowException
    from mlflow.server import auth

    if auth.sender_is_admin():
        return True
    try:
        return bool(auth._get_registered_model_permission(name).can_read)
    except MlflowException:  # there is no such model, which is said in the same words
        return False


def add_record_routes(app: Flask, gate: Callable[[], Gate], *, authenticated: bool) -> None:
    """Add the routes to MLflow's Flask app.

    Args:
        app: before basic-auth has put up its hooks, which would refuse routes that they do not know.
        gate: returns the gate of this server's registry.
        authenticated: whether basic-auth is on; then users must be known, and be allowed to read the model.
    """
    from mlflow.server.handlers import _add_static_prefix

    records = _Records(gate, readers_of_basic_auth if authenticated else everybody, authenticated)
    views: dict[str, tuple[str, Callable[..., Response]]] = {
        f"{_ENDPOINT}decision": (DECISION, records.decision),
        f"{_ENDPOINT}placements": (PLACEMENTS, records.placements),
        f"{_ENDPOINT}standing": (STANDING, records.standing),
        f"{_ENDPOINT}every": (EVERY, records.every),
        f"{_ENDPOINT}health": (HEALTH, records.health),
    }
    for endpoint, (rule, view) in views.items():
        for path in dict.fromkeys((rule, _add_static_prefix(rule))):
            app.add_url_rule(path, endpoint, view, methods=["GET"])

    def authenticate() -> Any:
        from flask import Response, g, request
        from mlflow.server import auth

        if request.endpoint not in views or request.method not in ("GET", "HEAD"):
            return None
        user = auth.authenticate_request()
        if isinstance(user, Response):
            return user
        g.mlflow_authenticated_user = user.username
        return views[request.endpoint][1](**(request.view_args or {}))

    if authenticated:
        app.before_request(authenticate)


class _Records:
    """Answers from the ledger; what may not be read is answered like what is not there."""

    def __init__(self, gate: Callable[[], Gate], may_read: MayRead, authenticated: bool) -> None:
        self._gate, self._may_read, self._authenticated = gate, may_read, authenticated

    def decision(self, decision: str) -> Response:
        """Answer with a decision, its signed envelope and its checkpoint."""
        missing = "there is no such decision, or its model is not yours to read"
        if not _ID.fullmatch(decision):
            return _no(missing)
        with self._gate().sessions.reading() as session:
            entry = entry_of(session, decision)
        if entry is None or entry.model is None or entry.workspace != _workspace() or not self._may_read(entry.model):
            return _no(missing)
        try:
            body = entry.content
        except LedgerError:
            return _no("what this decision says was erased from the ledger", status=410)
        shown = {name: body.get(name) for name in ("decision", "envelope", "checkpoint")}
        where = {"workspace": entry.workspace, "model": entry.model, "version": entry.version, "target": entry.target}
        return _json({"id": decision, "number": entry.number, "at": entry.at, **where, **shown})

    def placements(self, name: str) -> Response:
        """Answer with what the ledger put at the targets of a model."""
        if not self._may_read(name):
            return _no("there is no such model, or it is not yours to read")
        with self._gate().sessions.reading() as session:
            found = placed(session, _workspace(), name)
        listed = [{"target": each.target, "version": each.version, "decision": each.decision} for each in found]
        return _json({"workspace": _workspace(), "model": name, "placements": listed})

    def standing(self, name: str) -> Response:
        """Answer with how a model stands, and a version and a target of it that the query names."""
        from flask import request
        from mlflow.exceptions import MlflowException

        if not self._may_read(name):
            return _no("there is no such model, or it is not yours to read")
        version, target = request.args.get("version"), request.args.get("target")
        try:
            canonical = None if target is None else canonical_target(target)
            return _json(outlook(self._gate(), _workspace(), name, version, canonical))
        except (MlflowException, ValueError) as error:
            return _no(error.message if isinstance(error, MlflowException) else str(error))

    def every(self) -> Response:
        """Answer with how all models stand that the user may read and of which something is placed or open."""
        return _json({"models": list(outlooks(self._gate(), _workspace(), self._may_read))})

    def health(self) -> Response:
        """Answer with what the gate says of itself; what it says of models that are not the user's is only counted."""
        from mlflow.server.constants import REGISTRY_STORE_URI_ENV_VAR
        from mlflow.server.handlers import _get_model_registry_store

        self._gate()  # or this is refused
        scheme = os.environ.get(REGISTRY_STORE_URI_ENV_VAR, "").partition(":")[0]
        serving = Serving(scheme, server=True, authenticated=self._authenticated)
        return _json(health(_get_model_registry_store(), serving, self._may_read))


def _workspace() -> str:
    return workspace_here() or "default"


def _no(sentence: str, status: int = 404) -> Response:
    return _json({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": sentence}, status)


def _json(body: Body, status: int = 200) -> Response:
    from flask import Response

    return Response(json.dumps(body), status, mimetype="application/json", headers=HEADERS)
