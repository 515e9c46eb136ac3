"""Checkpoints that anything writes into a directory: which are whole, which are still being written, which are gone.

Nothing is loaded here. A checkpoint is offered once its files have lain still for a while; whoever could not load it
says so, and it is offered again while its files change, and for a while afterwards.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlflow_rank.errors import UsageError
from mlflow_rank.monitoring.checkpoint_form import CheckpointForm, is_unfinished

Files = frozenset[tuple[str, int, int]]
SETTLE = 5.0  # s; longer than a network file system shows old sizes (NFS: 3 s)
PATIENCE = 60.0  # s; a stalled copy goes on within the time that its connection waits, or not at all
_AGAIN = "it was written again after it was judged"
_GONE = "it was gone before it could be heard"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One that may be loaded: name, `--model` text, step, where it lies, and its files as they were seen.

    A file is its path in the checkpoint, its size in bytes, and when it was modified (ns of Unix time). `place` is None
    for what lies in no directory of ours.
    """

    name: str
    spec: str
    step: int
    place: Path | None = None
    files: Files = frozenset()


@dataclass(frozen=True, slots=True)
class PassedOver:
    """One that gives no point, and why; `step` is None where none is known."""

    name: str
    step: int | None
    cause: str


@dataclass(frozen=True, slots=True)
class Sight:
    """What a look found: the next that is `ready`, names that are `waiting`, and what is newly `passed_over`."""

    ready: Checkpoint | None
    waiting: tuple[str, ...] = ()
    passed_over: tuple[PassedOver, ...] = ()


@dataclass(slots=True)
class _Seen:
    """An entry over the looks: its files, since when (by the clock) they are so, and what became of it."""

    files: Files
    since: float
    settled: bool
    ready_since: float | None = None
    failed: str | None = None
    try_at: float = 0.0
    over: bool = False


