"""What a timeline shows, as numbers and words: drawn by `timeline_figure`, written by `timeline_page`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from string import ascii_uppercase

from mlflow_rank.monitoring.alarm import Alarm
from mlflow_rank.monitoring.verdict import ChartValue, Verdict
from mlflow_rank.reports.drawing import listed

MOST_POINTS = 400  # on an axis of 1,000 pixels; a longer run is thinned to the points that fell lowest


@dataclass(frozen=True, slots=True)
class Mark:
    """An alarm with the letter by which a figure names it, and the step up to which it holds there.

    `beside` is how many alarms of the same first step were raised before it, so that no letter covers another.
    """

    letter: str
    alarm: Alarm
    until: int
    beside: int = 0

    @property
    def line(self) -> str:
        """The alarm in one short line."""
        if self.alarm.is_open:
            when = f"open since step {self.alarm.since_step:,}"
        else:
            when = f"steps {self.alarm.since_step:,} to {self.until:,}"
        return f"{self.letter}  {kind_name(self.alarm)}, {when}, {layers_named(self.alarm.layers)}"


def marks_of(verdicts: Sequence[Verdict]) -> list[Mark]:
    """Return all alarms of a run with letters: A, B, …, Z, A2, … in the order they were raised."""
    last = verdicts[-1]
    found: list[Mark] = []
    for at, alarm in enumerate(last.alarms):
        round_ = at // len(ascii_uppercase)
        letter = ascii_uppercase[at % len(ascii_uppercase)] + (str(round_ + 1) if round_ else "")
        until = last.point.step if alarm.closed_step is None else alarm.closed_step
        beside = sum(mark.alarm.since_step == alarm.since_step for mark in found)
        found.append(Mark(letter, alarm, until, beside))
    return found


def headline(verdicts: Sequence[Verdict]) -> str:
    """Return how a run stands, in a few words.

    >>> from mlflow_rank.monitoring.point import Point
    >>> headline([Verdict(Point(1200, ()), (), ())])
    'No alarm until step 1,200'
    """
    alarms, step = verdicts[-1].alarms, verdicts[-1].point.step
    opened = [alarm for alarm in alarms if alarm.is_open]
    if opened:
        what = kind_name(opened[0]) if len(opened) == 1 else f"{len(opened)} are open"
        return f"ALARM at step {step:,}: {what}"
    if alarms:
        were = "1 alarm was" if len(alarms) == 1 else f"{len(alarms)} alarms were"
        return f"No alarm is open at step {step:,}; {were}"
    return f"No alarm until step {step:,}"


def kind_name(alarm: Alarm) -> str:
    """Return the kind of an alarm in words."""
    return alarm.kind.replace("_", " ")


def layers_named(layers: Sequence[int]) -> str:
    """Return layers in few characters.

    >>> layers_named([3]), layers_named([0, 1, 2, 7])
    ('layer 3', 'layers 0–2, 7')
    """
    return f"layer{'s' * (len(layers) != 1)} {listed(sorted(layers))}" if layers else "no layer"


def layers_of(verdicts: Sequence[Verdict]) -> list[int]:
    """Return the indices of all layers, ascending."""
    return sorted({layer for verdict in verdicts for layer in verdict.point.layers})


def levels_of(verdicts: Sequence[Verdict]) -> list[str]:
    """Return the levels that were read, frames first."""
    return sorted({reading.level for verdict in verdicts for reading in verdict.point.readings})


def readings_of(verdicts: Sequence[Verdict], layer: int, level: str, what: str = "rank") -> list[float]:
    """Return one number of a layer at each point, NaN where it is unknown."""
    return [_number(getattr(verdict.point.reading(layer, level), what, None)) for verdict in verdicts]


def shares_of_first(values: Sequence[float]) -> list[float]:
    """Return values as shares of the first that is known.

    >>> shares_of_first([math.nan, 100.0, 50.0])[1:]
    [1.0, 0.5]
    """
    first = next((value for value in values if math.isfinite(value) and value > 0), math.nan)
    return [value / first for value in values]


def charts_of(verdicts: Sequence[Verdict], layer: int, level: str) -> list[ChartValue | None]:
    """Return the chart of a layer at each point, None where there is none."""
    return [
        next((chart for chart in verdict.charts if (chart.layer, chart.level) == (layer, level)), None)
        for verdict in verdicts
    ]


def percent(log_ratio: float | None) -> float:
    """Return a residual as percent above (or, negative, below) the trend; NaN where it is unknown.

    >>> round(percent(math.log(0.7)))
    -30
    """
    return math.nan if log_ratio is None else 100 * math.expm1(log_ratio)


def most_telling_layers(verdicts: Sequence[Verdict], level: str, most: int) -> list[int]:
    """Return at most so many layers, ascending: two of each late alarm, the lowest, and others evenly between them."""
    layers = layers_of(verdicts)
    if len(layers) <= most:
        return layers
    alarmed = [each for alarm in reversed(verdicts[-1].alarms) for each in _ends(alarm, len(layers)) if each in layers]
    evenly = [layers[round(at * (len(layers) - 1) / (most - 1))] for at in range(most)]
    first = islice(dict.fromkeys(alarmed), most // 2)
    return sorted(islice(dict.fromkeys([lowest_layer(verdicts, level), *first, *evenly]), most))


def lowest_layer(verdicts: Sequence[Verdict], level: str) -> int:
    """Return the layer to look at first: the one that came nearest to its lower limit, or went farthest below it.

    Where alarms are open in some layers, it is one of them.
    """
    layers = layers_of(verdicts)
    alarmed = {layer for alarm in verdicts[-1].alarms if alarm.is_open for layer in alarm.layers}
    among = alarmed if 0 < len(alarmed) < len(layers) else set(layers)
    nearest: dict[int, float] = {}
    for verdict in verdicts:
        for chart in verdict.charts:
            if chart.level == level and chart.layer in among and chart.residual is not None and chart.lower:
                share = chart.residual / abs(chart.lower)
                nearest[chart.layer] = min(share, nearest.get(chart.layer, math.inf))
    if not nearest:
        return min(alarmed, default=layers[len(layers) // 2])
    return min(nearest, key=lambda layer: (nearest[layer], layer))


def thinned(verdicts: Sequence[Verdict], most: int = MOST_POINTS) -> list[Verdict]:
    """Return at most so many verdicts, first and last among them: of neighbours, the one whose charts fell lowest."""
    if len(verdicts) <= most:
        return list(verdicts)
    inner = verdicts[1:-1]
    bounds = [round(at * len(inner) / (most - 2)) for at in range(most - 1)]
    kept = [min(inner[low:high], key=_lowest) for low, high in pairwise(bounds) if low < high]
    return [verdicts[0], *kept, verdicts[-1]]


def _ends(alarm: Alarm, of: int) -> tuple[int, ...]:
    """Return the first and the last layer of an alarm; none where it is of all layers alike."""
    return () if len(alarm.layers) == of else alarm.layers[:1] + alarm.layers[-1:]


def stretches(layers: Sequence[int]) -> list[tuple[int, int]]:
    """Return first and last of each unbroken run of ascending numbers.

    >>> stretches([3, 4, 5, 9])
    [(3, 5), (9, 9)]
    """
    found: list[tuple[int, int]] = []
    for layer in layers:
        if found and layer == found[-1][1] + 1:
            found[-1] = (found[-1][0], layer)
        else:
            found.append((layer, layer))
    return found


def _lowest(verdict: Verdict) -> float:
    return min((chart.residual for chart in verdict.charts if chart.residual is not None), default=0.0)


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else math.nan
