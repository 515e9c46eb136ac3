"""The files of a registered version, hashed where they lie: a digest of what consumers would load now."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from mlflow_rank.errors import EvidenceError, MlflowRankError
from mlflow_rank.evidence.file_manifest import FileManifest, ManifestEntry, file_manifest

if TYPE_CHECKING:
    from mlflow import MlflowClient

_BLOCK = 1 << 20
_DEEPEST = 32  # copies of copies, or folders in folders


@dataclass(frozen=True, slots=True)
class Source:
    """Where a version says that its files come from."""

    source: str
    location: str
    run_id: str | None


def files_digest(source: Source, client: MlflowClient) -> str:
    """Return `sha256:…` of the files of a version.

    A directory of this machine is read as it lies there; what a server keeps elsewhere is fetched file by file, and
    each file is dropped as soon as it is hashed.

    Raises:
        EvidenceError: there are no files, they lie outside of the run or model that they are said to be of, or they
            cannot be hashed.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE

    try:
        refuse_foreign(source, client)
        directory = _local_directory(source.location)
        return (file_manifest(directory) if directory is not None else _fetched(source.location)).digest
    except MlflowRankError:
        raise
    except MlflowException as error:
        if error.error_code == "TEMPORARILY_UNAVAILABLE":
            said = "the record of runs and models cannot be read now; nothing was changed, try again"
            raise MlflowException(said, TEMPORARILY_UNAVAILABLE) from error
        raise EvidenceError("the files of this version cannot be read", got=_first_line(error.message)) from error
    except Exception as error:  # the library of each store raises errors of its own
        got = f"{type(error).__name__}: {_first_line(str(error))}"
        raise EvidenceError("the files of this version cannot be read", got=got) from error


def refuse_foreign(source: Source, client: MlflowClient) -> None:
    """Refuse files that lie outside of the artifacts of their own run or logged model.

    Raises:
        EvidenceError: they do, or nothing says whose they are.
    """
    roots: list[str] = []
    try:
        roots += _roots(source, client)
        within = any(_is_within(source.location, root) for root in roots)
    except ValueError:  # it is no address at all
        within = False
    if not within:
        raise EvidenceError(
            "the files of this version are not those of its run or model",
            got=source.location,
            expected=f"within {' or '.join(roots)}" if roots else "a version made of a run or of a logged model",
            remedy="log the model in a run and register that",
        )


def state_of(source: Source) -> str | None:
    """Return a digest that changes whenever a file on this machine is written, which takes no time to find out.

    None for what lies elsewhere, or cannot be read: hashing it says why.
    """
    try:
        directory = _local_directory(source.location)
        if directory is None:
            return None
        state = hashlib.sha256()
        for path, info in _stats(directory):
            fields = (path, info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
            state.update(repr(fields).encode())
        return state.hexdigest()
    except Exception:  # whatever is wrong with it
        return None


def _stats(directory: Path) -> Iterator[tuple[str, os.stat_result]]:
    for folder, folders, files in os.walk(directory):
        folders.sort()
        for name in sorted(files):
            path = Path(folder, name)
            yield str(path), path.lstat()


def _roots(source: Source, client: MlflowClient) -> Iterator[str]:
    """Yield the artifact roots that the files of a version may lie in."""
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact.utils.models import _parse_model_uri

    seen: set[str] = set()
    origin = source
    while urlsplit(origin.source).scheme == "models" and origin.source not in seen and len(seen) < _DEEPEST:
        seen.add(origin.source)
        parsed = _parse_model_uri(origin.source)
        if parsed.model_id is not None:
            yield client.get_logged_model(parsed.model_id).artifact_location
            break
        version = client.get_model_version(parsed.name, parsed.version)  # a copy is of what that one is of
        origin = Source(version.source, source.location, version.run_id)
    run_id = origin.run_id or source.run_id
    if run_id:
        try:
            run = client.get_run(run_id)
        except MlflowException as error:
            if error.error_code == "TEMPORARILY_UNAVAILABLE":
                raise  # nobody knows now whose the files are
            return
        yield run.info.artifact_uri
        for output in getattr(getattr(run, "outputs", None), "model_outputs", None) or ():
            yield client.get_logged_model(output.model_id).artifact_location


def _is_within(location: str, root: str) -> bool:
    """Say whether a location is a root or below it, whatever links and dots are in their names."""
    one, other = urlsplit(location), urlsplit(root)
    if {one.scheme, other.scheme} <= {"", "file"}:
        return Path(_path(location)).resolve().is_relative_to(Path(_path(root)).resolve())
    parts, of = ([_decoded(each) for each in url.path.split("/") if each] for url in (one, other))
    plain = not any(part in (".", "..") or "/" in part or "\\" in part for part in parts)
    return (
        plain
        and (one.scheme.lower(), one.netloc.lower()) == (other.scheme.lower(), other.netloc.lower())
        and bool(of)
        and parts[: len(of)] == of
    )


def _local_directory(location: str) -> Path | None:
    """Return the directory on this machine that a location is, also one that this server keeps for its clients."""
    from mlflow.server import ARTIFACTS_DESTINATION_ENV_VAR
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    url = urlsplit(location)
    if url.scheme in ("", "file"):
        return Path(_path(location))
    destination = os.environ.get(ARTIFACTS_DESTINATION_ENV_VAR)
    if url.scheme == "mlflow-artifacts" and destination:
        repository: Any = get_artifact_repository(destination)
        root = getattr(repository, "artifact_dir", None)
        return None if root is None else Path(root) / _below_destination(location)
    return None


def _fetched(location: str) -> FileManifest:
    """Hash what lies in a store that is reached through MLflow."""
    from mlflow.server import ARTIFACTS_DESTINATION_ENV_VAR
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    url, destination = urlsplit(location), os.environ.get(ARTIFACTS_DESTINATION_ENV_VAR)
    if url.scheme == "mlflow-artifacts" and destination:  # this is the server, which would only ask itself
        location = f"{destination.rstrip('/')}/{_below_destination(location)}"
    repository = get_artifact_repository(location)
    entries = []
    with tempfile.TemporaryDirectory(prefix="mlflow_rank-") as folder:
        for path in _paths(repository, None, 1):
            kept = Path(repository.download_artifacts(path, folder))
            digest, size = hashlib.sha256(), 0
            with kept.open("rb") as file:
                while block := file.read(_BLOCK):
                    digest.update(block)
                    size += len(block)
            kept.unlink()
            entries.append(ManifestEntry(path, size, digest.hexdigest()))
    return FileManifest(tuple(entries))


def _paths(repository: Any, folder: str | None, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        raise EvidenceError("the folders of this version go too deep", got=str(folder), expected=f"{_DEEPEST} at most")
    for each in repository.list_artifacts(folder):
        if each.is_dir:
            yield from _paths(repository, each.path, depth + 1)
        else:
            yield each.path


def _below_destination(location: str) -> str:
    """Return where this server keeps what it hands out under an address: each workspace has its own folder."""
    from mlflow.server.handlers import _get_workspace_scoped_repo_path_if_enabled

    path = unquote(urlsplit(location).path).lstrip("/")
    return str(_get_workspace_scoped_repo_path_if_enabled(path))


def _path(location: str) -> str:
    from mlflow.utils.file_utils import local_file_uri_to_path

    return str(local_file_uri_to_path(location))


def _decoded(part: str) -> str:
    while (plain := unquote(part)) != part:
        part = plain
    return part


def _first_line(text: str) -> str:
    return text.splitlines()[0][:300] if text else "no reason given"
