"""The files of a version in a store elsewhere: hashed within limits, and watched by their listing."""

from __future__ import annotations

import contextvars
import hashlib
import threading
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from queue import Empty, SimpleQueue
from typing import NoReturn

from mlflow_rank.errors import EvidenceError
from mlflow_rank.evidence.file_manifest import FileManifest, ManifestEntry
from mlflow_rank.registry.files.remote_files import MOST_FILES, Listed, RemoteFiles, files_at

MOST_BYTES = 2 * 2**40  # of all files; the largest open weights are about 1.5 TB, an hour at 500 MB/s
LISTED_WITHIN = 3.0  # s; others wait for the lock meanwhile, SQLite's for 20 s at most


class SlowStoreError(Exception):
    """A store did not list the files of a version in time, so that nobody knows whether they changed."""


def remote_manifest(address: str) -> FileManifest:
    """Hash what lies in a store that is reached through MLflow, and keep none of it.

    Raises:
        EvidenceError: there are too many files or bytes, no file, a name that leads elsewhere, or a file that
            changed meanwhile; what else goes wrong is the error of the store.
    """
    files = files_at(address)
    listed = list(_within_limits(files, address))
    entries, left = [], MOST_BYTES
    for file in listed:
        digest, size = hashlib.sha256(), 0
        for block in files.blocks(file):
            digest.update(block)
            size += len(block)
            if size > left:
                _refuse(address, f"more than {MOST_BYTES:,} bytes", f"at most {MOST_BYTES:,} bytes")
        if file.size not in (None, size):
            _refuse(address, f"{size} bytes of {file.path!a}, and a listing that says {file.size}", "whole files")
        left -= size
        entries.append(ManifestEntry(file.path, size, digest.hexdigest()))
    return FileManifest(tuple(entries))


def remote_state(address: str, within: float = LISTED_WITHIN) -> str:
    """Return a digest of the listing of the files: of paths and sizes, and where the store has them, of their marks.

    S3's ETags tell every overwrite. Most other stores tell sizes only, so that bytes of the same length which are
    written between hashing and promoting are not noticed there.

    Args:
        address: of the store.
        within: how many seconds the listing may take.

    Raises:
        SlowStoreError: it took longer; what else goes wrong is the error of the store.
    """
    return _within(within, lambda: _state(address))


def _state(address: str) -> str:
    state = hashlib.sha256()
    for file in sorted(_within_limits(files_at(address), address), key=lambda file: file.path):
        state.update(repr((file.path, file.size, file.mark)).encode())
    return state.hexdigest()


def _within_limits(files: RemoteFiles, address: str) -> Iterator[Listed]:
    total = 0
    for count, file in enumerate(files.listed(), 1):
        total += file.size or 0
        if count > MOST_FILES:
            _refuse(address, f"more than {MOST_FILES:,} files", f"at most {MOST_FILES:,} files")
        if total > MOST_BYTES:
            _refuse(address, f"more than {MOST_BYTES:,} bytes", f"at most {MOST_BYTES:,} bytes")
        parts = file.path.split("/")
        if not {"", ".", ".."}.isdisjoint(parts) or "\x00" in file.path or str(PurePosixPath(file.path)) != file.path:
            _refuse(address, f"a file of the name {file.path!a}", "names that lead to nowhere else")
        yield file


def _refuse(address: str, got: str, expected: str) -> NoReturn:
    raise EvidenceError(
        "the files of this version are not such as can be hashed",
        got=f"{got}, at {address}",
        expected=expected,
        remedy="log a directory that holds the model only, and register that",
    )


def _within(seconds: float, work: Callable[[], str]) -> str:
    """Return what work returns, unless it takes too long: a store that hangs is left behind in a thread of its own."""
    answers: SimpleQueue[str | Exception] = SimpleQueue()

    def carry_out() -> None:
        try:
            answers.put(work())
        except Exception as error:  # raised where it is waited for
            answers.put(error)

    context = contextvars.copy_context()  # MLflow keeps the workspace of a request there
    threading.Thread(target=context.run, args=(carry_out,), name="mlflow_rank-listing", daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except Empty:
        raise SlowStoreError(f"the files could not be listed within {seconds:g} s") from None
    if isinstance(answer, Exception):
        raise answer
    return answer
