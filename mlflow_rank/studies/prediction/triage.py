"""What a prediction is good for: which checkpoints one need not pilot. The rule was written before any data was seen.

Ranks are **good enough for triage** of a pilot score where all three hold, each with its 95 % interval over runs:

1. *They say more than the step.* The error of ranks and step on held-out runs is smaller than that of step only, than
   that of the other runs' own course, and than that with another run's ranks; each difference's interval is above 0.
2. *They order.* Of two checkpoints of a held-out run whose scores in a layer differ clearly (by `clear` or more; a
   smaller difference is no news, the pilot does not resolve it), the better one is predicted higher in 75 % or more,
   and the interval is above one half, which is chance.
3. *Nothing clear is lost.* Piloting the half that is predicted best, and taking the best of it, loses less than
   `clear` against piloting all; the interval is below it.

Where the first fails, ranks add nothing that was shown, however well they go along with the score: step alone (or
another run's ranks) **does as well** where its error is no larger, and it **may be luck** where the ranks' error is
smaller in these runs, but the interval reaches 0.

What the first costs and saves, measured on simulated trainings of one rank, eight checkpoints or more: ranks that say
nothing pass it in 1 of 60 studies of four runs, and in 1 of 60 of three. Ranks that know nothing but a course which all
runs share, and which is too bent for a curve over steps, beat that curve in 40 of 40, curve and course in 10, and all
three in none: hence another run's ranks. Ranks that follow each run by .9 pass in 18 of 20 studies of four runs, by .6
in 3: few runs show only what is plain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.studies.enough import NotEnough
from mlflow_rank.studies.prediction.over_runs import OverRuns, over_runs
from mlflow_rank.studies.prediction.rows import Floats, Integers, Rows
from mlflow_rank.studies.prediction.scores import Answer

Verdict = Literal["good_enough", "not_good_enough", "may_be_luck", "step_does_as_well", "not_enough"]
ORDERED = 0.75  # half way between chance and never wrong
CHANCE = 0.5
KEPT = 0.5  # share of the checkpoints that is piloted after triage
LEAST_PAIRS = 10  # of two runs at one step: fewer say nothing about an order


@dataclass(frozen=True, slots=True)
class Triage:
    """What a model's predictions save and lose.

    `ordered` is the share of clear pairs of checkpoints of one run in right order; `lost` what the best of the kept
    half is worse than the best of all; `skippable` the share of checkpoints that stand, by prediction, behind the first
    one that is not clearly worse than the best: with hindsight, what need not have been piloted.
    """

    ordered: Answer
    lost: Answer
    skippable: Answer


def triage_of(rows: Rows, predicted: Floats, clear: float) -> Triage:
    """Return what would happen in each run and layer, averaged over layers, then over runs."""
    ordered = {run: _ordered_within(rows, predicted, run, clear) for run in rows.runs}
    lost = {run: _by_layer(rows, predicted, run, _lost) for run in rows.runs}
    skippable = {run: _by_layer(rows, predicted, run, lambda s, p: _skippable(s, p, clear)) for run in rows.runs}
    return Triage(
        over_runs(ordered, "runs with checkpoints that differ clearly", between=(0.0, 1.0)),
        over_runs(lost, "runs", between=(0.0, math.inf)),
        over_runs(skippable, "runs", between=(0.0, 1.0)),
    )


def verdict_of(gains: Mapping[str, Answer], triage: Triage, clear: float) -> Verdict:
    """Return what the rule says.

    Args:
        gains: over each rival that must be beaten.
        triage: of the model of ranks and step.
        clear: the difference that counts.

    """
    known = [each for each in gains.values() if isinstance(each, OverRuns)]
    if len(known) < len(gains) or not known:
        return "not_enough"
    if any(each.value <= 0 for each in known):
        return "step_does_as_well"
    if any(each.low <= 0 for each in known):
        return "may_be_luck"
    ordered, lost = triage.ordered, triage.lost
    if isinstance(ordered, NotEnough) or isinstance(lost, NotEnough):
        return "not_enough"
    orders = ordered.value >= ORDERED and ordered.low > CHANCE
    return "good_enough" if orders and lost.high < clear else "not_good_enough"


def share_in_order(score: Floats, predicted: Floats, clear: float) -> tuple[float, int]:
    """Return how many pairs are in right order, and how many differ clearly; equal predictions are half right.

    >>> share_in_order(np.array([0.1, 0.2, 0.9]), np.array([2.0, 1.0, 3.0]), 0.5)
    (2.0, 2)
    """
    first, second = np.triu_indices(len(score), 1)
    return _in_order(score, predicted, first, second, clear)


def ordered_at_one_step(rows: Rows, predictions: Iterable[tuple[str, str, Integers, Floats]], clear: float) -> Answer:
    """Return the share of clear pairs of two runs, same layer and step, that a model orders that saw neither.

    Here the step says nothing: it is the same. The interval is by the jackknife over runs, since every run is in
    several pairs of runs.

    Args:
        rows: all.
        predictions: what `two_left_out` yields.
        clear: the difference that counts.

    """
    right: dict[tuple[str, str], float] = {}
    count: dict[tuple[str, str], int] = {}
    for one, other, test, predicted in predictions:
        first, second = _at_one_step(rows, test, one, other)
        right[one, other], count[one, other] = _in_order(rows.score[test], predicted, first, second, clear)
    total = sum(count.values())
    if total < LEAST_PAIRS:
        what = "clear pairs of two runs at one step" if count else "runs, of which two can be left out"
        return NotEnough(what, total if count else len(rows.runs), LEAST_PAIRS if count else 4)
    whole, pseudo = sum(right.values()) / total, {}
    for run in rows.runs:
        without = [pair for pair in count if run not in pair]
        left = sum(count[pair] for pair in without)
        rest = sum(right[pair] for pair in without) / left if left else math.nan
        pseudo[run] = len(rows.runs) * whole - (len(rows.runs) - 1) * rest
    interval = over_runs(pseudo, "runs with clear pairs")
    if isinstance(interval, NotEnough):
        return interval
    bias = interval.value - whole
    return OverRuns(whole, max(0.0, interval.low - bias), min(1.0, interval.high - bias), interval.runs)


def _in_order(
    score: Floats, predicted: Floats, first: NDArray[np.intp], second: NDArray[np.intp], clear: float
) -> tuple[float, int]:
    measured, guessed = score[first] - score[second], predicted[first] - predicted[second]
    differ = np.abs(measured) >= clear
    agree = np.sign(measured[differ]) * np.sign(guessed[differ])
    return float(((agree + 1) / 2).sum()), int(differ.sum())


def _at_one_step(rows: Rows, test: Integers, one: str, other: str) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return places in `test` of the rows of two runs that share layer and step."""
    place = {(rows.run[at], rows.layer[at], rows.step[at]): number for number, at in enumerate(test)}
    pairs = [
        (number, place[other, layer, step])
        for (run, layer, step), number in place.items()
        if run == one and (other, layer, step) in place
    ]
    both = np.array(pairs, dtype=np.intp).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def _ordered_within(rows: Rows, predicted: Floats, run: str, clear: float) -> float:
    right, count = 0.0, 0
    for layer in rows.layers:
        here = (rows.run == run) & (rows.layer == layer)
        more, pairs = share_in_order(rows.score[here], predicted[here], clear)
        right, count = right + more, count + pairs
    return right / count if count else math.nan


def _by_layer(rows: Rows, predicted: Floats, run: str, of_layer: Callable[[Floats, Floats], float]) -> float:
    places = [(rows.run == run) & (rows.layer == layer) for layer in rows.layers]
    return float(np.mean([of_layer(rows.score[here], predicted[here]) for here in places]))


def _lost(score: Floats, predicted: Floats) -> float:
    kept = _best_first(predicted)[: math.ceil(KEPT * len(score))]
    return float(score.max() - score[kept].max())


def _skippable(score: Floats, predicted: Floats, clear: float) -> float:
    as_good = score[_best_first(predicted)] > score.max() - clear
    return 1 - (int(as_good.argmax()) + 1) / len(score)


def _best_first(predicted: Floats) -> NDArray[np.intp]:
    return np.argsort(-predicted, kind="stable")
