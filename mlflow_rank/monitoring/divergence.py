"""Divergence: numbers that are none, and activations that explode."""

from __future__ import annotations

import math

from mlflow_rank.monitoring.limits import Limits
from mlflow_rank.monitoring.point import Point, Reading
from mlflow_rank.monitoring.signs import Sign
from mlflow_rank.monitoring.trend import WINDOW

HEALTHY_RISE = 2  # times the largest of the nine points before: 1.1 in two small healthy runs
CERTAIN = "That is a fact, not a matter of limits."
ADVICE = (
    "Go back to a checkpoint before that step; lower the learning rate, clip gradients, check the loss scale and the "
    "audio of that step."
)


class Divergence:
    """Looks for NaN and infinity in layers and loss, and for a total variance far above the recent one."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._recent: dict[int, list[float]] = {}

    def look(self, point: Point) -> tuple[Sign, ...]:
        """Return a sign for every layer that diverged at this point; a loss that is no number is one in every layer."""
        signs: dict[int, Sign] = {}
        if point.loss is not None and not math.isfinite(point.loss):
            saw = f"The loss is {point.loss}."
            signs = {layer: Sign(layer, saw, CERTAIN, size=math.inf) for layer in point.layers}
        for reading in point.readings:
            sign = self._diverged(reading)
            if sign is not None:
                signs.setdefault(reading.layer, sign)
        return tuple(signs.values())

    def _diverged(self, reading: Reading) -> Sign | None:
        layer, variance = reading.layer, reading.total_variance
        if variance is None:
            if reading.cause is None:
                return None
            return Sign(layer, f"Layer {layer} has no numbers: {reading.cause}.", CERTAIN, size=math.inf)
        if reading.level != "frame":
            return None
        recent = self._recent.setdefault(layer, [])
        most = max(recent, default=0.0)  # not their median: what comes back from a collapse does not explode
        if most > 0 and variance > self._limits.explosion * most:
            return Sign(
                layer,
                f"The total variance of layer {layer} is {variance:.3g}, {variance / most:.0f} times what it was.",
                f"Healthy runs that we know stay within {HEALTHY_RISE} times.",
                size=variance / most,
            )
        recent.append(variance)
        del recent[:-WINDOW]
        return None
