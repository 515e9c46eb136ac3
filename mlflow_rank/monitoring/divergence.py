"""Divergence: numbers that are none, and activations that explode."""

from __future__ import annotations

import math

from mlflow_rank.monitoring.limits import Limits
from mlflow_rank.monitoring.point import Point, Reading
from mlflow_rank.monitoring.signs import Sign
from mlflow_rank.monitoring.trend import WINDOW

LONG_AGO = 36  # points: what grows by a seventh a point is a hundredfold of what it was then
HEALTHY_RISE = 2  # times the largest of the nine points before: 1.1 in two small healthy runs
CERTAIN = "That is a fact, not a matter of limits."
ADVICE = (
    "Go back to a checkpoint before that step; lower the learning rate, clip gradients, check the loss scale and the "
    "audio of that step."
)


class Divergence:
    """Looks for NaN and infinity in layers and loss, and for a total variance far above what it was.

    What it was is the largest of the last points, and, since a growing explosion takes those with it, the largest of
    the points long ago too, as far back as the layer has been settled.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._recent: dict[int, list[float]] = {}
        self._since_settled: dict[int, list[tuple[int, float]]] = {}  # step and total variance
        self._before: dict[int, float] = {}  # the largest of those that are no longer kept

    def look(self, point: Point, settled: frozenset[int] = frozenset()) -> tuple[Sign, ...]:
        """Return a sign for every layer that diverged at this point; a loss that is no number is one in every layer."""
        signs: dict[int, Sign] = {}
        if point.loss is not None and not math.isfinite(point.loss):
            saw = f"The loss is {point.loss}."
            signs = {layer: Sign(layer, saw, CERTAIN, size=math.inf) for layer in point.layers}
        for reading in point.readings:
            sign = self._diverged(point.step, reading, settled=reading.layer in settled)
            if sign is not None:
                signs.setdefault(reading.layer, sign)
        return tuple(signs.values())

    def _diverged(self, step: int, reading: Reading, *, settled: bool) -> Sign | None:
        layer, variance = reading.layer, reading.total_variance
        if variance is None:
            if reading.cause is None:
                return None
            return Sign(layer, f"Layer {layer} has no numbers: {reading.cause}.", CERTAIN, size=math.inf)
        if reading.level != "frame":
            return None
        recent = self._recent.setdefault(layer, [])
        most = max(recent, default=0.0)  # not their median: what comes back from a collapse does not explode
        once = self._long_ago(layer) if settled else 0.0
        had = min((each for each in (most, once) if each > 0), default=0.0)
        if had > 0 and variance > self._limits.explosion * had:
            return Sign(
                layer,
                f"The total variance of layer {layer} is {variance:.3g}, {variance / had:.0f} times what it was.",
                f"Healthy runs that we know stay within {HEALTHY_RISE} times.",
                size=math.log(variance / had),
                since_step=self._onset(step, layer, HEALTHY_RISE * had),
            )
        recent.append(variance)
        del recent[:-WINDOW]
        if settled:
            self._since_settled.setdefault(layer, []).append((step, variance))
        return None

    def _long_ago(self, layer: int) -> float:
        """Return the largest of the points since it settled that are long ago, at least of the first few of them."""
        kept = self._since_settled.get(layer, [])
        if len(kept) <= WINDOW:
            return 0.0
        while len(kept) > WINDOW + LONG_AGO:
            self._before[layer] = max(self._before.get(layer, 0.0), kept.pop(0)[1])
        return max(self._before.get(layer, 0.0), *(variance for _, variance in kept[:WINDOW]))

    def _onset(self, step: int, layer: int, healthy: float) -> int:
        """Return the first of the steps until this one that were all above what is healthy."""
        for earlier, variance in reversed(self._since_settled.get(layer, [])):
            if variance <= healthy:
                break
            step = earlier
        return step
