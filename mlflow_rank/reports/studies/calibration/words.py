"""A calibration in sentences: what may be promised, what each limit would have got wrong, what is left out and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlflow_rank.policy.pilot_rules import MOST_MARGIN
from mlflow_rank.reports.studies.calibration.proposed_rules import (
    LEAST_RATIO,
    envelope_margin,
    envelope_ratio,
    rank_says,
)
from mlflow_rank.studies.calibration.retraining_envelope import (
    NotEnough,
    RankEnvelope,
    RetrainingEnvelope,
    ScoreEnvelope,
)
from mlflow_rank.studies.calibration.study import LEAST_RUNS, Calibration, Floor

_SHOWN = 5  # of names in a sentence


def verdicts(found: Calibration) -> Iterator[str]:
    """Yield what was found, misses and all."""
    yield _counted(found) if found.cases.cases else "No outcome of a past version is known, so there is no limit."
    chosen = found.proposed
    yield from map(_taken, chosen)
    if found.together is not None:
        errors = found.together
        yield (
            f"Together, of bad versions that they had not seen they promoted {errors.promoted}, and of good ones they "
            f"refused {errors.refused}; by training {errors.promoted_runs} and {errors.refused_runs}."
        )
    for each in found.floors if found.cases.cases else ():
        if not each.proposed:
            yield f"No rule from {each.quantity.name}: {each.because}."
        elif each not in chosen:
            yield f"No rule from {each.quantity.name}: a rank may veto, never prove, and no pilot score proves here."
    if not chosen:
        yield "No policy is proposed: no pilot score was found that proves, and ranks alone approve nothing."
    yield from _retrained(found, found.envelope)


def method(found: Calibration) -> Iterator[str]:
    """Yield how it was found, and what was left out."""
    cases = found.cases
    if cases.unlabelled:
        yield f"{len(cases.unlabelled)} checkpoints have no known outcome: {_few(cases.unlabelled)}."
    if cases.unmatched:
        yield f"{len(cases.unmatched)} outcomes are of no checkpoint here: {_few(cases.unmatched)}."
    yield (
        "Limits are split-conformal on bad trainings, each counted once, by its best bad version: a guarantee is about "
        "new bad trainings like the past ones, and about none of another kind."
    )
    yield (
        "Errors are held out: each training is judged by limits from all others. Intervals are exact (Clopper-Pearson) "
        "and by version; where a training left several versions, those by training in the table of errors are the "
        "honest ones."
    )
    yield f"Ranks are the lowest of all layers. {LEAST_RUNS} good and {LEAST_RUNS} bad trainings are the least."
    if found.envelope is not None:
        yield (
            "The envelope pools the variance between trainings over steps, with one degree of freedom less than "
            "trainings, as steps of one training go together. It looks downwards, as the rules do; of ranks it takes "
            "logarithms, and all layers at once (Bonferroni)."
        )
    yield "A study approves nothing: this proposes a policy for people to read."


def percent(share: float) -> str:
    """Return a share in percent.

    >>> percent(0.05), percent(1 / 6)
    ('5 %', '16.7 %')
    """
    return f"{100 * share:.3g} %"


def _counted(found: Calibration) -> str:
    (good, good_runs), (bad, bad_runs) = found.cases.counts(True), found.cases.counts(False)
    short = f": {bad_runs} can promise {percent(1 / (bad_runs + 1))} and no less" if bad_runs < found.least_runs else ""
    return (
        f"{good} good versions of {good_runs} trainings and {bad} bad ones of {bad_runs} have a known outcome. "
        f"A guarantee at {percent(found.alpha)} takes {found.least_runs} bad trainings{short}."
    )


def _taken(floor: Floor) -> str:
    quantity = floor.quantity
    side = "at most" if quantity.lower_is_better else "at least"
    role = "proves" if quantity.of == "pilot" else "is asked as a veto"
    sure = "guaranteed" if floor.threshold.guaranteed else "NOT guaranteed"
    return (
        f"{quantity.name} {side} {floor.limit:g} {role} ({sure}): held out, of bad versions limits like this promoted "
        f"{floor.errors.promoted}, and of good ones they refused {floor.errors.refused}."
    )


def _retrained(found: Calibration, envelope: RetrainingEnvelope | None) -> Iterator[str]:
    if envelope is None:
        yield "Nobody said which trainings repeat one recipe (--repeats), so there is no retraining envelope."
        return
    for name, each in envelope.ranks.items():
        yield f"Retraining and {name}: {each}." if isinstance(each, NotEnough) else _rank_moved(each, found)
    for name, score in envelope.scores.items():
        yield f"Retraining and {name}: {score}." if isinstance(score, NotEnough) else _score_moved(score)
    known = [each for each in (*envelope.ranks.values(), *envelope.scores.values()) if not isinstance(each, NotEnough)]
    if any(_too_wide(each) for each in known):
        yield "More trainings of one recipe make what is too wide for a rule narrower."


def _too_wide(envelope: RankEnvelope | ScoreEnvelope) -> bool:
    of_rank = isinstance(envelope, RankEnvelope)
    return (envelope_ratio(envelope) if of_rank else envelope_margin(envelope)) is None


def _rank_moved(envelope: RankEnvelope, found: Calibration) -> str:
    ratio = envelope_ratio(envelope)
    if ratio is None:
        return (
            f"Retraining may take {envelope.name} down to {envelope.least_ratio:.2f} times in some layer; a rule below "
            f"{LEAST_RATIO:g} vetoes nothing, so there is none."
        )
    so = {
        "separates": "a rule asks for that much of the champion's",
        "reversed": "no rule asks for it, as bad versions have the higher ones",
        "nothing": "a rule warns below it and refuses nothing, as this rank does not tell good from bad here",
    }[rank_says(found, envelope.name)]
    return f"Retraining leaves {envelope.name} at {ratio:g} times or more in every layer, in 95 % of pairs: {so}."


def _score_moved(envelope: ScoreEnvelope) -> str:
    margin = envelope_margin(envelope)
    if margin is None:
        return (
            f"Retraining may cost {envelope.margin:.3f} of {envelope.name}, and a policy allows {MOST_MARGIN:g} at "
            "most: there is no rule about not being worse."
        )
    return f"Retraining costs {margin:g} of {envelope.name} at most, in 95 % of pairs."


def _few(names: Sequence[str]) -> str:
    return "; ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
