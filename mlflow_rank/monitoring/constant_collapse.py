"""Collapse onto one vector: rows that no longer differ, which the centred rank cannot see.

Only frames are judged: the means of 64 utterances lie close together in healthy models too (a normalised standard
deviation of .26 with random weights, of .05 for a while in a healthy run that warms up).
"""

from __future__ import annotations

import math

from mlflow_rank.monitoring.limits import Limits
from mlflow_rank.monitoring.point import Point, Reading
from mlflow_rank.monitoring.signs import Sign

COORDINATE_FLOOR = 0.01  # standard deviation of a coordinate: fairseq's floor under data2vec's predictions
COORDINATE_FALLEN = 0.1  # of the largest of the run
STD_FALLEN = 0.5  # of the largest of the run; encoders with a strong mean live below the floor
SHARE_FALLEN = 0.25  # of the largest share of the power that is not the mean's: total variance falls with scale too
ADVICE = (
    "Stop, go back to a checkpoint before that step, and check targets, stop-gradient and learning rate: does a "
    "constant meet the loss?"
)


class ConstantCollapse:
    """Holds each layer's variance against floors, and against the largest that the run has shown."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._largest: dict[tuple[int, str], float] = {}

    def look(self, point: Point) -> tuple[Sign, ...]:
        """Return a sign for every layer whose frames hardly differ at this point."""
        signs = []
        for reading in point.readings:
            if reading.level != "frame":
                continue
            seen = self._shrunk(reading) or self._one_way(reading) or self._gathered(reading)
            if seen is not None:
                saw, size = seen
                signs.append(Sign(reading.layer, saw, self._sure, size=size))
        return tuple(signs)

    def _one_way(self, reading: Reading) -> tuple[str, float] | None:
        std = reading.normalised_std
        if std is None:
            return None
        had = self._reference(reading.layer, "std", std)
        if std >= self._limits.std_floor or std >= STD_FALLEN * had:
            return None
        saw = f"The frames of layer {reading.layer} point one way: normalised std {std:.3g}, it was {had:.3g}."
        return saw, _fall(had, std)

    def _shrunk(self, reading: Reading) -> tuple[str, float] | None:
        variance = reading.total_variance
        if variance is None:
            return None
        had = self._reference(reading.layer, "variance", variance)
        small = math.sqrt(variance / reading.dim) < COORDINATE_FLOOR and variance < COORDINATE_FALLEN**2 * had
        if variance > 0 and not small:
            return None
        was = f"it was {had:.3g}" if had > 0 else "from the first point on"
        return f"The frames of layer {reading.layer} are one point: total variance {variance:.3g}, {was}.", math.inf

    def _gathered(self, reading: Reading) -> tuple[str, float] | None:
        variance, ratio = reading.total_variance, reading.mean_norm_ratio
        if variance is None or ratio is None:
            return None
        share = self._reference(reading.layer, "share", 1 - ratio)
        had = self._largest[reading.layer, "variance"]
        if variance >= self._limits.variance_share * had or 1 - ratio >= SHARE_FALLEN * share:
            return None
        saw = (
            f"The frames of layer {reading.layer} gather around their mean: total variance {variance:.3g}, it was "
            f"{had:.3g}; mean-norm ratio {ratio:.3f}."
        )
        return saw, _fall(had, variance) / 2  # as a standard deviation falls

    def _reference(self, layer: int, what: str, value: float) -> float:
        self._largest[layer, what] = max(self._largest.get((layer, what), 0.0), value)
        return self._largest[layer, what]

    @property
    def _sure(self) -> str:
        return f"Seen at {self._limits.persistence} points in a row; no healthy run that we know went there."


def _fall(had: float, now: float) -> float:
    return math.log(had / now) if now > 0 else math.inf
