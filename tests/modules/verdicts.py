"""What a monitor says, made by hand: points whose numbers follow from step and layer, charts, and alarms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlflow_rank.monitoring.alarm import Alarm
from mlflow_rank.monitoring.point import LEVELS, Point, Reading
from mlflow_rank.monitoring.verdict import ChartValue, Verdict

BEGAN = 1_780_000_000.0
"""When step 0 was taken, in Unix time; a step takes a second."""


def alarm(kind: Any = "dimensional_collapse", *, since: int = 20, layers: Sequence[int] = (1, 2), **how: Any) -> Alarm:
    """An alarm that was raised ten steps after its first sign."""
    fields = {
        "saw": "The rank of frames is 34 % below its trend.",
        "sure": "Healthy runs fall this far once in 40,000 points.",
        "next": "Look at the learning rate.",
    }
    return Alarm(f"{kind}@{since}", kind, since, since + 10, tuple(layers), **(fields | how))


def point(step: int, *, layers: int = 3, loss: float | None = 2.5, **changed: Any) -> Point:
    """A point of every layer and level; `changed` replaces what all readings say."""
    readings = [
        Reading(layer, level, 6400, 160, **(_numbers(step, layer, level) | changed))
        for layer in range(layers)
        for level in LEVELS
    ]
    return Point(step, tuple(readings), loss=loss, seconds=0.005, at=BEGAN + step)


def verdict(step: int, *, alarms: Sequence[Alarm] = (), raised: Sequence[Alarm] = (), **how: Any) -> Verdict:
    """A point judged: watched from step 20 on, with limits of 10 %."""
    taken = point(step, **how)
    charts = [
        ChartValue(each.layer, each.level, "watching", 0.01 * each.layer, -0.1, 0.1)
        if step >= 20
        else ChartValue(each.layer, each.level, "warming up")
        for each in taken.readings
    ]
    return Verdict(taken, tuple(charts), tuple(alarms), tuple(raised))


def verdicts(steps: Sequence[int], **how: Any) -> list[Verdict]:
    """A healthy run."""
    return [verdict(step, **how) for step in steps]


def _numbers(step: int, layer: int, level: str) -> dict[str, float]:
    rank = (80.0 if level == "frame" else 30.0) - layer + 0.01 * step
    return {
        "rank": rank, "rank_uncentred": 0.6 * rank, "total_variance": 100.0 + layer, "normalised_std": 0.8,
        "mean_norm_ratio": 0.3,
    }  # fmt: skip
