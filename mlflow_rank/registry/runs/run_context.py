"""What every MLflow run says of this package, wherever it is installed: its version, and the policies in sight.

MLflow loads this file whenever it is imported, so it imports nothing that costs anything; it meets the interface of
`mlflow.tracking.context.abstract_context.RunContextProvider` without deriving from it. What a run says here is for
people: anybody can write tags, and no decision reads them.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import mlflow_rank

VERSION, POLICIES = "mlflow_rank.version", "mlflow_rank.policies"
UNREADABLE = "unreadable"
_VARIABLE = "MLFLOW_RANK_POLICIES"  # as the gate has it
_ENDINGS = (".yaml", ".yml")
_NO_POLICY = "trust.yaml"  # says whose keys are believed
_MOST_ENTRIES = 200  # listed and read in about 3 ms; a run must not wait for somebody's whole disk
_MOST_BYTES = 4 * 2**20  # hashed in about 3 ms; a policy has some kilobytes


class RankRunContext:
    """Tags a new run with the version of this package and, where MLFLOW_RANK_POLICIES is set, with its policies."""

    def in_context(self) -> bool:
        """Return that there is something to say, as there always is."""
        return True

    def tags(self) -> dict[str, str]:
        """Return the tags; never raises, as a run must start whatever the policies are."""
        tags = {VERSION: mlflow_rank.__version__}
        place = os.environ.get(_VARIABLE)
        if place:
            tags[POLICIES] = policies_digest(Path(place))
        return tags


def policies_digest(place: Path) -> str:
    """Return the start of the SHA-256 of a policy file, or of all policies in a directory with their names.

    19 characters, `sha256:` included: enough to see whether two runs were made under the same files. Where the files
    lie and what else lies there makes no difference. `unreadable` where a file cannot be read, there is none, or there
    are more than a run may wait for.
    """
    total = hashlib.sha256()
    try:
        files = sorted(_policy_files(place)) if place.is_dir() else [("", place)]
        left = _MOST_BYTES
        for name, path in files:
            data = _content(path, left)
            left -= len(data)
            total.update(f"{name}\0{len(data)}\0".encode("utf-8", "surrogateescape") + data)
    except (OSError, ValueError):  # ValueError: of a path that no system takes
        return UNREADABLE
    return f"sha256:{total.hexdigest()[:12]}" if files else UNREADABLE


def _policy_files(directory: Path) -> Iterator[tuple[str, Path]]:
    """Yield what the gate takes for policies: by name from the directory on, and by path."""
    seen = 0
    for folder, folders, names in os.walk(directory):
        seen += len(folders) + len(names)
        if seen > _MOST_ENTRIES:
            raise ValueError("more files than a run may wait for")
        for name in names:
            path = Path(folder, name)
            if path.suffix.lower() in _ENDINGS and name != _NO_POLICY:
                yield path.relative_to(directory).as_posix(), path


def _content(path: Path, most: int) -> bytes:
    """Return the bytes of a plain file; a pipe would make the run wait for who writes into it."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode) or found.st_size > most:
        raise ValueError("no plain file of a policy's size")
    return path.read_bytes()
