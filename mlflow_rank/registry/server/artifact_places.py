"""Where files lie: an address of MLflow's, however it is spelled, as one root and the names below it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

MOST_DECODINGS = 10  # of a path that was percent-encoded again and again; MLflow's own handlers stop there too
_PROXY = "mlflow-artifacts:"
_OVER_HTTP = "/mlflow-artifacts/artifacts/"  # in the path of an address by which a server hands out files


@dataclass(frozen=True, slots=True)
class Place:
    """A file or a directory: `root` is a storage (`file:`, `s3://bucket`), `parts` the names from there on."""

    root: str
    parts: tuple[str, ...]

    def below(self, path: str) -> Place:
        """Return the place that a path leads to from here; no `..` in it leads further up."""
        return Place(self.root, self.parts + parts_of(path))

    def overlaps(self, other: Place) -> bool:
        """Say whether one of the two is the other, or lies in it.

        >>> Place("file:", ("a",)).overlaps(Place("file:", ("a", "b"))), Place("file:", ("a",)).overlaps(
        ...     Place("file:", ("ab",))
        ... )
        (True, False)
        """
        if self.root != other.root:
            return False
        both = min(len(self.parts), len(other.parts))
        return self.parts[:both] == other.parts[:both]


def parts_of(path: str) -> tuple[str, ...]:
    """Return the names that a path is made of, whichever way it spells them; their case is kept.

    A path that is still encoded after ten decodings is taken for the root: nobody writes such a one in good faith.

    >>> parts_of("1//models/./m-0%252Fartifacts/x/..\\\\MLmodel")
    ('1', 'models', 'm-0', 'artifacts', 'MLmodel')
    """
    for _ in range(MOST_DECODINGS):
        decoded = unquote(path)
        if decoded == path:
            break
        path = decoded
    else:
        return ()
    parts: list[str] = []
    for part in path.replace("\\", "/").split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return tuple(parts)


@lru_cache(maxsize=65_536)  # addresses of versions; what a text means never changes
def place_of(uri: str, *, destination: Place | None, workspace: str | None) -> Place:
    """Return the place of an address.

    Args:
        uri: `mlflow-artifacts:/…`, the HTTP address of a server's artifacts, `file:/…`, a path, `s3://…`, or any other.
        destination: where the server keeps what is written through it; None where it serves no artifacts.
        workspace: whose address it is, where workspaces are in use; else None.
    """
    scheme, colon, rest = uri.partition(":")
    scheme = scheme.casefold()
    if scheme == "mlflow-artifacts":
        return proxied_place(_without_host(rest), destination=destination, workspace=workspace)
    if scheme in ("http", "https") and _OVER_HTTP in rest:
        return proxied_place(rest.partition(_OVER_HTTP)[2], destination=destination, workspace=workspace)
    if scheme == "file":
        return _local(url2pathname(urlsplit(uri).path))
    if not colon or "/" in scheme or not rest.startswith("//"):
        return _local(uri)
    host, _, path = rest.removeprefix("//").partition("/")
    return Place(f"{scheme}://{host}", parts_of(path))


def proxied_place(path: str, *, destination: Place | None, workspace: str | None) -> Place:
    """Return the place of a path that the server's artifact proxy is asked for: each workspace has its own folder."""
    parts = parts_of(path)
    if workspace not in (None, "default") and parts[:1] != ("workspaces",):
        parts = ("workspaces", str(workspace), *parts)
    if destination is None:
        return Place(_PROXY, parts)
    return Place(destination.root, destination.parts + parts)


def _without_host(rest: str) -> str:
    return rest.removeprefix("//").partition("/")[2] if rest.startswith("//") else rest


def _local(path: str) -> Place:
    return Place("file:", parts_of(os.path.realpath(path)))
