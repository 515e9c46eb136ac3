"""What MLflow draws while a monitor delivers comes from another generator than the training's.

MLflow takes the names of runs and the pauses between its attempts from Python's global generator, which a training may
take its masks and the order of its data from: it must draw what it would draw without a monitor.
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# Where MLflow 3.17 asks `random` for something when a run is made and written to.
_MODULES = (
    "mlflow.utils.name_utils",
    "mlflow.utils.request_utils",
    "mlflow.utils.rest_utils",
    "mlflow.store.tracking.sqlalchemy_store",
)


class _Thread(threading.local):
    delivers = 0


class _RandomByThread:
    """Stands in for the module `random`: our generator in a thread that delivers, the global one in every other."""

    def __getattr__(self, name: str) -> object:
        own = getattr(_own, name, None) if _thread.delivers else None
        return getattr(random, name) if own is None else own


_thread, _by_thread = _Thread(), _RandomByThread()
_own = random.Random()  # noqa: S311  # for names and pauses


@contextmanager
def drawing_apart() -> Iterator[None]:
    """Leave Python's global generator alone in this thread; MLflow's draws in other threads are as ever.

    It reaches the modules of MLflow that are loaded when it is entered, not what storage clients (S3, …) draw in
    threads of their own.
    """
    for name in _MODULES:
        module = sys.modules.get(name)
        if getattr(module, "random", None) is random:
            setattr(module, "random", _by_thread)  # noqa: B010  # no attribute that a type checker knows
    _thread.delivers += 1
    try:
        yield
    finally:
        _thread.delivers -= 1
