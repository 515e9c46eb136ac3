"""The small pilot that says what a checkpoint is good for: keywords, few labels, seconds.

`python -m recipes.pretraining.piloting RUN STEP …` pilots checkpoints of a run and keeps what it finds beside them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlflow_rank.errors import MeasurementError
from mlflow_rank.workflow import PilotRequest, Setting, pilot

SHOTS = 5  # labels per class
LABELS = "starter:in_domain/keywords"
KEPT = "pilots.json"


@dataclass(frozen=True, slots=True)
class Pilot:
    """Balanced accuracy with its 95 % interval, as shares."""

    score: float
    low: float
    high: float

    def fell_clearly(self, before: Pilot) -> bool:
        """Whether it lies below another beyond doubt: the intervals do not touch."""
        return self.high < before.low


def keyword_pilot() -> PilotRequest:
    """Return the request."""
    return PilotRequest("keyword", LABELS, shots=(SHOTS,), draws=3, heads=("ridge",), log_mel=False)


def piloted(checkpoint: Path) -> dict[str, Pilot]:
    """Return what a checkpoint is good for: at the `best` layer, chosen inside the training folds, and at the `last`.

    Raises:
        MeasurementError: the encoder returns NaN.
    """
    return read(pilot(Setting(model=str(checkpoint)), [keyword_pilot()]))


def read(document: Mapping[str, Any]) -> dict[str, Pilot]:
    """Return the scores in a pilot's document, each where it is known."""
    last = max(layer["index"] for layer in document["model"]["layers"])
    found = {}
    for name, layer in (("best", "pilot_best"), ("last", last)):
        for row in document["rows"]:
            where = (row["layer"], row["domain"], row["metric"], row["status"])
            if where == (layer, "in_domain", "balanced_accuracy", "ok"):
                found[name] = Pilot(row["score"], row["low"], row["high"])
    return found


def pilot_checkpoints(run: Path, steps: Iterable[int]) -> None:
    """Pilot the checkpoints of a run that were not piloted yet, and keep each result at once.

    One whose encoder returns nothing to pilot is kept without scores.
    """
    done = read_pilots(run)
    for step in steps:
        if step in done:
            continue
        try:
            done[step] = piloted(run / f"step_{step:06d}")
        except MeasurementError as error:
            print(f"step {step}: {error}", file=sys.stderr)
            done[step] = {}
        kept = {str(each): {name: asdict(found) for name, found in at.items()} for each, at in done.items()}
        beside = run / f".{KEPT}.new"
        beside.write_text(json.dumps(kept, indent=1), encoding="utf-8")
        beside.replace(run / KEPT)


def read_pilots(run: Path) -> dict[int, dict[str, Pilot]]:
    """Return what `pilot_checkpoints` has kept, by step; nothing where it was not there yet."""
    if not (run / KEPT).is_file():
        return {}
    kept = json.loads((run / KEPT).read_text(encoding="utf-8"))
    return {int(step): {name: Pilot(**found) for name, found in at.items()} for step, at in kept.items()}


if __name__ == "__main__":
    pilot_checkpoints(Path(sys.argv[1]), map(int, sys.argv[2:]))
