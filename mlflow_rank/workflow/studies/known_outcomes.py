"""What became of past versions, as somebody wrote it down: a file of outcomes, and whom each row is about."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow_rank.errors import UsageError
from mlflow_rank.studies.calibration.cases import Place, named
from mlflow_rank.studies.trajectories import Trajectories

GOOD = frozenset({"good", "true", "1", "yes"})
BAD = frozenset({"bad", "false", "0", "no"})
FORM = "columns run and step (or name, or version), and outcome (good, bad) or full_score"
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class KnownOutcome:
    """Whether a version was good. `about` is a run and a step, or the name of a checkpoint or version; `line` of it."""

    about: Place | str
    good: bool
    line: str


def read_outcomes(path: Path, *, good_from: float | None = None) -> tuple[KnownOutcome, ...]:
    """Return the outcomes in a file: .csv with a header, .jsonl with an object per line, .json with a list of them.

    Args:
        path: the file.
        good_from: least `full_score` of a good version.

    Raises:
        UsageError: no such file, another form, no outcome, or a score and nothing to hold it against.
    """
    rows = _rows(path)
    if not rows:
        raise UsageError("there is no outcome in this file", got=str(path), expected=FORM)
    return tuple(_outcome(row, f"{path}:{number}", good_from) for number, row in rows)


def placed(
    outcomes: Sequence[KnownOutcome], table: Trajectories, versions: Mapping[str, Place]
) -> tuple[dict[Place, bool], tuple[str, ...]]:
    """Return the outcomes by run and step, and those names that are nobody's.

    Args:
        outcomes: as they were written down.
        table: whose checkpoints are also known as `run, step 400`.
        versions: the run and step of registered versions, by address (`models:/encoder/3`) and by number.

    Raises:
        UsageError: two outcomes of one checkpoint contradict each other.
    """
    by_name = {named(place): place for place in {(each.run, each.step) for each in table.observations}} | dict(versions)
    found: dict[Place, bool] = {}
    nobodys: list[str] = []
    for each in outcomes:
        place = each.about if isinstance(each.about, tuple) else by_name.get(each.about)
        if place is None:
            nobodys.append(str(each.about))
            continue
        if found.setdefault(place, each.good) is not each.good:
            raise UsageError(
                f"two outcomes of {named(place)} contradict each other", got=each.line, expected="one outcome of each"
            )
    return found, tuple(nobodys)


def _rows(path: Path) -> list[tuple[int, Row]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or error
        raise UsageError("the outcomes cannot be read", got=f"{path}: {said}", expected="a text file") from error
    try:
        if path.suffix.lower() == ".csv":
            return [(number, row) for number, row in enumerate(csv.DictReader(io.StringIO(text), strict=True), start=2)]
        if path.suffix.lower() == ".jsonl":
            lines = enumerate(text.splitlines(), start=1)
            return [(number, _object(json.loads(line))) for number, line in lines if line.strip()]
        if path.suffix.lower() == ".json":
            return [(number, _object(each)) for number, each in enumerate(json.loads(text), start=1)]
    except (ValueError, TypeError, csv.Error) as error:
        raise UsageError("the outcomes cannot be read", got=f"{path}: {error}", expected=FORM) from error
    raise UsageError("unknown kind of file", got=str(path), expected=".csv, .jsonl or .json")


def _object(value: object) -> Row:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is no object")
    return value


def _outcome(row: Row, line: str, good_from: float | None) -> KnownOutcome:
    cells = {name: cell for name, cell in row.items() if cell is not None and str(cell).strip()}
    return KnownOutcome(_about(cells, line), _good(cells, line, good_from), line)


def _about(cells: Row, line: str) -> Place | str:
    if "run" in cells:
        step = str(cells.get("step", "")).strip()
        if not step.isdecimal():
            raise UsageError(f"{line}: bad step", got=repr(cells.get("step")), expected="a whole number in column step")
        return str(cells["run"]).strip(), int(step)
    for column in ("name", "version"):
        if column in cells:
            return str(cells[column]).strip()
    raise UsageError(f"{line}: this is about nobody", got=f"columns {', '.join(map(str, cells))}", expected=FORM)


def _good(cells: Row, line: str, good_from: float | None) -> bool:
    if "outcome" in cells:
        return good_or_bad(cells["outcome"], line)
    if "full_score" not in cells:
        raise UsageError(f"{line}: there is no outcome", got=f"columns {', '.join(map(str, cells))}", expected=FORM)
    try:
        score = math.nan if isinstance(cells["full_score"], bool) else float(cells["full_score"])
    except (TypeError, ValueError):
        score = math.nan
    if not math.isfinite(score):
        raise UsageError(f"{line}: bad full_score", got=repr(cells["full_score"]), expected="a finite number")
    if good_from is None:
        raise UsageError(
            "nobody said which full score is good",
            got=f"{line}: full_score {score:g}",
            expected="--good-from NUMBER",
        )
    return score >= good_from


def good_or_bad(value: object, line: str) -> bool:
    """Return whether a word says good.

    Raises:
        UsageError: it says neither good nor bad.
    """
    word = str(value).strip().lower()
    if word not in GOOD | BAD:
        raise UsageError(f"{line}: bad outcome", got=repr(value), expected="good or bad, true or false, 1 or 0")
    return word in GOOD
