"""Within a checkpoint, do layers of higher rank have higher pilot scores?

The association over layers of each checkpoint, averaged over a run's checkpoints and then over runs. p is that of the
layers' scores shifted in depth, end joined to start, by the same number in all checkpoints: neighbouring layers are
alike and checkpoints of a run are too, so neither layers nor checkpoints may be shuffled one by one. A model of 6
layers has 6 such shifts: its p is never below 1/6. Whether rank *picks* the layer is what `layer_regret` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.studies.correlation.association import STATISTICS, marks
from mlflow_rank.studies.correlation.estimate import Estimate, Found, Missing
from mlflow_rank.studies.correlation.panels import Panel
from mlflow_rank.studies.correlation.run_intervals import Interval, drawn_runs, over_runs
from mlflow_rank.studies.correlation.settings import StudySettings
from mlflow_rank.studies.correlation.shifts import chance
from mlflow_rank.studies.enough import NotEnough, Unknown

VIEW = "checkpoint"
NO_WHOLE = NotEnough("checkpoints at which every layer has a rank and a score", 0, 1)
Array = NDArray[np.float64]


@dataclass(frozen=True)
class AcrossLayers:
    """How a predictor goes with an outcome over the layers of one checkpoint."""

    predictor: str
    outcome: str
    runs: int
    checkpoints: int
    layers: int
    views: Mapping[str, Mapping[str, Found]]

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        found = {name: getattr(self, name) for name in ("predictor", "outcome", "runs", "checkpoints", "layers")}
        return found | {"views": {VIEW: {name: each.document() for name, each in self.views[VIEW].items()}}}


@dataclass(frozen=True)
class Checkpoints:
    """Of one predictor and outcome: the layers both are known of, and by run the checkpoints that know all of these.

    `ranks` and `scores` have shape (checkpoints, layers) for each run.
    """

    layers: tuple[int, ...]
    ranks: Mapping[str, Array]
    scores: Mapping[str, Array]

    @property
    def count(self) -> int:
        """How many checkpoints there are in all runs."""
        return sum(len(each) for each in self.ranks.values())


def checkpoints(runs: Sequence[Panel], predictor: str, outcome: str, layers: Sequence[int]) -> Checkpoints:
    """Return the checkpoints at which a predictor and an outcome are known of every layer that has both anywhere."""
    both = [np.isfinite(each.values[predictor]) & np.isfinite(each.values[outcome]) for each in runs]
    rows = np.any([each.any(axis=1) for each in both], axis=0)
    ranks, scores = {}, {}
    for panel, known in zip(runs, both, strict=True):
        whole = known[rows].all(axis=0) & rows.any()
        if whole.any():
            ranks[panel.run] = panel.values[predictor][rows][:, whole].T
            scores[panel.run] = panel.values[outcome][rows][:, whole].T
    return Checkpoints(tuple(layer for layer, is_in in zip(layers, rows, strict=True) if is_in), ranks, scores)


def across(given: Checkpoints, names: tuple[str, str], settings: StudySettings, seed: int) -> AcrossLayers:
    """Return the association over layers of a (predictor, outcome)."""
    views = {statistic: _over_layers(given, statistic, settings, seed) for statistic in STATISTICS}
    return AcrossLayers(*names, len(given.ranks), given.count, len(given.layers), {VIEW: views})


def _over_layers(given: Checkpoints, statistic: str, settings: StudySettings, seed: int) -> Found:
    count = len(given.layers)
    if count < settings.minimum.layers:
        return NotEnough("layers of a checkpoint", count, settings.minimum.layers)
    if not given.ranks:
        return NO_WHOLE
    turns = (np.arange(count)[:, None] + np.arange(count)[None, :]) % count
    shifts, by_run = [], {}
    for run, ranks in given.ranks.items():
        shifted = np.einsum("cm,ckm->ck", marks(ranks, statistic), marks(given.scores[run][:, turns], statistic))
        usable = np.isfinite(shifted).all(axis=1)
        if usable.any():
            shifts.append(shifted[usable].mean(axis=0))
            by_run[run] = float(np.clip(shifts[-1][0], -1.0, 1.0))
    if not by_run:
        return Unknown("all layers of a checkpoint have the same rank or the same score")
    return Estimate(
        float(np.mean(list(by_run.values()))),
        interval_over_runs(by_run, settings, seed, (-1.0, 1.0)),
        by_run,
        chance([np.mean(shifts, axis=0)], settings.permutations, seed),
    )


def interval_over_runs(
    by_run: Mapping[str, float], settings: StudySettings, seed: int, bounds: tuple[float, float]
) -> Interval | Missing:
    """Return the interval of the plain mean over runs, or that there are too few runs for one."""
    if len(by_run) < settings.minimum.runs:
        return NotEnough("runs for an interval over runs", len(by_run), settings.minimum.runs)
    values = np.array(list(by_run.values()))
    return over_runs(values, np.ones(len(values)), drawn_runs(len(values), settings.resamples, seed), bounds)
