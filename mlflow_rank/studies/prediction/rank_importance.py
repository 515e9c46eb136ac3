"""Which ranks a prediction leans on: how much worse it becomes on held-out runs when one of them is mixed up."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlflow_rank.studies.prediction.held_out import HeldOut, left_out_in_turn
from mlflow_rank.studies.prediction.learners import Predictor
from mlflow_rank.studies.prediction.over_runs import over_runs
from mlflow_rank.studies.prediction.rivals import CANDIDATE, Seen
from mlflow_rank.studies.prediction.rows import Floats, Rows
from mlflow_rank.studies.prediction.scores import Answer

REPEATS = 5  # scikit-learn's default


def importances(rows: Rows, seen: Seen, found: HeldOut, seed: int) -> Mapping[str, Answer]:
    """Return for `step` and each rank the growth of the mean absolute error, in the unit of the score.

    Checkpoints of one held-out run are mixed up within a layer, so that differences between layers count for nothing.
    Ranks that say the same share what they are worth: each alone may look small.
    """
    from sklearn import config_context
    from sklearn.inspection import permutation_importance

    names = ("step", *rows.names)
    inputs = seen.learnt[CANDIDATE]
    grown: dict[str, dict[str, float]] = {name: {} for name in names}
    for run, _, test in left_out_in_turn(rows):
        of_layers = []
        for layer in rows.layers:
            here = test[rows.layer[test] == layer]
            with config_context(skip_parameter_validation=True):  # that it can `fit`, which nothing here needs
                mixed_up = permutation_importance(
                    found.candidates[run],
                    inputs.of(here),
                    rows.score[here],
                    scoring=_minus_error,
                    n_repeats=REPEATS,
                    random_state=seed,
                )
            of_layers.append(mixed_up.importances_mean[1:])  # the first column is the layer
        for name, value in zip(names, np.mean(of_layers, axis=0), strict=True):
            grown[name][run] = float(value)
    return {name: over_runs(by_run, "runs") for name, by_run in grown.items()}


def _minus_error(predictor: Predictor, inputs: Floats, score: Floats) -> float:
    return -float(np.abs(predictor.predict(inputs) - score).mean())
