"""Ctrl-C where it would do harm: a little later instead, and only to the process that can tell the others."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def finishing_first() -> Iterator[None]:
    """Hold back an interrupt (SIGINT) until the block is done, then let it take its usual course.

    Outside the main thread, which alone receives signals, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[tuple[int, FrameType | None]] = []
    usual = signal.signal(signal.SIGINT, lambda number, frame: held.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
        if held and callable(usual):
            usual(*held[0])


@contextmanager
def interrupts_only_us() -> Iterator[None]:
    """Keep interrupts (SIGINT) from processes that are started meanwhile; one that comes meanwhile reaches us after it.

    A terminal sends Ctrl-C to every process of its group, and one that is just importing would die of it.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows, where a new process cannot inherit a mask
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
