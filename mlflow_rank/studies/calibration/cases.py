"""Past versions whose outcome is known, with the numbers that a rule would have read of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mlflow_rank.errors import UsageError
from mlflow_rank.studies.trajectories import Observation, Trajectories

Place = tuple[str, int]  # a training run and a step of it
Layer = int | Literal["best"]
BEST: Literal["best"] = "best"


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number of a version that a rule may hold against a floor.

    `of` says what it is: a `rank` is the lowest of all layers, as a rule about `layers: all` reads it; a `pilot` is the
    score of `layer`, or of the best one. Error rates are negated: more is better everywhere. `chance` is the score of
    guessing, where it is known, as people know it.
    """

    name: str
    of: Literal["rank", "pilot"]
    layer: Layer | None = None
    lower_is_better: bool = False
    chance: float | None = None

    def said(self, value: float) -> float:
        """Return a value as people know it: an error rate is no negative number."""
        return 0.0 - value if self.lower_is_better else value  # which has no -0


@dataclass(frozen=True, slots=True)
class Case:
    """A version: what it is called, the training run it came from, whether it was good, and its known numbers.

    Versions of one group are not independent: they are kept or left out together.
    """

    name: str
    group: str
    good: bool
    numbers: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Cases:
    """What can be calibrated on; `unlabelled` checkpoints have no outcome, `unmatched` outcomes no checkpoint."""

    cases: tuple[Case, ...]
    quantities: tuple[Quantity, ...]
    unlabelled: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = ()

    def counts(self, good: bool) -> tuple[int, int]:
        """Return how many versions were good (or bad), and of how many training runs they are."""
        chosen = [case for case in self.cases if case.good is good]
        return len(chosen), len({case.group for case in chosen})


def cases_of(
    table: Trajectories,
    outcomes: Mapping[Place, bool],
    *,
    ranks: Sequence[str],
    scores: Sequence[str],
    layer: Layer = BEST,
    chance: Mapping[str, float] | None = None,
) -> Cases:
    """Return the checkpoints of a table whose outcome is known.

    A number that some layer lacks is not there: the rule would not know it either.

    Args:
        table: ranks and scores, the window already chosen.
        outcomes: whether a version was good, by run and step.
        ranks: names of ranks to look at.
        scores: names of pilot scores to look at.
        layer: whose score is read.
        chance: the score of guessing, by the name of the pilot score, where it is known.

    Raises:
        UsageError: the table has no such rank, score or layer.
    """
    unknown = [name for name in ranks if name not in table.predictors]
    if unknown:
        raise UsageError(
            "no such rank", got=", ".join(unknown), expected=", ".join(table.predictors) or "none was measured"
        )
    if layer != BEST and layer not in table.layers:
        raise UsageError("no such layer", got=str(layer), expected=", ".join(map(str, table.layers)) or "none")
    quantities = (
        *(Quantity(name, "rank") for name in ranks),
        *(_scored(table, name, layer, (chance or {}).get(name)) for name in scores),
    )
    layers: dict[Place, list[Observation]] = {}
    for each in table.observations:
        layers.setdefault((each.run, each.step), []).append(each)
    cases = [
        Case(named(place), place[0], outcomes[place], _numbers(rows, quantities))
        for place, rows in layers.items()
        if place in outcomes
    ]
    return Cases(
        tuple(cases),
        quantities,
        unlabelled=tuple(named(place) for place in layers if place not in outcomes),
        unmatched=tuple(named(place) for place in sorted(outcomes) if place not in layers),
    )


def named(place: Place) -> str:
    """Return what a checkpoint is called.

    >>> named(("seed 0", 400))
    'seed 0, step 400'
    """
    return f"{place[0]}, step {place[1]}"


def _scored(table: Trajectories, name: str, layer: Layer, chance: float | None) -> Quantity:
    return Quantity(name, "pilot", layer, table.outcome(name).lower_is_better, chance)


def _numbers(rows: Sequence[Observation], quantities: Sequence[Quantity]) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for quantity in quantities:
        if quantity.of == "rank":
            known = [row.ranks[quantity.name] for row in rows if quantity.name in row.ranks]
            if len(known) == len(rows):
                numbers[quantity.name] = min(known)
            continue
        sign = -1.0 if quantity.lower_is_better else 1.0
        scored = {row.layer: sign * row.scores[quantity.name] for row in rows if quantity.name in row.scores}
        if quantity.layer == BEST and len(scored) == len(rows):
            numbers[quantity.name] = max(scored.values())
        elif quantity.layer in scored:
            numbers[quantity.name] = scored[int(quantity.layer)]
    return numbers
