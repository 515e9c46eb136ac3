"""Does a rank track a pilot score over the checkpoints of a run, layer by layer?

Each run is looked at alone and the associations are averaged, weighted by checkpoints: so a run that is better in all
checkpoints than another adds nothing. A plain mean, not one of Fisher's z: a single run at ±1 cannot outvote the rest,
it is the same rule for all three statistics, and its pull towards 0 is small and on the careful side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.studies.correlation.association import STATISTICS
from mlflow_rank.studies.correlation.estimate import Estimate, Found
from mlflow_rank.studies.correlation.panels import Panel
from mlflow_rank.studies.correlation.run_intervals import by_shift, drawn_runs, over_runs
from mlflow_rank.studies.correlation.settings import StudySettings
from mlflow_rank.studies.correlation.shifts import chance, shifted_associations
from mlflow_rank.studies.correlation.trend import VIEWS, controls, seen
from mlflow_rank.studies.enough import NotEnough, Unknown

Array = NDArray[np.float64]
AT_ONCE = 8e6  # numbers that are shifted at once: 64 MB
NOTHING = {
    "raw": "the rank or the score never changes",
    "partial": "nothing of the rank or of the score is left beside step and loss",
    "differences": "nothing of the changes is left beside those of step and loss",
}


@dataclass(frozen=True)
class Tracking:
    """How a predictor goes with an outcome within one layer over checkpoints.

    Attributes:
        predictor: name of the rank, or `step` or `loss`.
        outcome: name of the pilot score.
        layer: its index.
        runs: that are long enough.
        checkpoints: of these runs, with both numbers known.
        dropped: checkpoints of any run at which one of both is unknown.
        runs_too_short: runs left out because fewer than the minimum of checkpoints are known.
        controls: what `partial` takes off, in any run.
        views: by view, by statistic.
    """

    predictor: str
    outcome: str
    layer: int
    runs: int
    checkpoints: int
    dropped: int
    runs_too_short: int
    controls: tuple[str, ...]
    views: Mapping[str, Mapping[str, Found]]

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        names = ("predictor", "outcome", "layer", "runs", "checkpoints", "dropped", "runs_too_short")
        views = {
            view: {statistic: found.document() for statistic, found in by_statistic.items()}
            for view, by_statistic in self.views.items()
        }
        return {name: getattr(self, name) for name in names} | {"controls": list(self.controls), "views": views}


@dataclass
class _Gathered:
    """What the runs say of one predictor, outcome and layer: checkpoints that count, shifts by view and statistic."""

    checkpoints: dict[str, int] = field(default_factory=dict)
    longest: int = 0
    dropped: int = 0
    too_short: int = 0
    controls: dict[str, None] = field(default_factory=dict)
    shifts: dict[tuple[str, str], dict[str, tuple[Array, int]]] = field(default_factory=dict)  # with columns taken off


def tracked(
    runs: Sequence[Panel],
    predictors: Sequence[str],
    outcomes: Sequence[str],
    layers: Sequence[int],
    settings: StudySettings,
    seed: int,
) -> tuple[Tracking, ...]:
    """Return the tracking of every predictor, outcome and layer, in this order.

    Where the predictor is `loss`, the loss is not among the controls.

    Args:
        runs: with all named numbers.
        predictors: names of ranks, `step` or `loss`.
        outcomes: names of pilot scores.
        layers: indices of the rows of the panels.
        settings: minimum, resamples, permutations.
        seed: of all draws.
    """
    gathered = {
        (predictor, outcome, row): _Gathered()
        for predictor in predictors
        for outcome in outcomes
        for row in range(len(layers))
    }
    for panel in runs:
        for rows in _rows_alike(panel, (*predictors, *outcomes)):
            _hear(gathered, panel, rows, predictors, outcomes, settings.minimum.checkpoints)
    return tuple(
        _tracking((predictor, outcome, layers[row]), each, settings, seed)
        for (predictor, outcome, row), each in gathered.items()
    )


def _hear(
    gathered: Mapping[tuple[str, str, int], _Gathered],
    panel: Panel,
    rows: Sequence[int],
    predictors: Sequence[str],
    outcomes: Sequence[str],
    minimum: int,
) -> None:
    """Put what layers of one run say into what was gathered, series of the same known checkpoints at once."""
    known = {name: np.isfinite(panel.values[name][rows[0]]) for name in (*predictors, *outcomes)}
    for of_predictors in _alike(predictors, known):
        for of_outcomes in _alike(outcomes, known):
            both = known[of_predictors[0]] & known[of_outcomes[0]]
            count = int(both.sum())
            for one, other, row in product(of_predictors, of_outcomes, rows):
                cell = gathered[one, other, row]
                cell.dropped += len(both) - count
                cell.longest = max(cell.longest, count)
                cell.too_short += count < minimum
                if count >= minimum:
                    cell.checkpoints[panel.run] = count
            if count < minimum:
                continue
            at_once = max(1, int(AT_ONCE // (len(of_outcomes) * count**3)))
            for first in range(0, len(rows), at_once):
                _shift(gathered, panel, (rows[first : first + at_once], both), of_predictors, of_outcomes)


def _shift(
    gathered: Mapping[tuple[str, str, int], _Gathered],
    panel: Panel,
    where: tuple[Sequence[int], NDArray[np.bool_]],
    predictors: Sequence[str],
    outcomes: Sequence[str],
) -> None:
    rows, both = where
    scores = np.array([panel.values[name][rows][:, both] for name in outcomes])
    for names in _alone(predictors):
        ranks = np.array([panel.values[name][rows][:, both] for name in names])
        loss = None if "loss" in names else panel.loss[both]
        for view in VIEWS:
            off = controls(view, panel.steps[both], loss)
            for statistic in STATISTICS:
                shifts = shifted_associations(seen(view, ranks)[:, None], seen(view, scores), off, statistic)
                for (i, one), (j, other), (k, row) in product(enumerate(names), enumerate(outcomes), enumerate(rows)):
                    cell = gathered[one, other, row]
                    if view == "partial":
                        cell.controls.update(dict.fromkeys(off.names))
                    if np.isfinite(shifts[i, j, k]).all():
                        found = shifts[i, j, k], off.columns.shape[1]
                        cell.shifts.setdefault((view, statistic), {})[panel.run] = found


def _alone(predictors: Sequence[str]) -> list[list[str]]:
    """Return the predictors, the loss apart from the others: it is not taken off itself."""
    groups = [[name for name in predictors if name != "loss"], [name for name in predictors if name == "loss"]]
    return [each for each in groups if each]


def _rows_alike(panel: Panel, names: Sequence[str]) -> list[list[int]]:
    """Return the layers in groups that know the same checkpoints of every number."""
    groups: dict[bytes, list[int]] = {}
    known = np.isfinite(np.array([panel.values[name] for name in names]))
    for row in range(known.shape[1]):
        groups.setdefault(known[:, row].tobytes(), []).append(row)
    return list(groups.values())


def _alike(names: Sequence[str], known: Mapping[str, NDArray[np.bool_]]) -> list[list[str]]:
    """Return the names in groups of the same known checkpoints."""
    groups: dict[bytes, list[str]] = {}
    for name in names:
        groups.setdefault(known[name].tobytes(), []).append(name)
    return list(groups.values())


def _tracking(place: tuple[str, str, int], cell: _Gathered, settings: StudySettings, seed: int) -> Tracking:
    views: dict[str, dict[str, Found]] = {view: {} for view in VIEWS}
    for view in VIEWS:
        for statistic in STATISTICS:
            by_run = cell.shifts.get((view, statistic), {})
            if not cell.checkpoints:
                views[view][statistic] = NotEnough(
                    "known checkpoints of a run", cell.longest, settings.minimum.checkpoints
                )
            elif not by_run:
                views[view][statistic] = Unknown(NOTHING[view])
            else:
                views[view][statistic] = _estimate(by_run, cell.checkpoints, settings, seed)
    predictor, outcome, layer = place
    return Tracking(
        predictor,
        outcome,
        layer,
        runs=len(cell.checkpoints),
        checkpoints=sum(cell.checkpoints.values()),
        dropped=cell.dropped,
        runs_too_short=cell.too_short,
        controls=tuple(cell.controls),
        views=views,
    )


def _estimate(
    by_run: Mapping[str, tuple[Array, int]], checkpoints: Mapping[str, int], settings: StudySettings, seed: int
) -> Estimate:
    weights = np.array([checkpoints[run] for run in by_run], dtype=np.float64)
    share = weights / weights.sum()
    shifts = [each for each, _ in by_run.values()]
    values = np.array([each[0] for each in shifts])
    value = float(share @ values)
    if len(values) >= settings.minimum.runs:
        interval = over_runs(values, weights, drawn_runs(len(values), settings.resamples, seed), (-1.0, 1.0))
    else:
        variance = sum(part**2 * float(np.mean(each[1:] ** 2)) for part, each in zip(share, shifts, strict=True))
        freedom = sum(len(each) - 1 - columns for each, columns in by_run.values())
        interval = by_shift(value, variance, freedom)
    weighted = [part * each for part, each in zip(share, shifts, strict=True)]
    per_run = {run: float(each[0]) for run, (each, _) in by_run.items()}
    return Estimate(value, interval, per_run, chance(weighted, settings.permutations, seed))
