"""Where the health of a gate is asked for: a server, with MLflow's own credentials, or the store in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mlflow_rank.errors import EvidenceError
from mlflow_rank.registry.clients.health_document import Health, read_health
from mlflow_rank.registry.clients.over_http import asked
from mlflow_rank.registry.gate.records import GATED
from mlflow_rank.registry.server.health import Serving, health

if TYPE_CHECKING:
    from mlflow import MlflowClient

Clock = Callable[[], datetime]
_NO_GATE = "there is no gate: the server has no such page, as a plain MLflow server has none"


class NoHealthError(EvidenceError):
    """Nothing says here of itself that it is a gate (exit 3); the canary finds out whether there is one."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What a gate says of itself, and by how much its clock is ahead of the one here, as far as the answer took."""

    health: Health
    ahead: timedelta
    took: timedelta


def is_over_http(uri: str) -> bool:
    """Say whether a registry is reached through a server."""
    return urlsplit(uri).scheme in ("http", "https")


def examined(client: MlflowClient, clock: Clock) -> Examined:
    """Ask the gate of a client's registry how it is.

    Args:
        client: of the registry.
        clock: the time here, with its zone.

    Raises:
        NoHealthError: there is no gate, or a server that is not `mlflow-rank server`.
        EvidenceError: it does not answer, or not this user.
    """
    uri = str(client._registry_uri)
    before = clock()
    if is_over_http(uri):
        said = _asked(uri)
    elif uri.startswith(GATED):
        store: Any = client._get_registry_client().store
        said = health(store, Serving(urlsplit(uri).scheme))
    else:
        scheme = urlsplit(uri).scheme or "files"
        raise NoHealthError("there is no gate before this registry", got=f"{scheme}, opened directly")
    after = clock()
    found = read_health(said)
    return Examined(found, datetime.fromisoformat(found.now) - (before + (after - before) / 2), after - before)


def _asked(uri: str) -> Any:
    answer = asked(uri, "health", what="the gate cannot be asked how it is")
    if answer.status in (404, 405):
        raise NoHealthError(_NO_GATE, got=f"HTTP {answer.status}")
    if answer.status in (401, 403):
        raise EvidenceError(
            "the server does not tell this user how its gate is",
            got=f"HTTP {answer.status}",
            remedy="set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to a user of the server",
        )
    if answer.status != 200 or not answer.body:
        raise NoHealthError("what the server answers is not what a gate says of itself", got=f"HTTP {answer.status}")
    return answer.body
