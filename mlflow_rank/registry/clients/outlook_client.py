"""Where the outlook is asked for: a server, with MLflow's own credentials, or the gate in this process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, urlencode, urlsplit

from mlflow_rank.errors import EvidenceError, UsageError
from mlflow_rank.registry.clients.outlook_document import Outlook, read_outlook
from mlflow_rank.registry.clients.over_http import asked
from mlflow_rank.registry.gate.records import GATED

if TYPE_CHECKING:
    from mlflow import MlflowClient

_ASK = "a server that `mlflow-rank server` started, or a registry URI that begins with rank+"


class Outlooks(Protocol):
    """What a gate says of its models."""

    def of(self, model: str, version: str | None = None, target: str | None = None) -> Outlook:
        """Return how a model stands, and a version and a target of it."""
        ...

    def every(self) -> list[Outlook]:
        """Return how all models stand of which something is placed or open."""
        ...


def outlooks_of(client: MlflowClient) -> Outlooks:
    """Return where a client's registry says how its models stand.

    Raises:
        UsageError: there is no gate before that registry.
    """
    uri = str(client._registry_uri)
    if urlsplit(uri).scheme in ("http", "https"):
        return OutlooksOverHttp(uri)
    if uri.startswith(GATED):
        return OutlooksInProcess(client)
    raise UsageError(
        "this registry is not behind the gate",
        got=f"a registry of {urlsplit(uri).scheme or 'files'}",
        expected=_ASK,
        remedy="set MLFLOW_TRACKING_URI to the gated server, or give --tracking-uri",
    )


@dataclass(frozen=True, slots=True)
class OutlooksOverHttp:
    """The routes of a server, asked as MLflow's client asks: same credentials, workspace and certificates."""

    uri: str

    def of(self, model: str, version: str | None = None, target: str | None = None) -> Outlook:
        """Return how a model stands, and a version and a target of it.

        Raises:
            UsageError: there is no such model or version, or it is not the user's to read.
            EvidenceError: the server has no gate, or does not answer.
        """
        asked = {name: value for name, value in (("version", version), ("target", target)) if value is not None}
        query = f"?{urlencode(asked)}" if asked else ""
        return read_outlook(self._asked(f"standing/{quote(model, safe='')}{query}"))

    def every(self) -> list[Outlook]:
        """Return how all models stand of which something is placed or open, as far as the user may read them.

        Raises:
            EvidenceError: as `of`.
        """
        listed = self._asked("standing").get("models")
        return [read_outlook(each) for each in listed] if isinstance(listed, list) else []

    def _asked(self, path: str) -> Mapping[str, Any]:
        answer = asked(self.uri, path, what="the gate cannot be asked", expected=_ASK)
        if answer.status == 404 and "message" in answer.body:
            raise UsageError(
                str(answer.body["message"]), got=path.partition("?")[0], expected="a model that you may read"
            )
        if answer.status != 200 or not answer.body:
            raise EvidenceError("the gate cannot be asked", got=answer.in_words, expected=_ASK)
        return answer.body


@dataclass(frozen=True, slots=True)
class OutlooksInProcess:
    """The gate of a store in this process, for whoever may open the database."""

    client: MlflowClient

    def of(self, model: str, version: str | None = None, target: str | None = None) -> Outlook:
        """Return how a model stands, and a version and a target of it.

        Raises:
            UsageError: there is no such model or version.
        """
        from mlflow.exceptions import MlflowException

        from mlflow_rank.registry.gate.outlook import outlook

        store = self.client._get_registry_client().store
        try:
            return read_outlook(outlook(store.gate, store._get_active_workspace(), model, version, target))
        except MlflowException as error:
            raise UsageError(
                str(error.message), got=f"models:/{model}/{version or ''}", expected="a registered version"
            ) from error

    def every(self) -> list[Outlook]:
        """Return how all models stand of which something is placed or open."""
        from mlflow_rank.registry.gate.outlook import outlooks

        store = self.client._get_registry_client().store
        return [read_outlook(each) for each in outlooks(store.gate, store._get_active_workspace())]


def user_of(client: MlflowClient) -> str | None:
    """Return as whom a client says that it asks a server; None where it names nobody."""
    from mlflow.utils.credentials import get_default_host_creds

    uri = str(client._registry_uri)
    return get_default_host_creds(uri).username if urlsplit(uri).scheme in ("http", "https") else None
