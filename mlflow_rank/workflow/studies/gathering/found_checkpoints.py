"""Which checkpoints lie in directories of training runs, and which of many are enough for a first answer."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mlflow_rank.errors import UsageError
from mlflow_rank.monitoring.checkpoint_form import CheckpointForm, is_unfinished
from mlflow_rank.workflow.studies.gathering.window import Window


@dataclass(frozen=True, slots=True)
class FoundCheckpoint:
    """A checkpoint on disk: its step and where it lies."""

    step: int
    place: Path


@dataclass(frozen=True, slots=True)
class FoundRun:
    """A training run on disk, by the name of its directory: its checkpoints by step, and what has no step of its own.

    `left_out` are names of entries, each with the cause.
    """

    name: str
    directory: Path
    checkpoints: tuple[FoundCheckpoint, ...]
    left_out: tuple[tuple[str, str], ...] = ()

    def within(self, window: Window | None) -> FoundRun:
        """Return the checkpoints of a window, all of them without one."""
        if window is None:
            return self
        return replace(self, checkpoints=tuple(each for each in self.checkpoints if each.step in window))

    def thinned(self, most: int | None) -> FoundRun:
        """Return at most so many of the checkpoints, first and last among them, evenly by the logarithm of the step.

        Raises:
            UsageError: fewer than two are asked for.
        """
        if most is None:
            return self
        if most < 2:
            raise UsageError("too few checkpoints", got=f"--at-most {most}", expected="2 or more of each run")
        return replace(self, checkpoints=tuple(_evenly(self.checkpoints, most)))


def found_runs(directories: Sequence[Path], form: CheckpointForm) -> tuple[FoundRun, ...]:
    """Return the training runs in directories: each holds the checkpoints of one, or is a directory of such.

    Raises:
        UsageError: a directory is not there, or there is no checkpoint in it.
    """
    places = list(dict.fromkeys(place for directory in directories for place in _run_places(directory, form)))
    names = [place.resolve().name for place in places]
    return tuple(
        _run(place, name if names.count(name) == 1 else str(place), form)
        for place, name in zip(places, names, strict=True)
    )


def _run_places(directory: Path, form: CheckpointForm) -> list[Path]:
    if not directory.is_dir():
        raise UsageError("there is no such directory of checkpoints", got=str(directory), expected="a directory")
    within = {entry: _entries(entry, form) for entry in _visible(directory) if entry.is_dir()}
    if any(not within.get(entry) for entry in _entries(directory, form)):  # a checkpoint that is no run itself
        return [directory]
    runs = [entry for entry, checkpoints in within.items() if checkpoints]
    if runs:
        return runs
    names = [entry.name for entry in _visible(directory)]
    sort = f"files of weights, for --as {form.loaded_as}" if form.is_file else "directories with config.json or weights"
    raise UsageError(
        "there is no checkpoint here",
        got=f"{directory} with {', '.join(names[:6]) or 'nothing in it'}" + (", …" if len(names) > 6 else ""),
        expected=f"{sort}, as step_000500 or checkpoint-500, or directories of such runs",
        remedy="name the directory that a training writes its checkpoints into; --as says how others are loaded",
    )


def _run(place: Path, name: str, form: CheckpointForm) -> FoundRun:
    found: dict[int, FoundCheckpoint] = {}
    left_out: list[tuple[str, str]] = []
    for entry in _entries(place, form):
        step = form.step(entry.name)
        if step is None:
            left_out.append((entry.name, "its name says no step"))
        elif step in found:
            left_out.append((entry.name, f"{found[step].place.name} is of step {step} too"))
        else:
            found[step] = FoundCheckpoint(step, entry)
    if not found:
        raise UsageError(
            "no checkpoint says its step",
            got=", ".join(name for name, _ in left_out[:6]),
            expected="names with the step in them",
            remedy=r"say how to read it with --step-pattern, such as 'update_(\d+)'",
        )
    return FoundRun(name, place, tuple(found[step] for step in sorted(found)), tuple(left_out))


def _entries(directory: Path, form: CheckpointForm) -> list[Path]:
    """Return what is a checkpoint by what lies in it, by name; second names of the same are left out."""
    here = directory.resolve()
    found = []
    for entry in _visible(directory):
        if entry.is_symlink() and entry.resolve().parent == here:
            continue  # as `latest` is
        if form.is_file:
            is_one = entry.is_file() and form.has_begun(entry.name, frozenset())
        else:
            files = (
                frozenset(each.name for each in _visible(entry) if each.is_file()) if entry.is_dir() else frozenset()
            )
            is_one = bool(files) and form.has_begun(entry.name, files)
        if is_one:
            found.append(entry)
    return found


def _visible(directory: Path) -> list[Path]:
    try:
        with os.scandir(directory) as entries:
            return sorted(Path(entry.path) for entry in entries if not is_unfinished(entry.name))
    except OSError:  # nobody may look into it, or it is gone again
        return []


def _evenly(checkpoints: Sequence[FoundCheckpoint], most: int) -> list[FoundCheckpoint]:
    """Return a choice in order; each next one is the nearest to where it would lie on a logarithmic scale."""
    if len(checkpoints) <= most:
        return list(checkpoints)
    scale = [math.log1p(each.step) for each in checkpoints]  # of one more, as there may be a step 0
    chosen: list[int] = []
    for place in range(most):
        wanted = scale[0] + (scale[-1] - scale[0]) * place / (most - 1)
        left = range(chosen[-1] + 1 if chosen else 0, len(scale) - (most - 1 - place))
        chosen.append(min(left, key=lambda index: abs(scale[index] - wanted)))
    return [checkpoints[index] for index in chosen]
