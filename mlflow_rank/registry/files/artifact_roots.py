"""Where the files of a version may lie: among those of its own run or model, and where this server may read at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from mlflow_rank.errors import EvidenceError

if TYPE_CHECKING:
    from mlflow import MlflowClient

ROOTS = "MLFLOW_RANK_ARTIFACT_ROOTS"
_DEEPEST = 32  # copies of copies
_LOCAL = ("", "file")
_MOST_KNOWN = 10_000  # roots that are remembered: about 3 MB
_KNOWN: dict[tuple[str, str, str], str] = {}  # a run or model never gets another root; reading a run takes 20 queries


def own_roots(source: str, run_id: str | None, client: MlflowClient) -> Iterator[str]:
    """Yield the artifact roots that the files of a version may lie in, the likely one first.

    Args:
        source: what the version says that it was made of; a copy is of what its original is of.
        run_id: of the run that it says it is of.
        client: reads runs, logged models and versions.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact.utils.models import _parse_model_uri

    seen: set[str] = set()
    origin, of_origin = source, run_id
    while urlsplit(origin).scheme == "models" and origin not in seen and len(seen) < _DEEPEST:
        seen.add(origin)
        parsed = _parse_model_uri(origin)
        if parsed.model_id is not None:
            yield _root_of_model(parsed.model_id, client)
            break
        version = client.get_model_version(parsed.name, parsed.version)
        origin, of_origin = version.source, version.run_id
    known_run = of_origin or run_id
    if not known_run:
        return
    kept = _KNOWN.get(_key(client, known_run))
    if kept is not None:
        yield kept
    try:
        run = client.get_run(known_run)
    except MlflowException as error:
        if error.error_code == "TEMPORARILY_UNAVAILABLE":
            raise  # nobody knows now whose the files are
        return
    yield _remembered(_key(client, known_run), run.info.artifact_uri)
    for output in getattr(getattr(run, "outputs", None), "model_outputs", None) or ():
        yield _root_of_model(output.model_id, client)


def is_within(location: str | Path, root: str) -> bool:
    """Say whether a location is a root or below it, whatever links and dots are in their names.

    Raises:
        ValueError: one of them is no address.
    """
    other = urlsplit(root)
    if isinstance(location, Path) or urlsplit(location).scheme in _LOCAL:
        path = location if isinstance(location, Path) else local_path(location)
        return other.scheme in _LOCAL and path.resolve().is_relative_to(local_path(root).resolve())
    one = urlsplit(location)
    parts, of = ([_decoded(each) for each in url.path.split("/") if each] for url in (one, other))
    plain = not any(part in (".", "..") or "/" in part or "\\" in part for part in parts)
    return (
        plain
        and (one.scheme.lower(), one.netloc.lower()) == (other.scheme.lower(), other.netloc.lower())
        and bool(of or other.netloc)
        and parts[: len(of)] == of
    )


def place_of(location: str) -> Path | str:
    """Return where files really lie: a directory on this machine, or the address of a store elsewhere.

    What this server hands out to its clients lies at its own artifacts destination.

    Raises:
        ValueError: it is no address.
    """
    from mlflow.server import ARTIFACTS_DESTINATION_ENV_VAR

    url, destination = urlsplit(location), os.environ.get(ARTIFACTS_DESTINATION_ENV_VAR)
    if url.scheme in _LOCAL:
        return local_path(location)
    if url.scheme != "mlflow-artifacts" or not destination:
        return location
    below = _below_destination(url.path)
    if urlsplit(destination).scheme in _LOCAL:
        return local_path(destination) / below
    if {"?", "#"} & set(below):  # which would end the path of an address
        raise ValueError(f"{location} cannot be an address below {destination}")
    return f"{destination.rstrip('/')}/{below}"


def refuse_outside_of_allowed(location: str) -> None:
    """Refuse files outside of the places that MLFLOW_RANK_ARTIFACT_ROOTS names; where it is not set, none are.

    Whoever makes an experiment chooses where the artifacts of its runs lie, so that a run's own root may be any
    directory that this server can read.

    Raises:
        EvidenceError: they lie elsewhere, also by a link or by `..`.
        ValueError: the location is no address.
    """
    written = os.environ.get(ROOTS)
    if not written:
        return
    roots = [each.strip() for each in written.split(",") if each.strip()]
    place = place_of(location)
    if not any(is_within(place, root) for root in roots):
        raise EvidenceError(
            "the files of this version lie where the gate may not read",
            got=str(location),
            expected=f"within {' or '.join(roots)}" if roots else f"a place that {ROOTS} names; it names none",
            remedy=f"log the model to an experiment whose artifacts lie there, or add their place to {ROOTS}",
        )


def local_path(location: str) -> Path:
    """Return the path of an address on this machine, as MLflow understands it."""
    from mlflow.utils.file_utils import local_file_uri_to_path

    return Path(str(local_file_uri_to_path(location)))


def _root_of_model(model_id: str, client: MlflowClient) -> str:
    key = _key(client, model_id)
    return _KNOWN.get(key) or _remembered(key, client.get_logged_model(model_id).artifact_location)


def _key(client: MlflowClient, name: str) -> tuple[str, str, str]:
    """Return under what a root is remembered: a run of one workspace is nobody's in another."""
    from mlflow.utils.workspace_context import get_request_workspace

    return (str(getattr(client, "tracking_uri", "")), get_request_workspace() or "", name)


def _remembered(key: tuple[str, str, str], root: str) -> str:
    if key[0]:  # else nobody knows whose run it is
        if len(_KNOWN) >= _MOST_KNOWN:
            _KNOWN.clear()
        _KNOWN[key] = root
    return root


def _below_destination(path: str) -> str:
    """Return where this server keeps what it hands out under an address: each workspace has its own folder."""
    from mlflow.server.handlers import _get_workspace_scoped_repo_path_if_enabled

    return str(_get_workspace_scoped_repo_path_if_enabled(unquote(path).lstrip("/")))


def _decoded(part: str) -> str:
    while (plain := unquote(part)) != part:
        part = plain
    return part
