"""What a rank made of nothing would seem to track: noise in its place, many times.

`white` noise has no memory; a `walk` wanders as slow numbers do, and shows how far a raw association goes by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.studies.correlation.association import marks
from mlflow_rank.studies.correlation.estimate import Missing
from mlflow_rank.studies.correlation.panels import Panel
from mlflow_rank.studies.correlation.run_intervals import TAILS
from mlflow_rank.studies.correlation.settings import StudySettings
from mlflow_rank.studies.correlation.trend import VIEWS, controls, seen
from mlflow_rank.studies.correlation.within_layer import NOTHING
from mlflow_rank.studies.enough import NotEnough, Unknown

NOISES = ("white", "walk")
STATISTIC = "spearman"
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RandomRange:
    """Where 95 % of the associations of noise with an outcome lie, or why that is not known."""

    outcome: str
    layer: int
    noise: str
    view: str
    draws: int
    bounds: tuple[float, float] | Missing

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        found: dict[str, object] = {
            name: getattr(self, name) for name in ("outcome", "layer", "noise", "view", "draws")
        }
        found["statistic"] = STATISTIC
        if isinstance(self.bounds, tuple):
            return found | {"low": self.bounds[0], "high": self.bounds[1]}
        return found | self.bounds.document()


def random_ranges(
    runs: Sequence[Panel], outcomes: Sequence[str], layers: Sequence[int], settings: StudySettings, seed: int
) -> tuple[RandomRange, ...]:
    """Return the range of every outcome, layer, noise and view, in this order; averaged over runs as ranks are."""
    generator = np.random.default_rng(seed)
    drawn = {}
    for panel in runs:
        white = generator.standard_normal((settings.random_draws, len(panel.steps)))
        drawn[panel.run] = {"white": white, "walk": white.cumsum(axis=1)}
    return tuple(
        RandomRange(outcome, layer, noise, view, settings.random_draws, each)
        for outcome in outcomes
        for row, layer in enumerate(layers)
        for noise in NOISES
        for view, each in _ranges(runs, (outcome, row), {run: each[noise] for run, each in drawn.items()}, settings)
    )


def _ranges(
    runs: Sequence[Panel], where: tuple[str, int], noise: Mapping[str, Array], settings: StudySettings
) -> list[tuple[str, tuple[float, float] | Missing]]:
    outcome, row = where
    minimum = settings.minimum.checkpoints
    known = [np.isfinite(panel.values[outcome][row]) for panel in runs]
    longest = max(int(each.sum()) for each in known)
    if longest < minimum:
        return [(view, NotEnough("known checkpoints of a run", longest, minimum)) for view in VIEWS]
    found: list[tuple[str, tuple[float, float] | Missing]] = []
    for view in VIEWS:
        total, weights = np.zeros(settings.random_draws), 0
        for panel, both in zip(runs, known, strict=True):
            if both.sum() < minimum:
                continue
            off = controls(view, panel.steps[both], panel.loss[both])
            left = marks(off.off(seen(view, noise[panel.run][:, both])), STATISTIC)
            right = marks(off.off(seen(view, panel.values[outcome][row, both])), STATISTIC)
            if np.isfinite(right).all():
                total += both.sum() * (left @ right)
                weights += both.sum()
        if weights:
            low, high = np.quantile(total / weights, TAILS)
            found.append((view, (float(low), float(high))))
        else:
            found.append((view, Unknown(NOTHING[view])))
    return found
