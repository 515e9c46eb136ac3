"""Can a pilot score be told from the ranks of a run that nobody piloted, and better than by its step?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mlflow_rank import __version__
from mlflow_rank.errors import UsageError
from mlflow_rank.studies.conventions import Conventions
from mlflow_rank.studies.enough import NotEnough
from mlflow_rank.studies.prediction.held_out import HeldOut, held_out, two_left_out
from mlflow_rank.studies.prediction.learners import Model, learner
from mlflow_rank.studies.prediction.over_runs import LEAST_RUNS
from mlflow_rank.studies.prediction.rank_importance import importances
from mlflow_rank.studies.prediction.rivals import CANDIDATE, MEANINGS, MUST_BEAT, seen_by
from mlflow_rank.studies.prediction.rows import LEAST_CHECKPOINTS, Rows, rows_of
from mlflow_rank.studies.prediction.scores import Answer, Scores, answer_document, errors_by_run, gain, scores_of
from mlflow_rank.studies.prediction.triage import Triage, Verdict, ordered_at_one_step, triage_of, verdict_of
from mlflow_rank.studies.trajectories import Outcome, Trajectories

KIND = "PredictionStudy"
PURPOSE = "triage only: which checkpoints to pilot first. It is no evidence, and no policy can read it."


@dataclass(frozen=True, slots=True)
class Manner:
    """How it is predicted; `clear` is the difference of scores that counts, in their unit (.05 is five points).

    Raises:
        UsageError: `clear` is not above 0.
    """

    model: Model = "ridge"
    clear: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.clear > 0:
            raise UsageError("this difference is none", got=f"{self.clear}", expected="a difference above 0, as .05")


@dataclass(frozen=True, slots=True)
class Prediction:
    """How well one pilot score is predicted, and what follows.

    `scores` are by model; `gains` by which share the error of ranks and step is smaller than each other model's;
    `triage` and `triage_by_step` what predictions with ranks, and those by step only, save and lose.
    """

    outcome: Outcome
    rows: Rows
    found: HeldOut
    scores: Mapping[str, Scores]
    gains: Mapping[str, Answer]
    triage: Triage
    triage_by_step: Triage
    at_one_step: Answer
    importances: Mapping[str, Answer]
    verdict: Verdict

    def document(self) -> dict[str, object]:
        """Return it JSON-ready, with every prediction by the model of ranks and step."""
        rows, predicted = self.rows, self.found.by(CANDIDATE)
        return {
            "verdict": self.verdict,
            "checkpoints": {run: rows.checkpoints(run) for run in rows.runs},
            "layers": list(rows.layers),
            "ranks": list(rows.names),
            "left_out": rows.left_out.document(),
            "models": {name: each.document() for name, each in self.scores.items()},
            "smaller_error_than": {name: answer_document(each) for name, each in self.gains.items()},
            "triage": _triage_document(self.triage),
            "triage_by_step_only": _triage_document(self.triage_by_step),
            "ordered_at_one_step": answer_document(self.at_one_step),
            "importances": {name: answer_document(each) for name, each in self.importances.items()},
            "predictions": [
                [
                    str(rows.run[at]),
                    int(rows.step[at]),
                    int(rows.layer[at]),
                    float(rows.score[at]),
                    float(predicted[at]),
                ]
                for at in range(len(rows.score))
            ],
        }


@dataclass(frozen=True, slots=True)
class NoPrediction:
    """A pilot score of which there is too little."""

    outcome: Outcome
    why: NotEnough

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {"verdict": "not_enough", **self.why.document()}


@dataclass(frozen=True, slots=True)
class PredictionStudy:
    """Predictions of all pilot scores, each by models of its own. It approves nothing, and nothing reads it to decide.

    `window` says which steps were asked for; `steps` are the first and last there are.
    """

    predictions: tuple[Prediction | NoPrediction, ...]
    manner: Manner
    predictors: tuple[str, ...]
    conventions: Conventions
    runs: tuple[str, ...]
    steps: tuple[int, int]
    window: Mapping[str, object] = field(default_factory=dict)

    def document(self) -> dict[str, object]:
        """Return it JSON-ready. Scores in it, and errors, have their own unit; error rates come negated."""
        return {
            "kind": KIND,
            "version": __version__,
            "purpose": PURPOSE,
            "model": self.manner.model,
            "seed": self.manner.seed,
            "clear_difference": self.manner.clear,
            "minimum": {"runs": LEAST_RUNS, "checkpoints": LEAST_CHECKPOINTS},
            "must_beat": list(MUST_BEAT),
            "meanings": dict(MEANINGS),
            "window": dict(self.window),
            "steps": list(self.steps),
            "runs": list(self.runs),
            "predictors": list(self.predictors),
            "conventions": self.conventions.document(),
            "outcomes": [
                {
                    "outcome": each.outcome.name,
                    "task": each.outcome.task,
                    "domain": each.outcome.domain,
                    "metric": each.outcome.metric,
                    "lower_is_better": each.outcome.lower_is_better,
                }
                | each.document()
                for each in self.predictions
            ],
        }


def predict(
    trajectories: Trajectories,
    outcome: str,
    predictors: Sequence[str],
    manner: Manner = Manner(),
) -> Prediction | NoPrediction:
    """Predict one pilot score, each run by models that saw only the others.

    Args:
        trajectories: the table, in its window.
        outcome: name of the score.
        predictors: names of the ranks.
        manner: model, clear difference and seed.

    Raises:
        UsageError: a name is unknown, or no rank is known beside the score.
    """
    what = trajectories.outcome(outcome)
    rows = rows_of(trajectories, outcome, predictors)
    if isinstance(rows, NotEnough):
        return NoPrediction(what, rows)
    if np.ptp(rows.score) == 0:
        return NoPrediction(what, NotEnough("different values of the score", 1, 2))
    from sklearn import config_context

    with config_context(assume_finite=True, skip_parameter_validation=True):  # thousands of small fits
        learn, seen = learner(manner.model, manner.seed), seen_by(rows)
        found = held_out(rows, seen, learn)
        at_one_step = ordered_at_one_step(rows, two_left_out(rows, seen.learnt[CANDIDATE], learn), manner.clear)
        leaned_on = importances(rows, seen, found, manner.seed)
    errors = {name: errors_by_run(rows, several) for name, several in found.predicted.items()}
    gains = {name: gain(errors[CANDIDATE], of_it) for name, of_it in errors.items() if name != CANDIDATE}
    triage = triage_of(rows, found.by(CANDIDATE), manner.clear)
    return Prediction(
        outcome=what,
        rows=rows,
        found=found,
        scores={name: scores_of(rows, found.predicted[name]) for name in MEANINGS if name in found.predicted},
        gains=gains,
        triage=triage,
        triage_by_step=triage_of(rows, found.by("step"), manner.clear),
        at_one_step=at_one_step,
        importances=leaned_on,
        verdict=verdict_of({name: gains[name] for name in MUST_BEAT}, triage, manner.clear),
    )


def ensure_ranks(trajectories: Trajectories, predictors: Sequence[str]) -> tuple[str, ...]:
    """Return the ranks to predict from: those named, or all.

    Raises:
        UsageError: the table has none, or not one that is named.
    """
    if not trajectories.predictors:
        raise UsageError("there is nothing to predict from", got="no ranks", expected="ranks of the checkpoints")
    unknown = [name for name in predictors if name not in trajectories.predictors]
    if unknown:
        raise UsageError("no such rank", got=", ".join(unknown), expected=", ".join(trajectories.predictors))
    return tuple(predictors) or trajectories.predictors


def _triage_document(triage: Triage) -> dict[str, object]:
    return {name: answer_document(getattr(triage, name)) for name in ("ordered", "lost", "skippable")}
