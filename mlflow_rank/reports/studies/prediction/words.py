"""What a study of prediction found, in sentences: may one choose by rank what to pilot, and does the step not do?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mlflow_rank.reports.studies.correlation.names import measured_otherwise, rank_name, score_name, sentence
from mlflow_rank.reports.untrusted_text import plain
from mlflow_rank.studies.enough import NotEnough
from mlflow_rank.studies.prediction.over_runs import OverRuns
from mlflow_rank.studies.prediction.rivals import CANDIDATE, CONTROL, MUST_BEAT
from mlflow_rank.studies.prediction.rows import LEAST_CHECKPOINTS
from mlflow_rank.studies.prediction.scores import Answer
from mlflow_rank.studies.prediction.study import NoPrediction, Prediction, PredictionStudy
from mlflow_rank.studies.prediction.triage import KEPT, ORDERED, Verdict
from mlflow_rank.studies.trajectories import Outcome

ANSWERS: Mapping[Verdict, str] = {
    "good_enough": "yes",
    "not_good_enough": "too weak",
    "may_be_luck": "may be luck",
    "step_does_as_well": "no",
    "not_enough": "not enough",
}
MODELS: Mapping[str, str] = {
    "mean": "mean of other runs",
    "step": "step only",
    "curve": "other runs' score then",
    "loss": "loss only",
    "rank": "ranks only",
    "rank_step": "ranks and step",
    "others_rank_step": "another run's ranks",
}
_RIVALS = {"step": "step alone", "curve": "the score of the other runs at that step", CONTROL: "another run's ranks"}
NEVER = (
    "This is for triage, that is for choosing what to pilot first. It is no evidence, no policy can read it, and it "
    "approves nothing: what is to be promoted must be piloted."
)


def verdicts(study: PredictionStudy) -> tuple[str, ...]:
    """Return the answers: first over all pilot scores, then one by one, then what this may be used for."""
    return (*_summary(study), *(_answer(each, study.manner.clear) for each in study.predictions), NEVER)


def about(study: PredictionStudy) -> tuple[str, ...]:
    """Return how it was found, and by which rule it is judged."""
    manner = study.manner
    model = {"ridge": "ridge regression", "boosting": "boosted trees"}[manner.model]
    clear = points(manner.clear)
    rule = (
        "The rule was fixed beforehand. Good enough for triage is: an error smaller than by step alone, than that of "
        "the other runs' course, and than with another run's ranks, each interval above 0; of two checkpoints that "
        f"differ by {clear} points or more, {100 * ORDERED:g} % or more in right order, the interval above one half; "
        f"and less than {clear} points lost where only the better {100 * KEPT:g} % is piloted."
    )
    how = (
        f"Each run is predicted by {model} that saw only the other runs, one model for each pilot score; how strongly "
        "it is held back is chosen by leaving out one of those in turn."
    )
    inputs = (
        f"From {', '.join(rank_name(name) for name in study.predictors)}; layer; logarithm of the step. Steps "
        f"{study.steps[0]:,} to {study.steps[1]:,} of {len(study.runs)} training runs."
    )
    intervals = "Intervals are 95 %, Student's over runs: a run counts as one observation, so few runs give wide ones."
    scores = [{"task": of.task, "domain": of.domain, "metric": of.metric} for of in _outcomes(study)]
    otherwise = (sentence(each) for each in measured_otherwise(scores))
    return (how, inputs, *otherwise, intervals, rule, f"Seed {manner.seed}.", *_left_out(study))


def name_of(outcome: Outcome) -> str:
    """Return what a pilot score is called."""
    return score_name({"task": outcome.task, "domain": outcome.domain})


def points(value: float) -> str:
    """Return a share in points of a hundred, without a needless 0.

    >>> points(0.05), points(0.0312)
    ('5', '3.1')
    """
    return f"{round(100 * value, 1) + 0.0:g}"


def with_bounds(answer: Answer) -> str:
    """Return a number in points with its interval, or what there is too little of.

    >>> with_bounds(OverRuns(0.0312, -0.001, 0.05, 4))
    '3.1 [-0.1, 5]'
    """
    if isinstance(answer, NotEnough):
        return answer.cause
    return f"{points(answer.value)} [{points(answer.low)}, {points(answer.high)}]"


def share(found: OverRuns) -> str:
    """Return a share in per cent with its interval.

    >>> share(OverRuns(0.892, 0.5, 0.999, 4))
    '89 [50, 100]'
    """
    return f"{_percent(found.value)} [{_percent(found.low)}, {_percent(found.high)}]"


def _percent(value: float) -> str:
    return f"{round(100 * value)}"  # a whole number: there is no -0


def unbeaten(prediction: Prediction) -> list[str]:
    """Return the rivals over which nothing was shown, in the order of the rule."""
    gains = ((name, prediction.gains[name]) for name in MUST_BEAT)
    return [name for name, each in gains if not (isinstance(each, OverRuns) and each.low > 0)]


def _outcomes(study: PredictionStudy) -> list[Outcome]:
    return [each.outcome for each in study.predictions]


def _summary(study: PredictionStudy) -> Iterator[str]:
    if len(study.predictions) < 2:
        return
    good = [name_of(each.outcome) for each in study.predictions if verdict_of(each) == "good_enough"]
    unknown = sum(verdict_of(each) == "not_enough" for each in study.predictions)
    if unknown == len(study.predictions):
        yield f"Not enough data to say whether ranks are good enough for triage of any of {unknown} pilot scores."
        return
    which = f": {', '.join(good)}" if good else ""
    but = f"; not enough data for {unknown}" if unknown else ""
    yield f"Ranks are good enough for triage of {len(good)} of {len(study.predictions)} pilot scores{which}{but}."


def verdict_of(prediction: Prediction | NoPrediction) -> Verdict:
    """Return the verdict on a pilot score."""
    return "not_enough" if isinstance(prediction, NoPrediction) else prediction.verdict


def _answer(found: Prediction | NoPrediction, clear: float) -> str:
    name = sentence(name_of(found.outcome))
    if isinstance(found, NoPrediction):
        return f"{name}: {found.why.cause}."
    return " ".join((f"{name}: {_judged(found, clear)}", *_beside(found)))


def _judged(found: Prediction, clear: float) -> str:
    off = (
        f"On runs that it had not seen, the prediction from ranks and step was off by {_error(found, CANDIDATE)} points"
    )
    if found.verdict == "step_does_as_well":
        rival = next(name for name in unbeaten(found) if _not_smaller(found.gains[name]))
        lead = "step alone does as well: ranks add nothing here"
        if rival == CONTROL:
            lead = "another run's ranks do as well: what they tell is the course that all runs share"
        return f"{lead}. {off}, by {_RIVALS[rival]} {_error(found, rival)}; {_larger(found, rival)}."
    if found.verdict == "may_be_luck":
        rival = unbeaten(found)[0]
        return (
            f"it is not shown that ranks say more than {_RIVALS[rival]}. {off}, {_saved(found, rival)}, which may be "
            f"luck with {len(found.rows.runs)} runs."
        )
    reach = f"{off}, {_saved(found, 'step')}. {_ordered(found, clear)}; {_lost(found)}."
    if found.verdict == "good_enough":
        return f"ranks are good enough for triage. {reach}"
    if found.verdict == "not_good_enough":
        return f"ranks say more than the step, but are not good enough for triage. {reach}"
    return f"ranks say more than the step; whether that is enough for triage is open. {reach}"


def _saved(found: Prediction, rival: str) -> str:
    gain = found.gains[rival]
    if isinstance(gain, NotEnough):
        return gain.cause
    return f"{share(gain)} % less than by {_RIVALS[rival]} ({_error(found, rival)})"


def _larger(found: Prediction, rival: str) -> str:
    gain = found.gains[rival]
    if isinstance(gain, NotEnough):
        return gain.cause
    return f"run by run it was {_percent(-gain.value)} % larger [{_percent(-gain.high)}, {_percent(-gain.low)}]"


def _ordered(found: Prediction, clear: float) -> str:
    pairs = f"two checkpoints of a run that differ by {points(clear)} points or more"
    ordered = found.triage.ordered
    if isinstance(ordered, NotEnough):
        return f"Whether it orders {pairs} is open ({ordered.cause})"
    by_step = found.triage_by_step.ordered
    also = f" (step alone {100 * by_step.value:.0f} %)" if isinstance(by_step, OverRuns) else ""
    return f"Of {pairs}, it put {share(ordered)} % in right order{also}"


def _lost(found: Prediction) -> str:
    skippable = found.triage.skippable
    behind = (
        f", and {100 * skippable.value:.0f} % need not have been piloted to find one that is not clearly worse"
        if isinstance(skippable, OverRuns)
        else ""
    )
    return f"piloting only the better half would have lost {with_bounds(found.triage.lost)} points of the best{behind}"


def _beside(found: Prediction) -> Iterator[str]:
    if isinstance(found.at_one_step, OverRuns):
        yield (
            f"Of two unseen runs at one step, where the step says nothing, it put {share(found.at_one_step)} % "
            "in right order; chance is 50."
        )
    loss = found.gains.get("loss")
    if loss is not None and _not_smaller(loss):
        yield f"The training loss alone does as well: off by {_error(found, 'loss')}."


def _error(found: Prediction, model: str) -> str:
    error = found.scores[model].error
    return with_bounds(error) if model == CANDIDATE or isinstance(error, NotEnough) else points(error.value)


def _not_smaller(gain: Answer) -> bool:
    return isinstance(gain, OverRuns) and gain.value <= 0


def _left_out(study: PredictionStudy) -> Iterator[str]:
    for each in study.predictions:
        if isinstance(each, NoPrediction):
            continue
        left = each.rows.left_out
        parts = [
            f"ranks that are mostly unknown: {', '.join(map(plain, left.ranks))}" if left.ranks else "",
            f"runs of fewer than {LEAST_CHECKPOINTS} checkpoints: {', '.join(map(plain, left.runs))}"
            if left.runs
            else "",
            f"layers that not all runs have: {', '.join(map(str, left.layers))}" if left.layers else "",
            f"{left.rows} rows in all" if left.rows else "",
        ]
        said = "; ".join(part for part in parts if part)
        if said:
            yield f"Left out of {name_of(each.outcome)}: {said}."
