"""What goes round the gate from here: only what was found, each with what to do about it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mlflow_rank.registry.server.checkup import Check
from mlflow_rank.workflow.plain_addresses import plain_addresses

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from mlflow_rank.registry.clients.health_document import Health

GATED = "rank+"
_DATABASES = ("sqlite", "postgresql", "postgres", "mysql", "mariadb", "mssql")
_CLIENTS = ("MLFLOW_REGISTRY_URI", "MLFLOW_TRACKING_URI")
_SERVERS = ("MLFLOW_REGISTRY_STORE_URI", "MLFLOW_BACKEND_STORE_URI", "MLFLOW_RANK_DATABASE")
_DESTINATIONS = ("MLFLOW_ARTIFACTS_DESTINATION", "_MLFLOW_SERVER_ARTIFACT_DESTINATION")
_PAGE = 200  # models or experiments of one answer
_MOST = 50  # lines that are shown of anything


@dataclass(frozen=True, slots=True)
class Here:
    """Where the gate is looked at from: MLflow's client, the environment, and directories of code."""

    client: MlflowClient
    environment: Mapping[str, str]
    scanned: Sequence[Path] = ()

    @property
    def registry(self) -> str:
        """The address of the registry that is looked at."""
        return str(self.client._registry_uri)


def bypasses(here: Here, health: Health | None) -> Iterator[Check]:
    """Yield what goes round the gate from here.

    Args:
        here: where it is looked at from.
        health: what the gate says of itself; None where it says nothing.

    Raises:
        UsageError: a directory that is to be scanned is not there.
    """
    yield from _registry_in_use(here)
    yield from _databases(here)
    if health is not None and health.serving.server and not health.serving.authenticated:
        said = "everybody is anonymous: nobody knows who asks, and whoever reaches the server may delete and register"
        yield Check("basic-auth off", "warn", said, "start the server with --basic-auth")
    if health is not None and not health.triggers.stands:
        said = "a plain mlflow server or client on the same database can move every alias: no triggers stop it"
        yield Check("plain database client", "warn", said, "mlflow-rank db install --registry-uri URI of the database")
    yield from _artifacts(here)
    yield from _latest(here)
    yield from _scanned(here)


def _registry_in_use(here: Here) -> Iterator[Check]:
    """Yield the registry that MLflow uses in this environment, where that is not the one that is looked at."""
    name = next((each for each in _CLIENTS if here.environment.get(each)), None)
    uri = "" if name is None else here.environment[name]
    if name is None or uri.startswith(GATED) or uri.rstrip("/") == here.registry.rstrip("/"):
        return
    if urlsplit(uri).scheme in ("http", "https"):
        said = f"{name} is {_shown(uri)}, another server, which was not looked at"
        yield Check("another server", "warn", said, f"mlflow-rank doctor --tracking-uri {_shown(uri)}")
        return
    said = f"{name} is {_shown(uri)}: what MLflow does in this environment passes no gate"
    yield Check("plain registry", "fail", said, f"set {name} to the gated server, or write rank+ before the address")


def _databases(here: Here) -> Iterator[Check]:
    """Yield the databases that this user can open."""
    named = {f"{name} in the environment": here.environment.get(name, "") for name in (*_CLIENTS, *_SERVERS)}
    named = {"the registry's address": here.registry} | named
    seen: set[str] = set()
    for name, uri in named.items():
        plain = uri.removeprefix(GATED)
        if _kind(plain) not in _DATABASES or plain in seen:
            continue
        seen.add(plain)
        if _kind(plain) != "sqlite":
            said = f"{name} opens the database {_shown(plain)}: whoever may do that can drop triggers and write aliases"
            yield Check("database credentials", "warn", said, "give the database's password to the server's user alone")
            continue
        path = Path(urlsplit(plain).path.removeprefix("/"))
        rights = [word for word, right in (("read", os.R_OK), ("write", os.W_OK)) if os.access(path, right)]
        if path.is_file() and rights:
            said = f"this user may {' and '.join(rights)} {path} ({name}), past the gate and the triggers"
            yield Check("database file", "warn", said, "let the file belong to the server's user, with mode 600")


def _artifacts(here: Here) -> Iterator[Check]:
    """Yield the places of files on this machine that this user may write to without the server."""
    from mlflow.exceptions import MlflowException

    places = [here.environment.get(name, "") for name in _DESTINATIONS]
    try:
        places += [each.artifact_location for each in _pages(here.client.search_experiments, max_results=_PAGE)]
    except MlflowException:
        said = "this user may not list the experiments, so nobody knows where their files lie"
        yield Check("artifacts", "warn", said)
    own = sorted({str(path) for path in map(_directory, places) if path is not None and os.access(path, os.W_OK)})
    if own:
        said = f"this user may write to {len(own)} places of artifacts directly; only load_model refuses changed files"
        remedy = "serve artifacts through the server (mlflow-artifacts:), from a place of its own user"
        yield Check("artifact root", "warn", said, remedy, tuple(own[:_MOST]))


def _latest(here: Here) -> Iterator[Check]:
    """Yield the models of which `latest` is another version than the champion."""
    from mlflow.exceptions import MlflowException

    other = []
    try:
        for model in _pages(here.client.search_registered_models, max_results=_PAGE):
            champion = dict(model.aliases or {}).get("champion")
            last = max((int(each.version) for each in model.latest_versions or ()), default=None)
            if champion is not None and last is not None and str(last) != str(champion):
                other.append(f"models:/{model.name}/latest is version {last}, and the champion is {champion}")
    except MlflowException:
        return  # who may not list models is told so elsewhere
    if other:
        said = f"models whose models:/NAME/latest is no champion: {len(other)}"
        remedy = "deploy models:/NAME@champion; --scan DIR finds who does not"
        yield Check("latest", "warn", said, remedy, tuple(other[:_MOST]))


def _scanned(here: Here) -> Iterator[Check]:
    """Yield code that names a version by its number, or as the latest."""
    found = list(plain_addresses(here.scanned))
    if found:
        latest = sum(each.latest for each in found)
        said = f"{latest} addresses of the latest version and {len(found) - latest} of a number, in what was scanned"
        shown = tuple(map(str, found[:_MOST]))
        more = (f"and {len(found) - _MOST} more",) if len(found) > _MOST else ()
        yield Check("addresses in code", "warn", said, "write models:/NAME@champion instead", shown + more)


def _pages(search: Any, **how: Any) -> Iterator[Any]:
    token = None
    while True:
        page = search(page_token=token, **how)
        yield from page
        token = page.token
        if not token:
            return


def _directory(place: str) -> Path | None:
    from mlflow_rank.registry.files.artifact_roots import local_path

    if not place or urlsplit(place).scheme not in ("", "file"):
        return None
    path = local_path(place)
    while not path.exists() and path != path.parent:  # what is not made yet can be made by who may write above it
        path = path.parent
    return path


def _kind(uri: str) -> str:
    return uri.partition("://")[0].partition("+")[0] if "://" in uri else ""


def _shown(uri: str) -> str:
    """Return an address without its password."""
    parts = urlsplit(uri)
    return uri if parts.password is None else uri.replace(f":{parts.password}@", ":***@", 1)
