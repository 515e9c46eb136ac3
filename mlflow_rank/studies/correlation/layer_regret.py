"""What is lost by letting rank choose the layer: the score of the pilot-best layer less that of the rank-best one.

Beside it what others lose: the layer that was best on the other runs (`fixed`: one run is left out at a time), the
`last` layer, a `random` one (the mean over layers), and the `pilot` itself, which loses nothing by definition. The
pilot chooses on the very scores it is judged by, so all others seem to lose a little more than they do: compare them
with each other, which the paired differences do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.studies.correlation.across_layers import NO_WHOLE, Checkpoints, interval_over_runs
from mlflow_rank.studies.correlation.estimate import Estimate, Found
from mlflow_rank.studies.correlation.settings import StudySettings
from mlflow_rank.studies.enough import NotEnough

CHOICES = ("rank", "fixed", "last", "random", "pilot")
Array = NDArray[np.float64]


@dataclass(frozen=True)
class LayerRegret:
    """What each way of choosing the layer loses, in units of the score.

    Attributes:
        predictor: the rank whose highest layer is taken.
        outcome: the score.
        runs: how many.
        checkpoints: in all of them.
        choices: mean loss of each of `CHOICES` against the pilot-best layer of the same checkpoint; never below 0.
        rank_minus: loss of `rank` less that of another choice, paired; below 0, rank chose better.
        rank_chose: how often each layer has the highest rank, over all checkpoints.
        pilot_chose: how often each layer has the highest score.
    """

    predictor: str
    outcome: str
    runs: int
    checkpoints: int
    choices: Mapping[str, Found]
    rank_minus: Mapping[str, Found]
    rank_chose: Mapping[int, int]
    pilot_chose: Mapping[int, int]

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {
            "predictor": self.predictor,
            "outcome": self.outcome,
            "runs": self.runs,
            "checkpoints": self.checkpoints,
            "choices": {name: each.document() for name, each in self.choices.items()},
            "rank_minus": {name: each.document() for name, each in self.rank_minus.items()},
            "rank_chose": {str(layer): count for layer, count in self.rank_chose.items()},
            "pilot_chose": {str(layer): count for layer, count in self.pilot_chose.items()},
        }


def regret(given: Checkpoints, names: tuple[str, str], settings: StudySettings, seed: int) -> LayerRegret:
    """Return the layer-choice regret of a (predictor, outcome). Of equal layers the lowest is chosen."""
    if len(given.layers) < settings.minimum.layers or not given.ranks:
        few = len(given.layers) < settings.minimum.layers
        missing = NotEnough("layers of a checkpoint", len(given.layers), settings.minimum.layers) if few else NO_WHOLE
        nothing = dict.fromkeys(CHOICES, missing)
        others = {name: each for name, each in nothing.items() if name not in ("rank", "pilot")}
        return LayerRegret(*names, len(given.ranks), given.count, nothing, others, {}, {})
    lost = {run: _lost(given, run) for run in given.ranks}
    runs = {name: {run: each[name] for run, each in lost.items() if name in each} for name in CHOICES}
    return LayerRegret(
        *names,
        len(given.ranks),
        given.count,
        choices={name: _mean(each, settings, seed, 0.0) for name, each in runs.items()},
        rank_minus={
            name: _mean({run: runs["rank"][run] - each for run, each in runs[name].items()}, settings, seed, -np.inf)
            for name in ("fixed", "last", "random")
        },
        rank_chose=_chosen(given.layers, given.ranks),
        pilot_chose=_chosen(given.layers, given.scores),
    )


def _lost(given: Checkpoints, run: str) -> dict[str, float]:
    """Return what each choice loses in a run, mean over its checkpoints; without other runs there is no `fixed`."""
    scores = given.scores[run]
    losses = scores.max(axis=1, keepdims=True) - scores
    found = {
        "rank": float(losses[np.arange(len(losses)), given.ranks[run].argmax(axis=1)].mean()),
        "last": float(losses[:, -1].mean()),
        "random": float(losses.mean()),
        "pilot": 0.0,
    }
    others = [each.mean(axis=0) for name, each in given.scores.items() if name != run]
    if others:
        found["fixed"] = float(losses[:, int(np.mean(others, axis=0).argmax())].mean())
    return found


def _mean(by_run: Mapping[str, float], settings: StudySettings, seed: int, low: float) -> Found:
    if not by_run:
        return NotEnough("runs to choose a fixed layer on the others", 1, 2)
    value = float(np.mean(list(by_run.values())))
    return Estimate(value, interval_over_runs(by_run, settings, seed, (low, np.inf)), by_run)


def _chosen(layers: tuple[int, ...], numbers: Mapping[str, Array]) -> dict[int, int]:
    best = np.concatenate([each.argmax(axis=1) for each in numbers.values()])
    return {layer: int((best == index).sum()) for index, layer in enumerate(layers) if (best == index).any()}
