"""How far predictions of held-out runs are off, run by run, and over runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mlflow_rank.studies.enough import NotEnough
from mlflow_rank.studies.prediction.over_runs import OverRuns, over_runs
from mlflow_rank.studies.prediction.rows import Floats, Rows

Answer = OverRuns | NotEnough
_NO_ERROR = 1e-9  # in the unit of a score: below it a prediction is exact


@dataclass(frozen=True, slots=True)
class Scores:
    """How well a model predicts runs that it did not see.

    `error` is the mean absolute error in the unit of the score (.01 is a point); `r2` one minus squared error by that
    of the run's own mean, so that 0 is no better than knowing that mean, and below it worse; `spearman` the order of
    the checkpoints of a run within a layer, averaged over layers.
    """

    error: Answer
    r2: Answer
    spearman: Answer

    def document(self) -> dict[str, object]:
        """Return them JSON-ready."""
        return {name: answer_document(getattr(self, name)) for name in ("error", "r2", "spearman")}


def answer_document(answer: Answer) -> dict[str, object]:
    """Return a number with its interval, or what there is too little of."""
    return dict(answer.document())


def scores_of(rows: Rows, predicted: Sequence[Floats]) -> Scores:
    """Return the scores of a model; where it predicted several times, the means of them."""
    errors = errors_by_run(rows, predicted)
    r2 = {run: float(np.mean([_r2(rows, each, run) for each in predicted])) for run in rows.runs}
    orders = {run: float(np.mean([_order(rows, each, run) for each in predicted])) for run in rows.runs}
    return Scores(
        over_runs(errors, "runs", between=(0.0, math.inf)),
        over_runs(r2, "runs in which the score changes", between=(-math.inf, 1.0)),
        over_runs(orders, "runs in which score and prediction change", between=(-1.0, 1.0)),
    )


def errors_by_run(rows: Rows, predicted: Sequence[Floats]) -> dict[str, float]:
    """Return the mean absolute error of every run."""
    off = np.mean([np.abs(each - rows.score) for each in predicted], axis=0)
    return {run: float(off[rows.run == run].mean()) for run in rows.runs}


def gain(errors: Mapping[str, float], of_rival: Mapping[str, float]) -> Answer:
    """Return by which share the error is smaller than a rival's, paired by run; above 0 is better than the rival.

    One minus the geometric mean of the ratios: some runs are harder than others for every model, and a ratio does not
    let the hardest run speak for all.

    Args:
        errors: mean absolute error by run.
        of_rival: the rival's.

    """
    ratios = {run: math.log(max(of_rival[run], _NO_ERROR) / max(error, _NO_ERROR)) for run, error in errors.items()}
    answer = over_runs(ratios, "runs")
    if isinstance(answer, NotEnough):
        return answer
    return OverRuns(-math.expm1(-answer.value), -math.expm1(-answer.low), -math.expm1(-answer.high), answer.runs)


def _r2(rows: Rows, predicted: Floats, run: str) -> float:
    here = rows.run == run
    spread = float(((rows.score[here] - rows.score[here].mean()) ** 2).sum())
    return 1 - float(((rows.score[here] - predicted[here]) ** 2).sum()) / spread if spread > 0 else math.nan


def _order(rows: Rows, predicted: Floats, run: str) -> float:
    from scipy.stats import spearmanr

    orders = []
    for layer in rows.layers:
        here = (rows.run == run) & (rows.layer == layer)
        one, other = rows.score[here], predicted[here]
        if np.ptp(one) > 0 and np.ptp(other) > 0:
            orders.append(float(spearmanr(one, other).statistic))
    return float(np.mean(orders)) if orders else math.nan
