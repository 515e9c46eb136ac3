"""Option values that may be absent: an `MLproject` cannot leave an option out, so `none` and nothing mean the same."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click


class Optional(click.ParamType[Any]):
    """Wraps a type so that `none` or an empty text is no value.

    >>> Optional(click.INT).convert("none", None, None) is None
    True
    """

    def __init__(self, inner: click.ParamType[Any]) -> None:
        self.inner = inner
        self.name = inner.name

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        """Return None for `none` and "", else what the wrapped type makes of the value."""
        if isinstance(value, str) and value.strip().lower() in ("", "none"):
            return None
        return self.inner.convert(value, param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """Return the wrapped type's name in capitals."""
        return self.inner.name.upper()


class Paths(click.ParamType[tuple[Path, ...]]):
    """Files or directories separated by commas; `none` and nothing are no path.

    >>> [path.name for path in Paths().convert("a.yaml, b", None, None)]
    ['a.yaml', 'b']
    """

    name = "path[,path]"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Path, ...]:
        """Return the paths."""
        parts = [part.strip() for part in str(value).split(",")]
        return tuple(Path(part) for part in parts if part and part.lower() != "none")


def joined(ctx: click.Context, param: click.Parameter, values: Iterable[tuple[Path, ...]]) -> tuple[Path, ...]:
    """Return the paths of an option that was given several times, each once."""
    return tuple(dict.fromkeys(path for value in values or () for path in value))
