"""What a monitor has on disk: its convention, its points, its alarms. A run that goes on reads them and continues."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock, Timeout

from mlflow_rank.errors import MeasurementError, UsageError
from mlflow_rank.monitoring.point import Point
from mlflow_rank.monitoring.verdict import Verdict

Document = Mapping[str, object]
CONVENTION, POINTS, ALARMS = "monitor.json", "points.jsonl", "alarms.json"


class Journal:
    """A directory that one monitor writes: `monitor.json`, `points.jsonl` and `alarms.json`.

    `monitor` is the monitor's name, drawn when the journal is begun and the same ever after. A line that was cut off in
    writing is dropped when the journal is opened again.

    Raises:
        UsageError: the directory cannot be written, or another process has it open.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(directory / ".lock", timeout=0)
            self._lock.acquire()
        except Timeout as error:
            raise UsageError(
                "another process keeps its monitor there",
                got=str(directory),
                expected="a directory of its own for each run",
                remedy="end the other run, or give this one another directory",
            ) from error
        except OSError as error:
            raise UsageError("a monitor cannot be kept there", got=f"{directory}: {error.strerror}") from error
        self._begun = _read_json(directory / CONVENTION)
        self._written = self._size = 0  # points, and bytes of them, that are whole on disk
        self.points: list[Point] = _read_points(directory / POINTS) if self._begun else []

    @property
    def monitor(self) -> str:
        """The name of the monitor.

        Raises:
            UsageError: the journal is not begun.
        """
        if self._begun is None:
            raise UsageError("the journal is not begun", got=str(self.directory))
        return str(self._begun["monitor"])

    def begin(self, convention: Document, *, step: int | None) -> None:
        """Go on with the run that was kept here where `step` continues it, else put that aside and begin a new one.

        Points after `step` are put aside: the training went back to an earlier checkpoint and comes there again.

        Args:
            convention: what makes points comparable: probe set, layers, levels, …; JSON-ready.
            step: where the training begins or resumes; None: after the points that there are, whatever they are.

        Raises:
            UsageError: the run goes on under another convention; it names what differs.
        """
        if self._begun is not None and step is not None and (not self.points or step <= self.points[0].step):
            self._put_aside()
        if self._begun is None:
            self._begun = {"monitor": f"monitor-{secrets.token_hex(6)}", "convention": _as_read(convention)}
            _write(self.directory / CONVENTION, json.dumps(self._begun, indent=1))
            self._write_points()
            return
        _check_same(_part(self._begun, "convention"), _as_read(convention), self.directory)
        kept = [point for point in self.points if step is None or point.step <= step]
        if len(kept) < len(self.points):
            again = self.points[len(kept) :]
            with (self.directory / "points_put_aside.jsonl").open("a", encoding="utf-8") as lines:
                lines.writelines(map(_line, again))
            self.points = kept
        self._write_points()  # also drops a line that was cut off

    def keep(self, verdict: Verdict) -> None:
        """Append the point and write the alarms; on disk when this returns.

        Raises:
            OSError: it cannot be written; then it is with the next one, where half a line is removed first.
        """
        self.points.append(verdict.point)
        waiting = "".join(map(_line, self.points[self._written :])).encode()
        with (self.directory / POINTS).open("r+b") as lines:
            lines.truncate(self._size)
            lines.seek(self._size)
            lines.write(waiting)
            lines.flush()
            os.fsync(lines.fileno())
        self._written, self._size = len(self.points), self._size + len(waiting)
        alarms = [dict(alarm.document()) for alarm in verdict.alarms]
        _write(self.directory / ALARMS, json.dumps({"monitor": self.monitor, "alarms": alarms}, indent=1))

    def close(self) -> None:
        """Let others open the journal."""
        self._lock.release()

    def _write_points(self) -> None:
        lines = "".join(map(_line, self.points))
        _write(self.directory / POINTS, lines)
        self._written, self._size = len(self.points), len(lines.encode())

    def _put_aside(self) -> None:
        """Move what another run left here into a folder of its own."""
        number = 1 + sum(1 for _ in self.directory.glob("previous_*"))
        aside = self.directory / f"previous_{number}"
        aside.mkdir()
        for each in self.directory.iterdir():
            if each.name not in {".lock", aside.name} and not each.name.startswith("previous_"):
                each.rename(aside / each.name)
        self._begun, self.points = None, []


def read_points(path: Path) -> list[Point]:
    """Return the points of a past run: of a `points.jsonl`, or of the directory of a monitor.

    Raises:
        UsageError: there is no such file, or it holds no points.
    """
    file = path / POINTS if path.is_dir() else path
    if not file.is_file():
        expected = f"a {POINTS}, or the directory that holds it"
        raise UsageError("no points of a monitor there", got=str(path), expected=expected)
    points = _read_points(file)
    if not points:
        raise UsageError("no points of a monitor in it", got=str(file), expected="one JSON object in each line")
    return points


def _read_points(file: Path) -> list[Point]:
    points: list[Point] = []
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.exists() else []
    for number, line in enumerate(lines, start=1):
        try:
            point = Point.read(json.loads(line))
        except (ValueError, UsageError) as error:
            if number == len(lines) and not line.endswith("\n"):
                break  # cut off in writing: that point is taken again
            raise UsageError("this line holds no point", got=f"{file}:{number}") from error
        points.append(point)
    return points


def _check_same(kept: Document, now: Document, directory: Path) -> None:
    differing = sorted(name for name in {*kept, *now} if kept.get(name) != now.get(name))
    if differing:
        raise UsageError(
            "this run goes on under another convention than its points: " + ", ".join(differing),
            got="; ".join(f"{name}: {kept.get(name)!r} before, {now.get(name)!r} now" for name in differing),
            expected="the same settings as before, so that one chart holds one thing",
            remedy=f"use the settings before, or another directory than {directory}",
        )


def _read_json(file: Path) -> Document | None:
    if not file.exists():
        return None
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise MeasurementError("the monitor's file cannot be read", got=f"{file}: {error}") from error
    return document if isinstance(document, dict) else None


def _write(file: Path, text: str) -> None:
    """Write a file whole, or not at all."""
    beside = file.with_name(f".{file.name}.new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(file)


def _as_read(document: Document) -> dict[str, object]:
    """Return a document as JSON gives it back: lists for tuples."""
    read: dict[str, object] = json.loads(json.dumps(document))
    return read


def _part(document: Document, name: str) -> Document:
    part = document.get(name)
    return part if isinstance(part, Mapping) else {}


def _line(point: Point) -> str:
    return json.dumps(point.document(), allow_nan=False) + "\n"
