"""Which numbers of a monitored training become MLflow metrics, and what its alarms say in a run's tags.

The names differ from those of a measurement (`metric_names`): these are plug-in values on a small fixed probe set,
comparable from step to step and with nothing else. All of it is for people; no decision reads it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from mlflow_rank.monitoring.alarm import KINDS, Alarm
from mlflow_rank.monitoring.point import Point
from mlflow_rank.monitoring.verdict import Verdict

ALARMS_OPEN = "monitor_alarms_open"  # every point has it, and it is sent last: a point that has it is there whole
LOSS, OVERHEAD = "monitor_loss", "monitor_overhead"
ALARM_TAG, ALARMS_OPEN_TAG = "mlflow_rank.alarm.", "mlflow_rank.alarms_open"
_LONGEST_TAG = 250  # characters: MLflow's pages show tags in a narrow column
STRETCH = 10  # points over which the overhead is taken: one alone swings, and a pause is soon forgotten


def monitor_metrics(verdict: Verdict, overhead: float | None = None) -> dict[str, float]:
    """Return metric name → finite value of one point, `monitor_alarms_open` last; what is unknown is left out.

    Args:
        verdict: the point, judged.
        overhead: see `overhead_of`.
    """
    found = {name: value for name, value in _named(verdict, overhead) if value is not None and math.isfinite(value)}
    return found | {ALARMS_OPEN: float(sum(alarm.is_open for alarm in verdict.alarms))}


def overhead_of(points: Sequence[Point]) -> float | None:
    """Return the share of time that the last points cost, in [0, ∞): at most ten; None where no time has passed.

    >>> overhead_of([Point(0, (), at=100.0), Point(1, (), seconds=0.5, at=150.0)])
    0.01
    """
    stretch = points[-STRETCH - 1 :]
    if len(stretch) < 2 or (passed := stretch[-1].at - stretch[0].at) <= 0:
        return None
    return sum(point.seconds for point in stretch[1:]) / passed


def alarm_tags(alarms: Sequence[Alarm]) -> dict[str, str]:
    """Return tag → text: of each kind of alarm that was ever raised, how it stands; and how many are open.

    Where a kind was raised more than once, the text is about the first that is open, else about the last that was.
    """
    tags = {ALARMS_OPEN_TAG: str(sum(alarm.is_open for alarm in alarms))}
    for kind in KINDS:
        of_kind = [alarm for alarm in alarms if alarm.kind == kind]
        if of_kind:
            shown = next((alarm for alarm in of_kind if alarm.is_open), of_kind[-1])
            others = f" ({len(of_kind) - 1} more of this kind)" if len(of_kind) > 1 else ""
            tags[f"{ALARM_TAG}{kind}"] = _shortened(_in_short(shown), _LONGEST_TAG - len(others)) + others
    return tags


def layer_names(layers: Sequence[int]) -> Mapping[int, str]:
    """Return what layers are called in names: zero-padded to two digits, or more where there are over a hundred.

    >>> layer_names([0, 7])
    {0: 'layer_00', 7: 'layer_07'}
    """
    width = max(2, *(len(str(layer)) for layer in layers), 0)
    return {layer: f"layer_{layer:0{width}d}" for layer in layers}


def _named(verdict: Verdict, overhead: float | None) -> Iterator[tuple[str, float | None]]:
    point = verdict.point
    named = layer_names(sorted({*point.layers, *(chart.layer for chart in verdict.charts)}))
    for reading in point.readings:
        level, layer = reading.level, named[reading.layer]
        yield f"monitor_rank_{level}/{layer}", reading.rank
        yield f"monitor_rank_{level}_uncentred/{layer}", reading.rank_uncentred
        yield f"monitor_total_variance_{level}/{layer}", reading.total_variance
        yield f"monitor_normalised_std_{level}/{layer}", reading.normalised_std
        yield f"monitor_mean_norm_ratio_{level}/{layer}", reading.mean_norm_ratio
    for chart in verdict.charts:
        name = f"monitor_residual_{chart.level}/{named[chart.layer]}"
        yield name, chart.residual
        yield f"{name}_lower", chart.lower
        yield f"{name}_upper", chart.upper
    yield LOSS, point.loss
    yield OVERHEAD, overhead


def _in_short(alarm: Alarm) -> str:
    layers = ", ".join(map(str, alarm.layers))
    if alarm.is_open:
        return f"open since step {alarm.since_step}, layers {layers}: {alarm.saw}"
    return f"closed at step {alarm.closed_step}, open since step {alarm.since_step}, layers {layers}: {alarm.saw}"


def _shortened(text: str, longest: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
