"""What studies read: ranks and pilot scores of every layer of the checkpoints of training runs, under one convention.

One row is one layer of one checkpoint. A document of it is one file that says what its numbers mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.errors import UsageError
from mlflow_rank.studies.conventions import Conventions

KIND = "Trajectories"
COLUMNS = ("run", "step", "loss", "layer")  # of a row in a document, before ranks and scores
Column = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A pilot score that is looked at: its name (`pilot_keyword`, `pilot_keyword_ood`), and what it is.

    `domain` is `in_domain` or `out_of_domain`; `metric` the primary one of the task.
    """

    name: str
    task: str
    domain: str
    metric: str
    lower_is_better: bool = False

    @property
    def settings(self) -> str:
        """How the names of its task's settings begin in the conventions: `pilot.keyword.`, in both domains."""
        name = self.name.removeprefix("pilot_")
        if self.domain == "out_of_domain":  # a task in domain may itself be called so
            name = name.removesuffix("_ood")
        return f"pilot.{name.replace('.', '_')}."


@dataclass(frozen=True, slots=True)
class Observation:
    """A layer of a checkpoint. Ranks and scores are by name; what is unknown is not there.

    `loss` is the training loss logged last at or before the step, None where nobody knows it.
    """

    run: str
    step: int
    layer: int
    loss: float | None
    ranks: Mapping[str, float]
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Trajectories:
    """Observations, sorted by run, step and layer, each there once, and what their numbers mean."""

    observations: tuple[Observation, ...]
    outcomes: tuple[Outcome, ...]
    conventions: Conventions

    def __post_init__(self) -> None:
        places = [(each.run, each.step, each.layer) for each in self.observations]
        twice = sorted({place for place in places if places.count(place) > 1}) if len(set(places)) < len(places) else []
        if twice:
            raise UsageError(
                "a layer of a checkpoint was given twice",
                got=", ".join(f"{run}, step {step}, layer {layer}" for run, step, layer in twice[:3]),
                expected="each once",
            )
        ordered = sorted(self.observations, key=lambda each: (each.run, each.step, each.layer))
        object.__setattr__(self, "observations", tuple(ordered))

    @cached_property
    def runs(self) -> tuple[str, ...]:
        """Names of the training runs."""
        return tuple(sorted({each.run for each in self.observations}))

    @cached_property
    def layers(self) -> tuple[int, ...]:
        """Indices of the layers, ascending."""
        return tuple(sorted({each.layer for each in self.observations}))

    @cached_property
    def predictors(self) -> tuple[str, ...]:
        """Names of the ranks, in the order in which they were given."""
        return tuple(dict.fromkeys(name for each in self.observations for name in each.ranks))

    def steps(self, run: str) -> tuple[int, ...]:
        """Return the steps of a run's checkpoints, ascending."""
        return tuple(sorted({each.step for each in self.observations if each.run == run}))

    def outcome(self, name: str) -> Outcome:
        """Return an outcome by its name.

        Raises:
            UsageError: there is none.
        """
        for each in self.outcomes:
            if each.name == name:
                return each
        raise UsageError(
            "no such pilot score", got=name, expected=", ".join(each.name for each in self.outcomes) or "none was taken"
        )

    def column(self, name: str) -> Column:
        """Return a rank, a score, `step` or `loss` of every observation, in their order; NaN where it is unknown.

        Scores of which less is better come negated: more is better in every column of a score.

        Raises:
            UsageError: there is no such number.
        """
        if name == "step":
            return np.array([each.step for each in self.observations], dtype=np.float64)
        if name == "loss":
            losses = [each.loss for each in self.observations]
            return np.array([math.nan if loss is None else loss for loss in losses], dtype=np.float64)
        if name in self.predictors:
            return np.array([each.ranks.get(name, math.nan) for each in self.observations], dtype=np.float64)
        sign = -1.0 if self.outcome(name).lower_is_better else 1.0
        return np.array([sign * each.scores.get(name, math.nan) for each in self.observations], dtype=np.float64)

    def where(self, chosen: Callable[[Observation], bool]) -> Trajectories:
        """Return the chosen observations only."""
        return replace(self, observations=tuple(each for each in self.observations if chosen(each)))

    def document(self) -> dict[str, object]:
        """Return it JSON-ready: `columns` names the cells of each of `rows`; null is unknown."""
        scores = [each.name for each in self.outcomes]
        return {
            "kind": KIND,
            "conventions": self.conventions.document(),
            "outcomes": [
                {name: getattr(each, name) for name in ("name", "task", "domain", "metric", "lower_is_better")}
                for each in self.outcomes
            ],
            "columns": [*COLUMNS, *self.predictors, *scores],
            "rows": [
                [each.run, each.step, each.loss, each.layer]
                + [each.ranks.get(name) for name in self.predictors]
                + [each.scores.get(name) for name in scores]
                for each in self.observations
            ],
        }


def read_trajectories(document: Mapping[str, object], named: str = "this") -> Trajectories:
    """Return what `Trajectories.document` gave.

    Args:
        document: as it was read from JSON.
        named: where it came from, for errors.

    Raises:
        UsageError: it is no such document, or a number in it is not finite.
    """
    if document.get("kind") != KIND:
        raise UsageError(
            f"{named} is no table of trajectories", got=f"kind {document.get('kind')!r}", expected=f"kind {KIND!r}"
        )
    try:
        return _read(document)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UsageError(
            f"{named} is a damaged table of trajectories",
            got=f"{type(error).__name__}: {error}",
            expected="a table as `mlflow-rank study correlate --save-table` writes it",
        ) from error


def _read(document: Mapping[str, object]) -> Trajectories:
    given, rows, conventions = document["outcomes"], document["rows"], document["conventions"]
    columns = document["columns"]
    if not isinstance(given, Sequence) or not isinstance(rows, Sequence) or not isinstance(columns, Sequence):
        raise TypeError("outcomes, columns and rows are lists")
    if not isinstance(conventions, Mapping):
        raise TypeError("conventions are a mapping")
    outcomes = tuple(Outcome(**each) for each in given)
    scores = {each.name for each in outcomes}
    if len(scores) < len(outcomes) or len(set(columns)) < len(columns):
        raise ValueError("two columns have one name")
    ranks = [name for name in columns if name not in scores and name not in COLUMNS]
    observations = []
    for row in rows:
        cells = dict(zip(columns, row, strict=True))
        known = {name: _finite(cells[name]) for name in (*ranks, *scores) if cells[name] is not None}
        observations.append(
            Observation(
                run=str(cells["run"]),
                step=_whole(cells["step"]),
                layer=_whole(cells["layer"]),
                loss=None if cells["loss"] is None else _finite(cells["loss"]),
                ranks={name: known[name] for name in ranks if name in known},
                scores={each.name: known[each.name] for each in outcomes if each.name in known},
            )
        )
    return Trajectories(tuple(observations), outcomes, Conventions(dict(conventions)))


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{value!r} is no whole number")
    return value


def _finite(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no finite number")
    return float(value)
