"""Option values that may be absent: an `MLproject` cannot leave an option out, so `none` and nothing mean the same."""

from __future__ import annotations

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
