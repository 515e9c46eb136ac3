"""What a search of MLflow finds, page after page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def every(search: Callable[..., Any], *positional: Any, **asked: Any) -> Iterator[Any]:
    """Yield everything that a method of MLflow's client finds, asking for pages as they are used up."""
    token: str | None = None
    while True:
        page = search(*positional, **asked, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
