"""The training loss at a checkpoint: from the lines that a training logs beside its checkpoints, or a Trainer's state.

A line is a JSON object with `step` and `loss`; any other is passed over.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path

from mlflow_rank.errors import UsageError
from mlflow_rank.monitoring.trainer_state import logged_loss

LINES = "training.jsonl"
Loss = Callable[[Path, int], float | None]  # of the checkpoint that lies there, at its step


def loss_of(run: Path, named: Path | None = None) -> Loss:
    """Return how the loss of a training run's checkpoints is found: that logged last, at the step or before it.

    Args:
        run: the directory of the training run's checkpoints.
        named: a file of lines: in the directory of the run, or anywhere; None for `training.jsonl` where there is one.

    Raises:
        UsageError: there is no such file, or no line of it says a loss.
    """
    places = [run / LINES] if named is None else [run / named, named]
    file = next((place for place in places if place.is_file()), None)
    if named is not None and file is None:
        raise UsageError("no such file of losses", got=f"--loss {named}", expected=f"a file in {run}, or its path")
    lines = {} if file is None else _logged(file)
    if named is not None and not lines:
        raise UsageError(
            "no line of this file says a loss", got=str(file), expected='lines such as {"step": 100, "loss": 2.5}'
        )

    def loss(checkpoint: Path, step: int) -> float | None:
        told = at_or_before(lines, step) if lines else logged_loss(checkpoint, step)
        return told if told is not None and math.isfinite(told) else None

    return loss


def at_or_before(losses: Mapping[int, float], step: int) -> float | None:
    """Return the loss logged last at or before a step, None where there is none.

    >>> at_or_before({25: 9.4, 50: 9.1}, 49), at_or_before({25: 9.4}, 0)
    (9.4, None)
    """
    before = [at for at in losses if at <= step]
    return losses[max(before)] if before else None


def _logged(file: Path) -> dict[int, float]:
    """Return the losses by step; of a training that went back, what it logged after it did."""
    losses: dict[int, float] = {}
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            said = json.loads(line)
            step, loss = int(said["step"]), float(said["loss"])
        except (ValueError, TypeError, KeyError):
            continue
        losses = {at: earlier for at, earlier in losses.items() if at < step} | {step: loss}
    return losses
