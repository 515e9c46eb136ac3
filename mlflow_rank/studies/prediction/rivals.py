"""What is compared with what: the model of rank and step, and simpler ones that it has to beat on the same splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mlflow_rank.studies.prediction.learners import Inputs
from mlflow_rank.studies.prediction.rows import Floats, Integers, Rows

MEANINGS: Mapping[str, str] = {
    "mean": "mean of the other runs, by layer",
    "step": "step and layer only",
    "curve": "score of the other runs at the same layer and step",
    "loss": "training loss and layer only",
    "rank": "ranks and layer only",
    "rank_step": "ranks, step and layer",
    "others_rank_step": "another run's ranks, step and layer",
}
CANDIDATE = "rank_step"
CONTROL = "others_rank_step"
MUST_BEAT = ("step", "curve", CONTROL)
_MOST_HANDED = 3  # ways of handing ranks on that are averaged


@dataclass(frozen=True, slots=True)
class Seen:
    """The inputs of every learnt model by its name, and those of the control, one for each way of handing ranks on."""

    learnt: Mapping[str, Inputs]
    control: tuple[Inputs, ...]


def seen_by(rows: Rows) -> Seen:
    """Return what each model sees; that of the loss is not there where the loss is not known everywhere."""
    layer, step = rows.layer.astype(np.float64), rows.log_step
    learnt = {
        "step": Inputs(np.column_stack([layer, step]), has_step=True),
        "rank": Inputs(np.column_stack([layer, rows.ranks]), has_step=False),
        "rank_step": Inputs(np.column_stack([layer, step, rows.ranks]), has_step=True),
    }
    if rows.log_loss is not None:
        learnt["loss"] = Inputs(np.column_stack([layer, rows.log_loss]), has_step=False)
    ways = range(1, min(len(rows.runs), _MOST_HANDED + 1))
    control = tuple(Inputs(np.column_stack([layer, step, handed_on(rows, by)]), has_step=True) for by in ways)
    return Seen(learnt, control)


def handed_on(rows: Rows, by: int) -> Floats:
    """Return ranks in which every run has those of the run `by` places further, at the same layer and step.

    Between that run's checkpoints they are interpolated over log step, beyond them the nearest holds. The course that
    all runs share stays in them; what is a run's own goes to another. So a gain that is left is no news of the run:
    ranks then only tell the time, or the shape that all trainings have, in other words.
    """
    names = rows.runs
    handed = np.empty_like(rows.ranks)
    for at, name in enumerate(names):
        giver = names[(at + by) % len(names)]
        for layer in rows.layers:
            to, of = (rows.run == name) & (rows.layer == layer), (rows.run == giver) & (rows.layer == layer)
            for column in range(rows.ranks.shape[1]):
                handed[to, column] = np.interp(rows.log_step[to], rows.log_step[of], rows.ranks[of, column])
    return handed


def mean_of_others(rows: Rows, train: Integers, test: Integers) -> Floats:
    """Return for each tested row the mean score of its layer in the training runs."""
    means = {layer: float(rows.score[train[rows.layer[train] == layer]].mean()) for layer in rows.layers}
    return np.array([means[int(layer)] for layer in rows.layer[test]])


def curve_of_others(rows: Rows, train: Integers, test: Integers) -> Floats:
    """Return for each tested row the mean of what the training runs score at its layer and step.

    Between a run's checkpoints its score is interpolated over log step, beyond them the nearest holds. It takes
    whatever course all runs share, however bent: a model that beats it knows more than the time.
    """
    predicted = np.empty(len(test))
    for layer in rows.layers:
        here = rows.layer[test] == layer
        courses = []
        for name in np.unique(rows.run[train]):
            of = train[(rows.run[train] == name) & (rows.layer[train] == layer)]
            courses.append(np.interp(rows.log_step[test[here]], rows.log_step[of], rows.score[of]))
        predicted[here] = np.mean(courses, axis=0)
    return predicted
