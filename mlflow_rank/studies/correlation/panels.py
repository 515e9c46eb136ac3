"""The table of a study run by run: every number as layers by checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.studies.trajectories import Trajectories

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Panel:
    """One run.

    Attributes:
        run: its name.
        steps: of its checkpoints, ascending, shape (S,).
        loss: at these steps, NaN where it is unknown, shape (S,).
        values: by name of the number, shape (L, S), over all layers of the study; NaN where it is unknown.
    """

    run: str
    steps: Array
    loss: Array
    values: Mapping[str, Array]

    @property
    def loss_known(self) -> bool:
        """Whether the loss of every checkpoint is known."""
        return bool(np.isfinite(self.loss).all())


def panels(trajectories: Trajectories, names: Sequence[str]) -> tuple[Panel, ...]:
    """Return the named numbers of every run; `step` and `loss` may be named too."""
    columns = {name: trajectories.column(name) for name in dict.fromkeys([*names, "loss"])}
    row = {layer: index for index, layer in enumerate(trajectories.layers)}
    found = []
    for run in trajectories.runs:
        steps = trajectories.steps(run)
        column = {step: index for index, step in enumerate(steps)}
        values = {name: np.full((len(row), len(steps)), np.nan) for name in columns}
        for index, each in enumerate(trajectories.observations):
            if each.run == run:
                for name, numbers in columns.items():
                    values[name][row[each.layer], column[each.step]] = numbers[index]
        known = np.isfinite(values["loss"])
        loss = np.where(known.any(axis=0), np.where(known, values["loss"], -np.inf).max(axis=0), np.nan)
        found.append(Panel(run, np.array(steps, dtype=np.float64), loss, values))
    return tuple(found)
