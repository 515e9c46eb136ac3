"""What could not be delivered to MLflow, on disk: enough to deliver it later without judging anything again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mlflow_rank.errors import UsageError

RUN, RECORD, POINTS, FILES = "mlflow_run.json", "undelivered.json", "undelivered_points.jsonl", "for_mlflow"
"""In a monitor's directory: which run it writes to; that something is missing there; the points; the artifacts."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One point as MLflow takes it: `at` in milliseconds of Unix time, metrics in the order in which they are sent."""

    step: int
    at: int
    metrics: Mapping[str, float]
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def known_by(self) -> tuple[int, int]:
        """Step and time: what tells it from every other point, one of the same step that was trained again included."""
        return self.step, self.at


@dataclass(frozen=True, slots=True)
class Belonging:
    """To which run what belongs. `run_id` is None where none was made yet: then the rest says which to make.

    `monitor` is the monitor's name for itself, made up once for its directory; no person needs to know it.
    `own` says that the run was made for the monitor and is ended by it, with `status`. `last_delivered_step` is the
    last step that is known to be in MLflow, None where nothing is.
    """

    tracking_uri: str
    monitor: str
    run_id: str | None = None
    own: bool = False
    experiment: str | None = None
    run_name: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    status: str | None = None
    last_delivered_step: int | None = None
    points: int = 0

    def write(self, path: Path) -> None:
        """Write it to a file, whole or not at all."""
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        beside.write_text(json.dumps(asdict(self), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        beside.replace(path)

    @classmethod
    def read(cls, path: Path) -> Belonging | None:
        """Return what `write` wrote; None where there is no such file.

        Raises:
            UsageError: it is damaged.
        """
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise _damaged(path, error) from error


def add_points(directory: Path, deliveries: Iterable[Delivery]) -> None:
    """Append points to those that are undelivered, after what is left of a line that was cut off is removed."""
    with (directory / POINTS).open("a+b") as there:
        there.seek(0)
        there.truncate(there.read().rfind(b"\n") + 1)
    with (directory / POINTS).open("a", encoding="utf-8") as file:
        for delivery in deliveries:
            file.write(_line(delivery))


def points_in(directory: Path) -> Iterator[Delivery]:
    """Yield the undelivered points, each step once and the last line of it; a last line that was cut off is left out.

    Raises:
        UsageError: another line is damaged.
    """
    path = directory / POINTS
    if not path.is_file():
        return
    lines = path.read_text(encoding="utf-8").split("\n")
    found: dict[int, Delivery] = {}
    for at, line in enumerate(lines):
        try:
            delivery = Delivery(**json.loads(line)) if line.strip() else None
        except (ValueError, TypeError) as error:
            if at == len(lines) - 1:  # no line break follows: the process ended while it wrote
                continue
            raise _damaged(path, error) from error
        if delivery is not None:
            found[delivery.step] = delivery
    yield from (found[step] for step in sorted(found))


def drop_beyond(directory: Path, step: int) -> None:
    """Remove the points beyond a step that a training went back to: it comes there again, on another way.

    Raises:
        UsageError: a line is damaged.
        OSError: the file cannot be written; it is as it was.
    """
    points = list(points_in(directory))
    kept = [each for each in points if each.step <= step]
    if len(kept) < len(points):
        beside = directory / f".{POINTS}.{os.getpid()}"
        beside.write_text("".join(map(_line, kept)), encoding="utf-8")
        beside.replace(directory / POINTS)


def forget(directory: Path) -> None:
    """Remove what says that something is undelivered; the artifacts stay."""
    for name in (RECORD, POINTS):
        (directory / name).unlink(missing_ok=True)


def _line(delivery: Delivery) -> str:
    return json.dumps(asdict(delivery), allow_nan=False) + "\n"


def _damaged(path: Path, error: Exception) -> UsageError:
    return UsageError(
        "this file of undelivered points cannot be read",
        got=f"{path}: {str(error)[:200]}",
        expected="what a monitor wrote",
        remedy="points.jsonl beside it has every point: watch again with the same --output",
    )
