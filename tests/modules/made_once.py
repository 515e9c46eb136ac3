"""What is made once for all processes of one run of the tests, as making it takes seconds: empty databases."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

PLACE = "RANK_TESTS_MADE_ONCE"
"""Names the directory; set for the whole run by tests/conftest.py."""


def made_once(name: str, make: Callable[[Path], None]) -> Path:
    """Return the file of this name, which `make` has written whole, in this process or in one beside it."""
    place = Path(os.environ.get(PLACE) or tempfile.mkdtemp(prefix="mlflow_rank-tests-"))
    os.environ[PLACE] = str(place)
    made = place / name
    with FileLock(place / f"{name}.lock"):
        if not made.exists():
            unfinished = place / f"unfinished-{name}"
            unfinished.unlink(missing_ok=True)
            make(unfinished)
            unfinished.rename(made)
    return made
