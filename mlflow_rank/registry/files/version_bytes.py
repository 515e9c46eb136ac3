"""The files of a registered version, hashed where they lie: a digest of what consumers would load now."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_rank.errors import EvidenceError, MlflowRankError
from mlflow_rank.evidence.file_manifest import file_manifest
from mlflow_rank.registry.files.artifact_roots import is_within, own_roots, place_of, refuse_outside_of_allowed
from mlflow_rank.registry.files.remote_bytes import SlowStoreError, remote_manifest, remote_state

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True, slots=True)
class Source:
    """Where a version says that its files come from."""

    source: str
    location: str
    run_id: str | None


def files_digest(source: Source, client: MlflowClient) -> str:
    """Return `sha256:…` of the files of a version.

    A directory of this machine is read as it lies there; what a server keeps elsewhere is read over the network, and
    no file of it is kept.

    Raises:
        EvidenceError: there are no files, they lie outside of the run or model that they are said to be of or where
            the gate may not read, or they cannot be hashed.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE

    try:
        refuse_foreign(source, client)
        place = place_of(source.location)
        return (file_manifest(place) if isinstance(place, Path) else remote_manifest(place)).digest
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
    """Refuse files that lie outside of the artifacts of their own run or logged model, or where the gate may not read.

    Raises:
        EvidenceError: they do, or nothing says whose they are.
    """
    roots: list[str] = []
    within = False
    try:
        for root in own_roots(source.source, source.run_id, client):
            roots += [] if root in roots else [root]
            within = is_within(source.location, root)
            if within:
                refuse_outside_of_allowed(source.location)
                return
    except ValueError:  # it is no address at all
        pass
    raise EvidenceError(
        "the files of this version are not those of its run or model",
        got=source.location,
        expected=f"within {' or '.join(roots)}" if roots else "a version made of a run or of a logged model",
        remedy="log the model in a run and register that",
    )


def state_of(source: Source) -> str | None:
    """Return a digest that changes whenever a file is written, which takes little time to find out.

    On this machine it is of what the file system says of each file; elsewhere of the store's listing, see
    `remote_state`. It is read before hashing, and once more under the lock, right before the verdict: a listing takes
    tens of milliseconds, for which other changes of the registry wait, and a store that hangs is given up in seconds.
    None for what cannot be read: hashing it says why.

    Raises:
        MlflowException: a store elsewhere does not answer in time (503).
    """
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE

    try:
        refuse_outside_of_allowed(source.location)
        place = place_of(source.location)
        if not isinstance(place, Path):
            return remote_state(place)
        state = hashlib.sha256()
        for path, info in _stats(place):
            fields = (path, info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
            state.update(repr(fields).encode())
        return state.hexdigest()
    except SlowStoreError as error:
        said = f"the store of this version's files is too slow: {error}; nothing was changed, try again"
        raise MlflowException(said, TEMPORARILY_UNAVAILABLE) from error
    except Exception:  # whatever is wrong with it
        return None


def _stats(directory: Path) -> Iterator[tuple[str, os.stat_result]]:
    for folder, folders, files in os.walk(directory):
        folders.sort()
        for name in sorted(files):
            path = Path(folder, name)
            yield str(path), path.lstat()


def _first_line(text: str) -> str:
    return text.splitlines()[0][:300] if text else "no reason given"
