"""What a prediction of one pilot score is made from: the rows that can be used, as arrays, and what was left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.errors import UsageError
from mlflow_rank.studies.enough import NotEnough
from mlflow_rank.studies.prediction.over_runs import LEAST_RUNS
from mlflow_rank.studies.trajectories import Trajectories

LEAST_CHECKPOINTS = 8  # of a run: below it an order of checkpoints is mostly chance
_MOSTLY_KNOWN = 0.9  # a rank that is unknown more often would cost more rows than it is worth

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Names = NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What is not used: rows without score or rank, ranks mostly unknown, short runs, layers that not all runs have."""

    rows: int
    ranks: tuple[str, ...]
    runs: tuple[str, ...]
    layers: tuple[int, ...]

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {"rows": self.rows, "ranks": list(self.ranks), "runs": list(self.runs), "layers": list(self.layers)}


@dataclass(frozen=True, slots=True)
class Rows:
    """Layers of checkpoints with all that is needed known, sorted by run, layer and step.

    `ranks` is rows × names: logarithms where a rank is above 0 everywhere, since a rank counts and its halving means
    the same at every height. `log_step` is ln(1 + step). `log_loss` is None where the loss of a row is unknown or
    not above 0. More is better in `score`.
    """

    run: Names
    layer: Integers
    step: Integers
    log_step: Floats
    log_loss: Floats | None
    ranks: Floats
    names: tuple[str, ...]
    score: Floats
    left_out: LeftOut

    @property
    def runs(self) -> tuple[str, ...]:
        """Names of the runs, sorted."""
        return tuple(str(name) for name in np.unique(self.run))

    @property
    def layers(self) -> tuple[int, ...]:
        """Indices of the layers, ascending."""
        return tuple(int(layer) for layer in np.unique(self.layer))

    def checkpoints(self, run: str) -> int:
        """Return how many checkpoints of a run there are."""
        return len(np.unique(self.step[self.run == run]))


def rows_of(trajectories: Trajectories, outcome: str, predictors: Sequence[str]) -> Rows | NotEnough:
    """Return the rows from which a score is predicted, or what there is too little of.

    What is left out is chosen by what is known, never by what a score is.

    Args:
        trajectories: the table, in its window.
        outcome: name of the score.
        predictors: names of the ranks.

    Raises:
        UsageError: the score or a rank is not in the table, or none of the ranks is known beside the score.
    """
    score = trajectories.column(outcome)
    scored = np.isfinite(score)
    columns = {name: trajectories.column(name) for name in predictors}
    used = [name for name, column in columns.items() if scored.any() and _share(column[scored]) >= _MOSTLY_KNOWN]
    if not used and scored.any():
        raise UsageError(
            f"no rank is known beside {outcome}",
            got=", ".join(predictors) or "no rank",
            expected=f"a rank that is known at {_MOSTLY_KNOWN:.0%} of the scored layers or more",
            remedy="measure the same checkpoints and layers that are piloted",
        )
    known = scored & np.all([np.isfinite(columns[name]) for name in used], axis=0) if used else scored
    run = np.array([each.run for each in trajectories.observations], dtype=np.str_)
    layer = trajectories_layer(trajectories)
    step = trajectories.column("step").astype(np.int64)
    long_enough = [name for name in np.unique(run[known]) if _checkpoints(step[known & (run == name)])]
    in_long = known & np.isin(run, long_enough)
    shared = [
        at for at in np.unique(layer[in_long]) if all((layer[in_long & (run == r)] == at).any() for r in long_enough)
    ]
    kept = in_long & np.isin(layer, shared)
    if len(long_enough) < LEAST_RUNS:
        return NotEnough(f"runs of {LEAST_CHECKPOINTS} checkpoints or more", len(long_enough), LEAST_RUNS)
    if not kept.any():
        return NotEnough("layers that every run has", 0, 1)
    left_out = LeftOut(
        rows=int((~kept).sum()),
        ranks=tuple(name for name in predictors if name not in used),
        runs=tuple(sorted(set(trajectories.runs) - {str(name) for name in long_enough})),
        layers=tuple(sorted(set(trajectories.layers) - {int(at) for at in shared})),
    )
    loss = trajectories.column("loss")[kept]
    rows = Rows(
        run=run[kept],
        layer=layer[kept],
        step=step[kept],
        log_step=np.log1p(step[kept].astype(np.float64)),
        log_loss=np.log(loss) if np.isfinite(loss).all() and (loss > 0).all() else None,
        ranks=np.column_stack([_logarithm(columns[name][kept]) for name in used]),
        names=tuple(used),
        score=score[kept],
        left_out=left_out,
    )
    return _ordered(rows)


def trajectories_layer(trajectories: Trajectories) -> Integers:
    """Return the layer of every observation."""
    return np.array([each.layer for each in trajectories.observations], dtype=np.int64)


def _ordered(rows: Rows) -> Rows:
    order = np.lexsort((rows.step, rows.layer, rows.run))
    return replace(
        rows,
        run=rows.run[order],
        layer=rows.layer[order],
        step=rows.step[order],
        log_step=rows.log_step[order],
        log_loss=None if rows.log_loss is None else rows.log_loss[order],
        ranks=rows.ranks[order],
        score=rows.score[order],
    )


def _share(column: Floats) -> float:
    return float(np.isfinite(column).mean())


def _checkpoints(steps: Integers) -> bool:
    return len(np.unique(steps)) >= LEAST_CHECKPOINTS


def _logarithm(column: Floats) -> Floats:
    return np.log(column) if (column > 0).all() else column
