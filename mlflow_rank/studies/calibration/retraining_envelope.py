"""How far two trainings of one recipe differ by nothing but their seeds: what a rule must leave room for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlflow_rank.errors import UsageError
from mlflow_rank.studies.trajectories import Trajectories

LEAST_REPEATS = 2  # trainings of one recipe: one differs from nothing
LEVEL = 0.95
Step = int


@dataclass(frozen=True, slots=True)
class NotEnough:
    """There is too little to say a number: how many there are of what, and how many it takes."""

    what: str
    n: int
    minimum: int

    def __str__(self) -> str:
        return f"not enough: {self.n} {self.what}, and {self.minimum} are the least"

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {"not_enough": self.what, "n": self.n, "minimum": self.minimum}


# One training given twice, or a score that is at its end: that nothing differs says nothing of how far it may.
_ALL_ALIKE = NotEnough("numbers that differ between trainings of one recipe", 0, 1)


@dataclass(frozen=True, slots=True)
class Spread:
    """The standard deviation `sd` between trainings at one step, pooled over `cells` steps.

    `df` is the number of trainings less one: steps of one training go together, so they make it no surer.
    """

    sd: float
    runs: int
    cells: int

    @property
    def df(self) -> int:
        """Degrees of freedom of the standard deviation."""
        return self.runs - 1

    def difference(self) -> float:
        """Return by how much two trainings differ at most, either way, in 95 % of pairs."""
        return self._quantile(1.0 - (1.0 - LEVEL) / 2)

    def fall(self, at_once: int = 1) -> float:
        """Return by how much the second of two falls short of the first at most, in 95 % of pairs.

        Args:
            at_once: how many such numbers are asked together (Bonferroni): none of them falls further.
        """
        return self._quantile(1.0 - (1.0 - LEVEL) / at_once)

    def _quantile(self, probability: float) -> float:
        from scipy.stats import t

        two = math.sqrt(2.0)  # a difference of two has twice the variance
        return float(t.ppf(probability, self.df)) * two * self.sd

    def document(self) -> dict[str, float]:
        """Return it JSON-ready."""
        return {"sd": self.sd, "runs": self.runs, "df": self.df, "cells": self.cells, "differ": self.difference()}


@dataclass(frozen=True, slots=True)
class RankEnvelope:
    """How far a rank moves from training to training: the spread of its natural logarithm, by layer."""

    name: str
    layers: Mapping[int, Spread]

    @property
    def least_ratio(self) -> float:
        """What the second of two trainings keeps of the first one's rank at least, in every layer, in 95 % of pairs."""
        return math.exp(-max(spread.fall(len(self.layers)) for spread in self.layers.values()))

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        layers = {str(layer): spread.document() for layer, spread in self.layers.items()}
        return {"name": self.name, "least_ratio": self.least_ratio, "log_by_layer": layers}


@dataclass(frozen=True, slots=True)
class ScoreEnvelope:
    """How far a pilot score moves from training to training, as a share."""

    name: str
    spread: Spread

    @property
    def margin(self) -> float:
        """What the second of two trainings scores less than the first at most, in 95 % of pairs."""
        return self.spread.fall()

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {"name": self.name, "margin": self.margin, **self.spread.document()}


@dataclass(frozen=True, slots=True)
class RetrainingEnvelope:
    """The envelopes of all ranks and scores that could be compared, from repeated trainings of one recipe."""

    runs: tuple[str, ...]
    ranks: Mapping[str, RankEnvelope | NotEnough]
    scores: Mapping[str, ScoreEnvelope | NotEnough]

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {
            "runs": list(self.runs),
            "ranks": {name: each.document() for name, each in self.ranks.items()},
            "scores": {name: each.document() for name, each in self.scores.items()},
        }


def spread_of(cells: Sequence[Mapping[str, float]]) -> Spread | NotEnough:
    """Return the spread between trainings, pooled over cells.

    Args:
        cells: one for each step: the numbers of trainings at that step, by run. Cells of one training are left out.

    >>> spread_of([{"seed 0": 1.0, "seed 1": 3.0}, {"seed 0": 5.0, "seed 1": 5.0}])
    Spread(sd=1.0, runs=2, cells=2)
    """
    matched = [list(cell.values()) for cell in cells if len(cell) > 1]
    runs = {run for cell in cells if len(cell) > 1 for run in cell}
    if len(runs) < LEAST_REPEATS:
        return NotEnough("trainings of one recipe at a shared step", len(runs), LEAST_REPEATS)
    squares = sum(sum((number - sum(cell) / len(cell)) ** 2 for number in cell) for cell in matched)
    return Spread(math.sqrt(squares / sum(len(cell) - 1 for cell in matched)), len(runs), len(matched))


def retraining_envelope(
    table: Trajectories, repeats: Sequence[str], *, ranks: Sequence[str], scores: Sequence[str]
) -> RetrainingEnvelope:
    """Return how far repeated trainings of one recipe differ at the same steps.

    Args:
        table: what was measured.
        repeats: training runs that differ in nothing but their seed.
        ranks: names of ranks to compare, layer by layer.
        scores: names of pilot scores to compare, each at the layer where it is best.

    Raises:
        UsageError: a run is not there.
    """
    unknown = sorted(set(repeats) - set(table.runs))
    if unknown:
        raise UsageError("no such training run", got=", ".join(unknown), expected=", ".join(table.runs))
    chosen = table.where(lambda each: each.run in repeats)
    return RetrainingEnvelope(
        tuple(sorted(set(repeats))),
        {name: _of_rank(chosen, name) for name in ranks},
        {name: _of_score(chosen, name) for name in scores},
    )


def _of_rank(table: Trajectories, name: str) -> RankEnvelope | NotEnough:
    cells: dict[int, dict[Step, dict[str, float]]] = {layer: {} for layer in table.layers}
    for each in table.observations:
        rank = each.ranks.get(name, 0.0)
        if rank > 0.0:  # another has no logarithm
            cells[each.layer].setdefault(each.step, {})[each.run] = math.log(rank)
    spreads = {layer: spread_of(list(steps.values())) for layer, steps in cells.items()}
    lacking = [spread for spread in spreads.values() if isinstance(spread, NotEnough)]
    if lacking or not spreads:
        return lacking[0] if lacking else NotEnough("trainings of one recipe", 0, LEAST_REPEATS)
    known = {layer: spread for layer, spread in spreads.items() if isinstance(spread, Spread)}
    return RankEnvelope(name, known) if any(spread.sd > 0 for spread in known.values()) else _ALL_ALIKE


def _of_score(table: Trajectories, name: str) -> ScoreEnvelope | NotEnough:
    best: dict[Step, dict[str, float]] = {}
    for each, score in zip(table.observations, table.column(name).tolist(), strict=True):
        if not math.isnan(score):
            at_step = best.setdefault(each.step, {})
            at_step[each.run] = max(score, at_step.get(each.run, -math.inf))
    spread = spread_of(list(best.values()))
    if isinstance(spread, NotEnough):
        return spread
    return ScoreEnvelope(name, spread) if spread.sd > 0 else _ALL_ALIKE
