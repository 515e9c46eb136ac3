"""What a server does beside answering: a thread that goes round every few seconds, and at once when it is rung for."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi import FastAPI

EVERY = 5.0  # seconds between two rounds: what another process posted waits no longer than that
_PATIENCE = 3.0  # seconds that the end of a server waits for a chore; what is broken off is done again later
_LOG = logging.getLogger(__name__)
_BELL = threading.Event()


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to be done again and again; it looks now and then whether it is asked to stop."""

    name: str
    do: Callable[[Callable[[], bool]], None]


class Tending:
    """A thread that does chores, one after the other. What one raises is logged, and stops nothing.

    Args:
        chores: in this order.
        every: seconds between two rounds.
    """

    def __init__(self, chores: Sequence[Chore], *, every: float = EVERY) -> None:
        self.chores, self.every = tuple(chores), every
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._said: dict[str, str] = {}

    def start(self) -> None:
        """Begin, with a first round at once: it does what was rung for until now."""
        self._stopping.clear()
        _BELL.clear()
        self._thread = threading.Thread(target=self._run, name="mlflow-rank-tending", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the chore that is being done, or without it where that takes too long."""
        self._stopping.set()
        _BELL.set()
        if self._thread is not None:
            self._thread.join(_PATIENCE)

    def round(self) -> None:
        """Do every chore once."""
        for chore in self.chores:
            if self._stopping.is_set():
                return
            try:
                chore.do(self._stopping.is_set)
            except Exception as error:  # whatever it is, the next chore and the next round are not to blame
                self._say(chore, error)
            else:
                self._said.pop(chore.name, None)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.round()
            _BELL.wait(self.every)
            _BELL.clear()

    def _say(self, chore: Chore, error: Exception) -> None:
        """Log what went wrong, once for as long as it goes wrong in the same way."""
        what = type(error).__name__
        if self._said.get(chore.name) != what:
            self._said[chore.name] = what
            _LOG.error("%s failed; it is tried again every %g s", chore.name, self.every, exc_info=error)


def ring() -> None:
    """Have the thread of this process, where there is one, go round now."""
    _BELL.set()


def tend(app: FastAPI, tending: Tending) -> None:
    """Have a server do chores from its start to its end."""
    lifespan = app.router.lifespan_context

    @asynccontextmanager
    async def around(served: Any) -> AsyncIterator[Any]:
        import anyio

        async with lifespan(served) as state:
            tending.start()
            try:
                yield state
            finally:
                await anyio.to_thread.run_sync(tending.stop)

    app.router.lifespan_context = around
