"""How often a healthy run raises an alarm, and how soon a fall does, on simulated runs of six layers.

`python -m benchmarks.alarm_rates` prints the table of the README; `run` gives its worst and weakest figures.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.simulated_runs import EVERY, RANDOM_WEIGHTS, SHAPES, Noise, Series, points_of, ramp, sudden
from benchmarks.table import Limit, Row
from mlflow_rank.monitoring.judge import Judge
from mlflow_rank.monitoring.point import Point

LAYERS = 6
POINTS = 200
FALL_AT = 80  # points: the run has settled and calibrated whatever its shape
WITHIN = 5  # points, the first of the fall included
NOISES = (
    Noise(0.01),
    Noise(0.02),
    Noise(0.02, 0.5),
    Noise(0.02, 0.8),
    Noise(0.02, 0.8, heavy=True),
    Noise(0.05),
    Noise(0.05, 0.5),
    Noise(0.05, 0.8),
    Noise(0.05, 0.8, together=True),
    Noise(0.05, 0.8, heavy=True),
    Noise(0.1),
    Noise(0.1, 0.8),
)
PROMISED = 0.05  # the largest noise for which rates are promised: twice what real runs had
FALLS: Mapping[str, tuple[Callable[[int], Callable[[Series], Series]], int]] = {
    "30 %, one layer": (lambda first: sudden(0.3, first), 1),
    "30 %, all layers": (lambda first: sudden(0.3, first), LAYERS),
    "30 % over 5 points, one layer": (lambda first: ramp(0.3, first), 1),
    "30 % over 5 points, all layers": (lambda first: ramp(0.3, first), LAYERS),
    "20 %, one layer": (lambda first: sudden(0.2, first), 1),
}


@dataclass(frozen=True, slots=True)
class Rates:
    """Of one noise: false alarms per 1,000 healthy points by shape, the share of falls found by kind of fall."""

    noise: Noise
    false_alarms: Mapping[str, float]
    textbook: float
    found: Mapping[str, float]


def run(folder: Path, *, quick: bool) -> list[Row]:
    """Return the worst rates over noises and shapes, and what a point costs."""
    rates = [rates_of(noise, runs=1 if quick else 10) for noise in (NOISES[:1] if quick else NOISES)]
    kept = [each for each in rates if each.noise.sd <= PROMISED]
    one = "30 %, one layer"
    how = f"{len(kept)} noises up to sd {PROMISED:g} and φ .8 × {len(SHAPES)} shapes, {LAYERS} layers"
    return [
        Row(
            "false alarms of healthy runs",
            tuple(max(each.false_alarms.values()) for each in kept),
            "per 1,000 points",
            Limit("≤", 1),
            how,
            worst=True,
        ),
        Row(
            f"falls of 30 % found within {WITHIN} points",
            tuple(100 * each.found[one] for each in kept),
            "%",
            Limit("≥", 95),
            "sudden, in one layer of six",
            worst=True,
        ),
        Row("judging a point", _milliseconds(), "ms", Limit("≤", 5), "13 layers × 2 levels, one thread"),
    ]


def rates_of(noise: Noise, *, runs: int) -> Rates:
    """Return the rates of one noise, from `runs` runs of each shape and `4 · runs` falls of each kind.

    The same for the same arguments.
    """
    false = {
        shape: 1_000 * sum(_alarms(healthy(noise, shape, seed)) for seed in range(runs)) / (runs * POINTS)
        for shape in SHAPES
    }
    flat = [_log_ranks(noise, "flat", seed) for seed in range(runs)]
    textbook = sum(_textbook_cusum(series[:, layer], noise.sd) for series in flat for layer in range(LAYERS))
    found = dict.fromkeys(FALLS, 0)
    seeds = range(1_000, 1_000 + 4 * runs)
    for seed in seeds:
        for name, hit in _found(noise, ("flat", "fall and recovery")[seed % 2], seed).items():
            found[name] += hit
    shares = {name: hits / len(seeds) for name, hits in found.items()}
    return Rates(noise, false, 1_000 * textbook / (runs * POINTS), shares)


def healthy(noise: Noise, shape: str, seed: int) -> list[Point]:
    """Return a healthy run."""
    return points_of(_log_ranks(noise, shape, seed))


def _log_ranks(noise: Noise, shape: str, seed: int) -> Series:
    at = np.arange(POINTS, dtype=np.float64)
    random = np.random.default_rng(seed)
    return np.asarray(RANDOM_WEIGHTS + SHAPES[shape](at)[:, None] + noise.draw(POINTS, LAYERS, random))


def _alarms(points: Sequence[Point]) -> int:
    judge = Judge()
    return len([judge.judge(point) for point in points][-1].alarms)


def _found(noise: Noise, shape: str, seed: int) -> dict[str, bool]:
    """Return, for each kind of fall, whether the run with it raises an alarm within `WITHIN` points."""
    series = _log_ranks(noise, shape, seed)
    at = np.arange(POINTS, dtype=np.float64)
    before = Judge()
    for point in points_of(series[:FALL_AT]):
        before.judge(point)
    found = {}
    for name, (fall, layers) in FALLS.items():
        fallen = series.copy()
        fallen[:, :layers] += fall(FALL_AT)(at)[:, None]
        judge = copy.deepcopy(before)
        for point in points_of(fallen[: FALL_AT + WITHIN])[FALL_AT:]:
            alarms = judge.judge(point).alarms
        found[name] = any(alarm.raised_step >= EVERY * FALL_AT for alarm in alarms)  # not one that was open before
    return found


def _textbook_cusum(series: Series, sd: float, *, allowance: float = 0.5, limit: float = 5.0) -> int:
    """Return how often the one-sided CUSUM of Page (1954) signals on a series whose mean and spread are known."""
    total, signals = 0.0, 0
    for value in (RANDOM_WEIGHTS - series) / sd:
        total = max(0.0, total + value - allowance)
        if total > limit:
            total, signals = 0.0, signals + 1
    return signals


def _milliseconds() -> tuple[float, ...]:
    noise = Noise(0.02, 0.8)
    series = RANDOM_WEIGHTS + noise.draw(POINTS, 26, np.random.default_rng(0))
    judge = Judge()
    times = [time.process_time()]
    for point in points_of(series, levels=("frame", "utterance")):
        judge.judge(point)
        times.append(time.process_time())
    quarter = POINTS // 4
    return tuple(1e3 * statistics.fmean(b - a for a, b in pairwise(times[i : i + quarter])) for i in (50, 100, 150))


def table(rates: Sequence[Rates]) -> str:
    """Return all rates as Markdown."""
    head = [
        "noise of log-rank",
        *(f"{shape}: false alarms per 1,000" for shape in SHAPES),
        "flat: textbook CUSUM",
        *(f"found: {name}" for name in FALLS),
    ]
    rows = [
        [
            str(each.noise),
            *(f"{value:.2f}" for value in each.false_alarms.values()),
            f"{each.textbook:.1f}",
            *(f"{100 * value:.0f} %" for value in each.found.values()),
        ]
        for each in rates
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.alarm_rates", description=__doc__)
    parser.add_argument("--runs", type=int, default=25, help="of each shape and noise, 200 points each")
    asked = parser.parse_args()
    print(table([rates_of(noise, runs=asked.runs) for noise in NOISES]))
