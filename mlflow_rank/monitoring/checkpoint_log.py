"""Which checkpoints a watch has heard, on disk beside its journal: one that starts again hears none of them twice."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from mlflow_rank.errors import MeasurementError

FILE = "checkpoints.jsonl"


@dataclass(frozen=True, slots=True)
class Heard:
    """A checkpoint that has a point: as what it is known, its `--model` text, its step, the digest of its files.

    `files_digest` is None where it is made of no files. `in_order` says that the step is a place in the order of
    modification, or a version's number, and no step of the training.
    """

    known_as: str
    spec: str
    step: int
    files_digest: str | None
    in_order: bool = False


def read_heard(directory: Path, steps: Iterable[int]) -> list[Heard]:
    """Return the checkpoints whose points (at `steps`) are in the journal there; a line cut off in writing is dropped.

    Raises:
        MeasurementError: another line is damaged.
    """
    file = directory / FILE
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.is_file() else []
    heard: list[Heard] = []
    for number, line in enumerate(lines, start=1):
        try:
            heard.append(Heard(**json.loads(line)))
        except (ValueError, TypeError) as error:
            if number == len(lines) and not line.endswith("\n"):
                break
            raise MeasurementError("this line names no checkpoint", got=f"{file}:{number}") from error
    known = set(steps)
    return [each for each in heard if each.step in known]


def add_heard(directory: Path, heard: Heard) -> None:
    """Append a checkpoint, after what is left of a line that was cut off."""
    with (directory / FILE).open("a+b") as there:
        there.seek(0)
        there.truncate(there.read().rfind(b"\n") + 1)
        there.write((json.dumps(asdict(heard)) + "\n").encode())
