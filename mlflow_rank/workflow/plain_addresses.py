"""Addresses of models in code that nobody promoted: the latest version, or a number that somebody wrote down."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlflow_rank.errors import UsageError

ENDINGS = (".py", ".sh", ".yaml", ".yml", ".toml", ".ipynb", ".md")
_ADDRESS = re.compile(r"models:/[^/@\s\"'`]{1,256}/(?:(?P<latest>(?i:latest))|[0-9]+)(?![\w.-])")
_NOT_OURS = {".git", ".venv", "venv", "node_modules", "__pycache__", ".tox", "site-packages"}
_LARGEST = 5_000_000  # bytes: no source is larger, and a notebook with more in it holds pictures


@dataclass(frozen=True, slots=True)
class Address:
    """An address in a file, and whether it is of the latest version."""

    file: str
    line: int
    address: str
    latest: bool

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.address}"


def plain_addresses(places: Sequence[Path]) -> Iterator[Address]:
    """Yield the addresses of `models:/NAME/latest` and `models:/NAME/NUMBER` below directories, in order.

    Raises:
        UsageError: a place is not there.
    """
    for place in places:
        if not place.exists():
            raise UsageError("there is nothing to scan", got=str(place), expected="a directory, or a file")
    for path in dict.fromkeys(path for place in places for path in _files(place)):
        yield from _addresses(path)


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
        return
    for directory, names, files in os.walk(place):
        names[:] = sorted(name for name in names if name not in _NOT_OURS)
        yield from (Path(directory, name) for name in sorted(files) if name.lower().endswith(ENDINGS))


def _addresses(path: Path) -> Iterator[Address]:
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:  # a pipe would never end
            return
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for number, line in enumerate(text.splitlines(), 1):
        for found in _ADDRESS.finditer(line):
            yield Address(str(path), number, found[0], found["latest"] is not None)
