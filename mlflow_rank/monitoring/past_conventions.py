"""What past runs heard: only a run with the same probe set and layers tells what is usual of this one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflow_rank.errors import UsageError
from mlflow_rank.monitoring.journal import CONVENTION, read_points
from mlflow_rank.monitoring.point import Point


def baseline_points(path: Path, convention: Mapping[str, object]) -> list[Point]:
    """Return the points of a past run that this one, of `convention`, is to be held against.

    Args:
        path: a `points.jsonl`, or the directory of a monitor.
        convention: as `probing.convention_of` gives it.

    Raises:
        UsageError: there are no points; or the run heard another probe set or other layers.
    """
    check_past_convention(path, convention)
    return read_points(path)


def check_past_convention(path: Path, convention: Mapping[str, object]) -> None:
    """Refuse a past run that is not to be compared. One that left only its points is taken at its word.

    Raises:
        UsageError: it heard another probe set or other layers; it names what differs.
    """
    file = (path if path.is_dir() else path.parent) / CONVENTION
    if not file.is_file():
        return
    try:
        past = _comparable(json.loads(file.read_text(encoding="utf-8"))["convention"])
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError("this is no convention of a monitor", got=f"{file}: {error!r}") from error
    now = _comparable(convention)
    differing = [name for name in now if past[name] != now[name]]
    if differing:
        raise UsageError(
            "this past run is no baseline: it differs in " + " and ".join(differing),
            got="; ".join(f"{name} {past[name]} in {path}" for name in differing),
            expected="; ".join(f"{name} {now[name]}" for name in differing),
            remedy="give past runs of the same recipe that heard the same utterances at the same layers",
        )


def _comparable(convention: Mapping[str, Any]) -> dict[str, str]:
    """Return what must agree, as text; the digest is of the samples that are heard, however they were drawn."""
    probe, layers = convention["probe_set"], convention["layers"]
    return {"probe set": f"{probe['count']} utterances, {probe['digest']}", "layers": _layers(layers)}


def _layers(layers: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{each['index']} ({each['name']}, {each['dim']})" for each in layers)
