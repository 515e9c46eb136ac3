"""The table of MLflow's routes that write artifacts, and which places a request to one of them would write to.

A route that a newer MLflow adds is in no row: a test then fails, and until somebody has decided it is refused.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from mlflow_rank.registry.server.artifact_places import Place, place_of, proxied_place

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
Writes = Literal["path", "part of a file", "file of a run", "by an address", "nothing"]


@dataclass(frozen=True, slots=True)
class ArtifactRoute:
    """A route, with its path as Flask spells it and without a static prefix, and what it writes to."""

    method: str
    path: str
    writes: Writes


_PROXY = tuple(f"{api}/mlflow-artifacts" for api in ("/api/2.0", "/ajax-api/2.0"))
_BY_ADDRESS = tuple(f"{api}/mlflow/artifacts/presigned" for api in ("/api/2.0", "/ajax-api/2.0"))
ROUTES = (
    *(ArtifactRoute("PUT", f"{proxy}/artifacts/<path:artifact_path>", "path") for proxy in _PROXY),
    *(ArtifactRoute("DELETE", f"{proxy}/artifacts/<path:artifact_path>", "path") for proxy in _PROXY),
    *(ArtifactRoute("POST", f"{proxy}/mpu/create/<path:artifact_path>", "part of a file") for proxy in _PROXY),
    *(ArtifactRoute("POST", f"{proxy}/mpu/complete/<path:artifact_path>", "part of a file") for proxy in _PROXY),
    *(ArtifactRoute("POST", f"{proxy}/mpu/abort/<path:artifact_path>", "part of a file") for proxy in _PROXY),
    *(ArtifactRoute("POST", f"{presigned}-upload-url", "by an address") for presigned in _BY_ADDRESS),
    *(ArtifactRoute("POST", f"{presigned}-download-url", "nothing") for presigned in _BY_ADDRESS),
    ArtifactRoute("POST", "/ajax-api/2.0/mlflow/upload-artifact", "file of a run"),
)
_TABLE = {(route.method, route.path): route for route in ROUTES}
NATIVE_PREFIXES = tuple(f"{proxy}/artifacts/" for proxy in _PROXY)  # served by FastAPI, past Flask


def is_about_artifacts(path: str) -> bool:
    """Say whether a path may lead to artifacts, by its words."""
    return any(word in path for word in ("artifact", "upload", "presigned"))


def route_of(method: str, rule: str, static_prefix: str = "") -> ArtifactRoute | None:
    """Return the row of the table for a rule of Flask's."""
    if static_prefix and rule.startswith(static_prefix):
        rule = rule.removeprefix(static_prefix)
    return _TABLE.get((method, rule))


def destination_of_server() -> Place | None:
    """Return where this server keeps what is written through it; None where it serves no artifacts."""
    from mlflow.server.constants import ARTIFACTS_DESTINATION_ENV_VAR

    destination = os.environ.get(ARTIFACTS_DESTINATION_ENV_VAR)
    return None if not destination else place_of(destination, destination=None, workspace=None)


def workspace_here() -> str | None:
    """Return the workspace that a request is made in, None where workspaces are not in use."""
    from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES
    from mlflow.utils.workspace_context import get_request_workspace

    return str(get_request_workspace() or "default") if MLFLOW_ENABLE_WORKSPACES.get() else None


def written_through_proxy(path: str) -> set[Place]:
    """Return the places that a path under the artifact proxy may stand for: as MLflow reads it, and as disks do."""
    from mlflow.exceptions import MlflowException
    from mlflow.server.handlers import _get_workspace_scoped_repo_path_if_enabled
    from mlflow.utils.uri import validate_path_is_safe

    destination, workspace = destination_of_server(), workspace_here()
    found = {proxied_place(path, destination=destination, workspace=workspace)}
    with suppress(MlflowException, ValueError):  # what MLflow cannot read, it refuses by itself
        as_mlflow = _get_workspace_scoped_repo_path_if_enabled(validate_path_is_safe(path))
        found.add(proxied_place(str(as_mlflow), destination=destination, workspace=workspace))
    return found


def written_by_request(route: ArtifactRoute) -> set[Place]:
    """Return the places that the request at hand (of Flask's) would write to."""
    from flask import request

    arguments: dict[str, Any] = request.view_args or {}
    if route.writes == "path":
        return written_through_proxy(str(arguments["artifact_path"]))
    if route.writes == "part of a file":
        return set(_parts_of_files(str(arguments["artifact_path"])))
    if route.writes == "file of a run":
        return set(_below_address(run_id=request.args.get("run_uuid", ""), path=request.args.get("path", "")))
    if route.writes == "by an address":
        return set(_by_address())
    return set()


def _parts_of_files(folder: str) -> Iterator[Place]:
    """Yield where the parts of a file are put together: in the folder of the path, by the last name in the body."""
    from mlflow.protos.mlflow_artifacts_pb2 import CreateMultipartUpload

    named = _message(CreateMultipartUpload(), "path")
    for name in {named, posixpath.basename(named.replace("\\", "/"))}:
        yield from written_through_proxy(f"{folder}/{name}")


def _by_address() -> Iterator[Place]:
    from mlflow.protos.service_pb2 import CreatePresignedUploadUrl

    run_id, model_id, path = (_message(CreatePresignedUploadUrl(), name) for name in ("run_id", "model_id", "path"))
    yield from _below_address(run_id=run_id, model_id=model_id, path=path)


def _below_address(*, run_id: str = "", model_id: str = "", path: str) -> Iterator[Place]:
    """Yield where a file of a run or of a logged model lies; nothing where there is none: MLflow will say so."""
    from mlflow.exceptions import MlflowException
    from mlflow.server.handlers import _get_tracking_store

    store, folders = _get_tracking_store(), list[str]()
    with suppress(MlflowException):
        if run_id:
            info = store.get_run(run_id).info
            folders.append(info.artifact_uri)
            # the pages upload into this folder of the proxy, whatever the run's own address is
            yield from written_through_proxy(f"{info.experiment_id}/{info.run_id}/artifacts/{path}")
        if model_id:
            folders.append(store.get_logged_model(model_id).artifact_location)
    for folder in folders:
        yield place_of(folder, destination=destination_of_server(), workspace=workspace_here()).below(path)


def _message(kind: Any, field: str) -> str:
    """Return a field of the request's body as MLflow's own handler reads it; "" where it cannot."""
    from mlflow.exceptions import MlflowException
    from mlflow.server.handlers import _get_request_message

    try:
        return str(getattr(_get_request_message(kind), field))
    except (MlflowException, ValueError):
        return ""
