"""The digest of a model: of every file in its directory, by name, size and content."""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import NoReturn

from mlflow_rank.errors import EvidenceError, UsageError
from mlflow_rank.evidence.canonical import digest_of

_BLOCK = 2**20  # bytes; larger ones are no faster
_DEEPEST = 64  # directories in one another; each is held open while it is read
_SHOWN = 5  # files of each kind that a difference names
_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)


@dataclass(frozen=True, slots=True, order=True)
class ManifestEntry:
    """One file: its `path` below the directory with `/` between names, its `size` in bytes, 64 hex digits."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class FileManifest:
    """All files of a directory; `entries` are kept in the order of their paths as UTF-8 bytes.

    Raises:
        EvidenceError: there is no entry, or two have the same path.

    >>> FileManifest((ManifestEntry("b", 1, 64 * "0"), ManifestEntry("a", 2, 64 * "1"))).entries[0].path
    'a'
    """

    entries: tuple[ManifestEntry, ...]

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.entries))  # by code point, which is the order of UTF-8 bytes
        if not ordered:
            raise EvidenceError("no file to take a digest of", got="0 files", expected="at least one")
        for entry, following in pairwise(ordered):
            if entry.path == following.path:
                raise EvidenceError("a manifest names one file twice", got=ascii(entry.path), expected="each file once")
        object.__setattr__(self, "entries", ordered)

    @property
    def digest(self) -> str:
        """Return `sha256:…` of `document()` as canonical JSON."""
        return digest_of(self.document())

    @property
    def bytes(self) -> int:
        """Return the size of all files together."""
        return sum(entry.size for entry in self.entries)

    def document(self) -> list[dict[str, object]]:
        """Return the entries as JSON values, in order."""
        return [{"path": entry.path, "size": entry.size, "sha256": entry.sha256} for entry in self.entries]


def file_manifest(directory: Path, *, after: Callable[[int], None] = lambda _: None) -> FileManifest:
    """Read every file below a directory, hidden and empty ones too, and return the manifest of them.

    Nothing is followed and nothing is left out, so that equal digests mean equal trees for whoever reads the files.
    Only directories without a file in them leave no trace; no artifact store keeps those.

    Args:
        directory: may itself be reached through a link.
        after: called with the number of bytes of each block that has been read.

    Raises:
        UsageError: there is no such directory.
        EvidenceError: something in it is no regular file (a link, a pipe, …); a name is not UTF-8; two names in one
            directory differ only in case or in how their letters are composed, so that they would be one file on
            another system; a file changed while it was read, or cannot be read; there is no file.
    """
    try:
        top = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise UsageError(
            "this model directory cannot be read",
            got=f"{str(directory)!a}: {getattr(error, 'strerror', None) or error}",
            expected="a directory",
        ) from error
    try:
        entries = tuple(_Walk(directory, after).entries(top, PurePosixPath(), 1))
    finally:
        os.close(top)
    if not entries:
        raise EvidenceError("this model directory holds no file", got=str(directory), expected="at least one file")
    return FileManifest(entries)


def manifest_difference(expected: FileManifest, found: FileManifest) -> str:
    """Return in words which files are missing, added or changed; "" where there is no difference.

    >>> one = FileManifest((ManifestEntry("a", 1, 64 * "0"), ManifestEntry("b", 2, 64 * "1")))
    >>> other = FileManifest((ManifestEntry("a", 1, 64 * "2"), ManifestEntry("c", 2, 64 * "1")))
    >>> manifest_difference(one, other)
    'missing: b; added: c; changed: a'
    """
    before = {entry.path: entry for entry in expected.entries}
    now = {entry.path: entry for entry in found.entries}
    kinds = {
        "missing": [path for path in before if path not in now],
        "added": [path for path in now if path not in before],
        "changed": [path for path in before if path in now and before[path] != now[path]],
    }
    return "; ".join(f"{kind}: {_named(paths)}" for kind, paths in kinds.items() if paths)


class _Walk:
    """Goes through a tree by open directories, never by paths, so that no name can be swapped for a link meanwhile."""

    def __init__(self, directory: Path, after: Callable[[int], None]) -> None:
        self.directory, self.after = directory, after
        self.block = memoryview(bytearray(_BLOCK))

    def entries(self, here: int, place: PurePosixPath, depth: int) -> Iterator[ManifestEntry]:
        if depth > _DEEPEST:
            self.refuse(place, "directories nested too deep", f"at most {_DEEPEST} in one another")
        with self.readable(place), os.scandir(here) as scan:
            found = [os.fsencode(entry.name) for entry in scan]
        for name, text in zip(found, self.texts(found, place), strict=True):
            path = place / text
            with self.readable(path):
                mode = os.stat(name, dir_fd=here, follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                with self.opened(name, here, path, os.O_DIRECTORY) as below:
                    yield from self.entries(below, path, depth + 1)
            elif stat.S_ISREG(mode):
                yield self.entry(name, here, path)
            else:
                self.refuse_kind(path, mode)

    def entry(self, name: bytes, here: int, path: PurePosixPath) -> ManifestEntry:
        sha, count = hashlib.sha256(), 0
        with self.opened(name, here, path, os.O_NONBLOCK) as file:
            before = os.fstat(file)
            if not stat.S_ISREG(before.st_mode):
                self.refuse_kind(path, before.st_mode)
            while size := self.read(file, path):
                sha.update(self.block[:size])
                count += size
                self.after(size)
            now = os.fstat(file)
        if {count, now.st_size} != {before.st_size} or before.st_mtime_ns != now.st_mtime_ns:
            self.refuse(path, "a file changed while it was read", "files that nobody writes to")
        return ManifestEntry(str(path), count, sha.hexdigest())

    def read(self, file: int, path: PurePosixPath) -> int:
        with self.readable(path):
            return os.readv(file, [self.block])

    def texts(self, names: Iterable[bytes], place: PurePosixPath) -> list[str]:
        texts: dict[str, str] = {}
        for name in names:
            try:
                text = name.decode("utf-8")
            except UnicodeDecodeError:
                self.refuse(place / os.fsdecode(name), "a name is not UTF-8", "names as UTF-8")
            folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
            if folded in texts:
                self.refuse(place / text, "two names are one on other systems", f"not also {texts[folded]!a}")
            texts[folded] = text
        return list(texts.values())

    @contextmanager
    def opened(self, name: bytes, here: int, path: PurePosixPath, flags: int) -> Iterator[int]:
        with self.readable(path):
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, dir_fd=here)
        try:
            yield file
        finally:
            os.close(file)

    @contextmanager
    def readable(self, path: PurePosixPath) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.refuse(path, "a file of the model cannot be read", "files that can", said=error.strerror or str(error))

    def refuse_kind(self, path: PurePosixPath, mode: int) -> NoReturn:
        kind = next((words for holds, words in _KINDS if holds(mode)), "something else")
        self.refuse(path, "a model holds only files", "regular files and directories", said=kind)

    def refuse(self, path: PurePosixPath, what: str, expected: str, *, said: str = "") -> NoReturn:
        shown = f"{str(path)!a}, {said}" if said else ascii(str(path))
        raise EvidenceError(what, got=f"{shown}, in {str(self.directory)!a}", expected=expected)


def _named(paths: list[str]) -> str:
    shown = ", ".join(ascii(path)[1:-1] for path in paths[:_SHOWN])
    return shown if len(paths) <= _SHOWN else f"{shown} and {len(paths) - _SHOWN} more"