@dataclass(slots=True)
class Arrivals:
    """Looks at a directory, again and again.

    `judged` are the steps that have a point, by name; `last` is the latest. `every` is the least number of steps
    between two that are offered. `settle` is how long, in seconds, files must lie still; `patience` how long one that
    cannot be loaded is tried again after its last change, and how long a whole one waits for an earlier one that is
    still being written.

    Where no name says a step (`in_order`), checkpoints are numbered from 1 in the order of modification, and one that
    is written again under its name is a new one.

    Raises:
        UsageError: no such directory, or a bad number.
    """

    directory: Path
    form: CheckpointForm = field(default_factory=CheckpointForm)
    judged: dict[str, int] = field(default_factory=dict)
    last: int | None = None
    every: int = 1
    settle: float = SETTLE
    patience: float = PATIENCE
    in_order: bool = False
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _told: set[tuple[str, str]] = field(default_factory=set)
    _has_looked: bool = False

    def __post_init__(self) -> None:
        if not self.directory.is_dir():
            raise UsageError(
                "no directory of checkpoints there",
                got=str(self.directory),
                expected="the directory that a training writes its checkpoints into",
            )
        if self.every < 1 or not (self.settle >= 0 and self.patience >= 0):
            got = f"every {self.every} steps, settled for {self.settle:g} s, patience of {self.patience:g} s"
            raise UsageError("bad number", got=got, expected="a step or more, and 0 s or more")

    def look(self) -> Sight:
        """Look once. What is passed over is told once."""
        found = self._entries()
        passed = [PassedOver(name, self.form.step(name), _AGAIN) for name in self._written_again(found)]
        passed += [PassedOver(name, self.form.step(name), _GONE) for name in self._gone(found)]
        self._remember(found)
        ready: Checkpoint | None = None
        waiting: list[str] = []
        for name, step in self._by_step(found):
            seen = self._seen[name]
            if seen.over:
                continue
            cause = self._out_of_question(step, seen)
            if cause is not None:
                seen.over = True
                passed.append(PassedOver(name, step, cause))
            elif step is None or self._is_thinned(step):
                continue
            elif not self._may_be_tried(seen) or (waiting and self._waits_for_earlier(seen)):
                waiting.append(name)
            else:
                place = self.directory / name
                ready = Checkpoint(name, self.form.spec(place), step, place, seen.files)
                break
        return Sight(ready, tuple(waiting), tuple(self._untold(passed)))

    def done(self, checkpoint: Checkpoint) -> None:
        """Tell that a checkpoint has its point."""
        if not self.judged:
            self.in_order = self.form.step(checkpoint.name) is None
        self.judged[self.identity(checkpoint.name, checkpoint.files)] = checkpoint.step
        self.last = checkpoint.step

    def failed(self, checkpoint: Checkpoint, cause: str) -> bool:
        """Tell that a checkpoint could not be loaded; return whether it is offered again, as until patience is over."""
        seen = self._seen.get(checkpoint.name)
        if seen is None or seen.files != checkpoint.files:
            return seen is not None
        seen.failed = cause
        seen.try_at = self.clock() + max(self.settle, self.patience / 10)  # a few times, not all the time
        return not self._is_given_up(seen)

    def is_unchanged(self, checkpoint: Checkpoint) -> bool:
        """Whether the files are still as they were when the checkpoint was offered."""
        return _files_of(self.directory / checkpoint.name)[0] == checkpoint.files

    def identity(self, name: str, files: Files) -> str:
        """Return under which name a checkpoint is known as judged."""
        return f"{name} of {_written(files)}" if self.in_order else name

    # what lies there

    def _entries(self) -> dict[str, tuple[Files, float]]:
        """Return the entries that are checkpoints or parts of one, and what they look like."""
        found: dict[str, tuple[Files, float]] = {}
        for entry in _listed(self.directory):
            path = Path(entry.path)
            if is_unfinished(entry.name) or path.is_file() != self.form.is_file:
                continue
            if entry.is_symlink() and path.resolve().parent == self.directory.resolve():
                continue  # a second name of what lies here anyhow, as `latest` is
            files, touched = _files_of(path)
            if files and self.form.has_begun(entry.name, frozenset(name for name, _, _ in files)):
                found[entry.name] = files, touched
        return found

    def _remember(self, found: Mapping[str, tuple[Files, float]]) -> None:
        for name, (files, touched) in found.items():
            seen = self._seen.get(name)
            if seen is None:  # what has lain still since long before we came need not be watched first
                still = 0.0 if self._has_looked else max(0.0, self.now() - touched)
                self._seen[name] = _Seen(files, self.clock() - still, settled=still >= self.settle)
            elif seen.files != files:
                self._seen[name] = _Seen(files, self.clock(), settled=self.settle == 0)
            elif not seen.settled:
                seen.settled = self.clock() - seen.since >= self.settle
        self._has_looked = True

    def _written_again(self, found: Mapping[str, tuple[Files, float]]) -> list[str]:
        known = [name for name in found if name in self._seen and name in self.judged]
        return [name for name in known if found[name][0] - self._seen[name].files]  # a file less is no new checkpoint

    def _gone(self, found: Mapping[str, object]) -> list[str]:
        """Forget what is no longer there; return what something was wanted of."""
        gone = {name: self._seen.pop(name) for name in list(self._seen) if name not in found}
        return [name for name, seen in gone.items() if self._is_wanted(name, seen)]

    def _is_wanted(self, name: str, seen: _Seen) -> bool:
        if seen.over or self.identity(name, seen.files) in self.judged:
            return False
        step = self.form.step(name)
        return step is None or self.last is None or (step > self.last and not self._is_thinned(step))

    # in which order

    def _by_step(self, found: Mapping[str, object]) -> list[tuple[str, int | None]]:
        """Return what has no point yet, by step; what has no step among others that do comes last."""
        steps = {name: self.form.step(name) for name in found}
        if not self.judged:
            self.in_order = bool(steps) and all(step is None for step in steps.values())
        wanted = [name for name in found if self.identity(name, self._seen[name].files) not in self.judged]
        if self.in_order:
            by_age = sorted(wanted, key=self._age)  # without those that are given up, which take no number
            return [(name, (self.last or 0) + place) for place, name in enumerate(by_age, start=1)]
        return sorted(
            ((name, steps[name]) for name in wanted), key=lambda each: (each[1] is None, each[1] or 0, each[0])
        )

    def _age(self, name: str) -> tuple[bool, int, str]:
        seen = self._seen[name]
        return self._is_given_up(seen), _written(seen.files), name

    def _out_of_question(self, step: int | None, seen: _Seen) -> str | None:
        if step is None:
            return "its name says no step, as others here do"
        if step in self.judged.values():
            return f"there is a point of step {step} already"
        if self.last is not None and step <= self.last:
            return f"step {self.last} was judged before it could be heard"
        return f"it cannot be loaded: {seen.failed}" if self._is_given_up(seen) else None

    def _is_thinned(self, step: int) -> bool:
        return self.last is not None and not self.in_order and step < self.last + self.every

    # when to try

    def _may_be_tried(self, seen: _Seen) -> bool:
        if not seen.settled or self.clock() < seen.try_at:
            return False
        if seen.ready_since is None:
            seen.ready_since = self.clock()
        return True

    def _waits_for_earlier(self, seen: _Seen) -> bool:
        return seen.ready_since is None or self.clock() - seen.ready_since < self.patience

    def _is_given_up(self, seen: _Seen) -> bool:
        return seen.failed is not None and self.clock() - seen.since >= self.patience

    def _untold(self, passed: Iterable[PassedOver]) -> list[PassedOver]:
        new = [each for each in passed if (each.name, each.cause) not in self._told]
        self._told.update((each.name, each.cause) for each in new)
        return new


def _listed(directory: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:  # a training may make it anew
        return []


def _files_of(path: Path) -> tuple[Files, float]:
    """Return every file there, and when any of it was last touched (Unix time); what vanishes meanwhile is left out."""
    files: set[tuple[str, int, int]] = set()
    touched = 0.0
    for place in [path, *(Path(top) / name for top, folders, names in os.walk(path) for name in (*folders, *names))]:
        try:
            state = place.stat()
        except OSError:
            continue
        touched = max(touched, state.st_mtime, state.st_ctime)  # a copy may keep the one; nothing sets back the other
        if place.is_file():
            files.add((str(place.relative_to(path)), state.st_size, state.st_mtime_ns))
    return frozenset(files), touched


def _written(files: Files) -> int:
    return max((written for _, _, written in files), default=0)
