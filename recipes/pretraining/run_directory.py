"""Where a run lies: an encoder of every checkpoint, the state to go on from, and the curve of its loss."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch

from mlflow_rank.errors import UsageError
from recipes.pretraining.pretraining import Pretraining, State
from recipes.starter_encoder.model import save_encoder

STATE, CURVE, MONITOR = "training_state.pt", "training.jsonl", "monitor"


class RunDirectory:
    """A directory of one run: `step_000025/`, …, `training_state.pt`, `training.jsonl` and `monitor/`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def new(cls, path: Path) -> RunDirectory:
        """Make the directory of a new run.

        Raises:
            UsageError: there is a run in it already.
        """
        if (path / STATE).exists():
            raise UsageError(
                "there is a run in this directory already",
                got=str(path),
                expected="a directory of its own for each run",
                remedy=f"go on with it: --resume {path}; or give another --output",
            )
        path.mkdir(parents=True, exist_ok=True)
        return cls(path)

    @classmethod
    def numbered(cls, parent: Path) -> RunDirectory:
        """Make the directory of a new run, `run_001` or the first number after those that there are."""
        taken = [int(path.name[4:]) for path in parent.glob("run_*") if path.name[4:].isdigit()]
        return cls.new(parent / f"run_{max(taken, default=0) + 1:03d}")

    @property
    def monitor(self) -> Path:
        """Where the monitor of the run is kept."""
        return self.path / MONITOR

    def checkpoint(self, step: int) -> Path:
        """Return where the encoder of a step lies."""
        return self.path / f"step_{step:06d}"

    def save(self, run: Pretraining) -> Path:
        """Save the encoder as it is, and the state in place of the one before; return where the encoder lies."""
        path = self.checkpoint(run.step)
        # a fresh encoder is drawn on the way to half precision, which must not move the run's own generator
        with torch.random.fork_rng(devices=[]):
            save_encoder(run.encoder, path)
        beside = self.path / f".{STATE}.new"
        torch.save(dict(run.state()), beside)
        beside.replace(self.path / STATE)
        return path

    def state(self) -> State:
        """Return the state to go on from.

        Raises:
            UsageError: there is none.
        """
        file = self.path / STATE
        if not file.is_file():
            raise UsageError("there is no run to go on with", got=str(self.path), expected=f"a directory with {STATE}")
        state: State = torch.load(file, weights_only=True)
        return state

    def note(self, values: Mapping[str, object]) -> None:
        """Append one line to `training.jsonl`."""
        with (self.path / CURVE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")

    def copy_to(self, path: Path) -> RunDirectory:
        """Copy the run, to go on with it in two ways: its state, curve and chart, not its checkpoints and MLflow run.

        Raises:
            UsageError: there is a run already.
        """
        copy = RunDirectory.new(path)
        left_out = shutil.ignore_patterns(".lock", "step_*", "mlflow_run.json", STATE)
        shutil.copytree(self.path, path, dirs_exist_ok=True, ignore=left_out)
        shutil.copy(self.path / STATE, path / STATE)  # last: without it there is no run yet
        return copy
