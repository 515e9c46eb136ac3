"""Dimensional collapse: frames that lose directions faster, or further, than healthy training does.

Only frames decide. The charts of utterance means are drawn too, but 64 rows read their own number more than the model:
in a healthy run their rank fell by 28 % within two points while that of the frames stood still.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from mlflow_rank.monitoring.calibration import Noise
from mlflow_rank.monitoring.control_chart import Calibration, ControlChart, Low
from mlflow_rank.monitoring.limits import Limits
from mlflow_rank.monitoring.past_runs import PastRuns
from mlflow_rank.monitoring.point import Point, Reading
from mlflow_rank.monitoring.signs import Sign
from mlflow_rank.monitoring.verdict import ChartValue

ADVICE = (
    "Score a small pilot on a checkpoint before and after: if it fell too, go back and check targets and learning "
    "rate; if it did not, the layer only compresses."
)
DECIDING = "frame"
FEW_POINTS = 8  # calm ones: too few to state odds
FEWEST = 2.0  # directions: fewer is collapse whatever the dimension


class DimensionalCollapse:
    """The control charts of every layer and level, and the floor under them."""

    def __init__(self, limits: Limits, past: PastRuns) -> None:
        self._limits = limits
        self._past = past
        self._charts: dict[tuple[int, str], ControlChart] = {}
        self._under: dict[int, list[int]] = {}  # steps in a row under a floor, by layer
        self._first: dict[int, float] = {}  # rank
        self._last: dict[int, Sequence[Sign]] = {}  # what each layer's last number showed
        self.values: tuple[ChartValue, ...] = ()

    @property
    def settled(self) -> frozenset[int]:
        """The layers whose frames have settled."""
        return frozenset(
            layer for (layer, level), chart in self._charts.items() if level == DECIDING and chart.phase != "warming up"
        )

    @property
    def deepest(self) -> float:
        """How low the lowest chart of frames was while it watched, in limits."""
        return max((chart.deepest for (_, level), chart in self._charts.items() if level == DECIDING), default=0.0)

    def look(self, point: Point) -> tuple[Sign, ...]:
        """Move every chart on by a point and return a sign for every layer that is collapsed at it."""
        deciding = sum(reading.level == DECIDING for reading in point.readings)
        settled = 2 * len(self.settled) >= deciding
        noise = {level: self.noise(level) for level in {reading.level for reading in point.readings}}
        signs: list[Sign] = []
        values: list[ChartValue] = []
        for reading in point.readings:
            calibration = Calibration(
                noise[reading.level],
                self._limits.false_alarms / max(1, deciding),
                self._past.stretch,
                seasoned=bool(self._past),
                run_settled=settled,
            )
            low, value = self._moved(point.step, reading, calibration)
            values.append(value)
            if reading.level == DECIDING:
                if reading.rank is not None:
                    self._last[reading.layer] = self._signs(point.step, reading, low, calibration)
                signs += self._last.get(reading.layer, ())  # without a number nothing has recovered
        self.values = tuple(values)
        return tuple(signs)

    def noise(self, level: str) -> Noise:
        """Return how much the charts of a level move by themselves, past runs included."""
        own = [chart.noise for (_, each), chart in self._charts.items() if each == level]
        return sum(own, self._past.noise(level))

    def _moved(self, step: int, reading: Reading, calibration: Calibration) -> tuple[Low | None, ChartValue]:
        key = reading.layer, reading.level
        if key not in self._charts:
            self._charts[key] = ControlChart(self._limits, deciding=reading.level == DECIDING)
        chart = self._charts[key]
        if reading.rank is None:
            return None, ChartValue(reading.layer, reading.level, chart.phase)
        low = chart.take(step, math.log(reading.rank), calibration)
        residual, limit = chart.residual, chart.limit
        bounds = (None, None) if limit is None else (-limit, limit)
        return low, ChartValue(reading.layer, reading.level, chart.phase, residual, *bounds)

    def _signs(self, step: int, reading: Reading, low: Low | None, calibration: Calibration) -> Sequence[Sign]:
        under = self._under_floors(step, reading)
        row = self._under[reading.layer] = [] if under is None else [*self._under.get(reading.layer, []), step]
        if low is not None:
            return [_told(reading.layer, low, calibration)]
        if under is not None and len(row) >= self._limits.persistence:
            return [replace(under, since_step=row[0])]
        return []

    def _under_floors(self, step: int, reading: Reading) -> Sign | None:
        """Return what is below a floor that needs no settled part of this run."""
        layer, rank = reading.layer, reading.rank or 1.0
        most, first = min(reading.count, reading.dim), self._first.setdefault(layer, rank)
        if rank < max(FEWEST, self._limits.rank_floor * most):
            return Sign(
                layer,
                f"The frames of layer {layer} use {rank:.1f} of {most} directions.",
                "In the healthy runs that we know, of encoders of 160 dimensions, no layer went below 15 % of them.",
                size=math.log(most / rank),
            )
        if rank < self._limits.first_floor * first:
            return Sign(
                layer,
                f"The rank of layer {layer} is {rank:.1f}, {1 - rank / first:.0%} below its first, {first:.1f}.",
                "In the healthy runs that we know, of encoders of 160 dimensions, the early fall took up to 79 %.",
                size=math.log(first / rank),
            )
        floor = self._past.floor(layer, step)
        if floor is not None and math.log(rank) < floor + self._past.stretch * math.log1p(-self._limits.drop):
            lowest = math.exp(floor)
            return Sign(
                layer,
                f"The rank of layer {layer} is {rank:.1f}, {1 - rank / lowest:.0%} below all past runs.",
                f"{len(self._past)} past runs had {lowest:.1f} or more around this step.",
                size=floor - math.log(rank),
            )
        return None


def _told(layer: int, low: Low, calibration: Calibration) -> Sign:
    fall = low.expected - low.now
    share = f"{-math.expm1(-fall):.0%}"
    now, expected = math.exp(low.now), math.exp(low.expected)
    if low.slow:
        saw = f"The rank of layer {layer} has slowly come down to {now:.1f}, {share} below the {expected:.1f} it held."
        sure = "Slow falls by tens of percent are normal late in training; this one is past what the limits allow."
    else:
        saw = f"The rank of layer {layer} is {now:.1f}, {share} below the {expected:.1f} of the points before."
        sure = _odds(low, calibration)
    return Sign(layer, saw, sure, size=fall, since_step=low.since_step)


def _odds(low: Low, calibration: Calibration) -> str:
    if low.healthy_points < 1 and not calibration.seasoned:
        return "There was no healthy part long enough to calibrate on."
    if low.healthy_points < FEW_POINTS and not calibration.seasoned:
        return f"Only {low.healthy_points} calm points of this layer to calibrate on: too few to say how rare that is."
    past = "past runs and " if calibration.seasoned else ""
    learned = f"as far as {past}{low.healthy_points} calm points of this layer tell"
    times = 1 / low.probability if low.probability > 1e-6 else math.inf
    if times > 1e5:
        return f"A healthy layer falls this far less than once in 100,000 points, {learned}."
    return f"A healthy layer falls this far about once in {float(f'{times:.1g}'):,.0f} points, {learned}."
