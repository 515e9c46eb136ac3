"""Says of every point of a run where its charts stand and which alarms there are."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mlflow_rank.errors import UsageError
from mlflow_rank.monitoring import constant_collapse, dimensional_collapse, disagreement, divergence
from mlflow_rank.monitoring.alarm import Alarm
from mlflow_rank.monitoring.calibration import Noise
from mlflow_rank.monitoring.limits import Limits
from mlflow_rank.monitoring.past_runs import PastRuns
from mlflow_rank.monitoring.point import LEVELS, Point
from mlflow_rank.monitoring.signs import Episodes
from mlflow_rank.monitoring.verdict import Verdict

MARGIN = 1.1  # beyond the lowest chart of a past healthy run


class Judge:
    """Judges the points of one run in the order of their steps; the same points give the same verdicts.

    `baseline` holds the points of past healthy runs of the same recipe and probe set: their noise makes calibration
    short, their lowest rank at each step, less `drop`, is a floor under this one, and the limits of the charts are
    widened beyond the lowest that a smoothed chart of theirs came while it watched. What else they showed, a slow fall
    or variance that vanished, widens nothing.
    """

    def __init__(self, limits: Limits = Limits(), *, baseline: Sequence[Sequence[Point]] = ()) -> None:  # noqa: B008
        past = _past(limits, baseline)
        self._dimensional = dimensional_collapse.DimensionalCollapse(limits, past)
        self._constant = constant_collapse.ConstantCollapse(limits)
        self._divergence = divergence.Divergence(limits)
        self._disagreement = disagreement.Disagreement(limits)
        late, once = limits.persistence, 1
        self._episodes = {
            "constant_collapse": Episodes(
                "constant_collapse", raise_after=late, close_after=late, advice=constant_collapse.ADVICE
            ),
            "dimensional_collapse": Episodes(
                "dimensional_collapse", raise_after=once, close_after=late, advice=dimensional_collapse.ADVICE
            ),
            "divergence": Episodes("divergence", raise_after=once, close_after=late, advice=divergence.ADVICE),
            "disagreement": Episodes("disagreement", raise_after=late, close_after=late, advice=disagreement.ADVICE),
        }
        self._alarms: dict[str, Alarm] = {}
        self._step: int | None = None

    def judge(self, point: Point) -> Verdict:
        """Return the verdict on the next point.

        Raises:
            UsageError: the point's step is not after the one before.
        """
        if self._step is not None and point.step <= self._step:
            raise UsageError(
                "points are judged in the order of their steps",
                got=f"step {point.step} after step {self._step}",
                expected=f"a step above {self._step}",
                remedy="to judge a run again, begin with a new judge",
            )
        self._step = point.step
        falls = self._dimensional.look(point)
        settled = self._dimensional.settled
        signs = {
            "constant_collapse": self._constant.look(point),
            "dimensional_collapse": falls,
            "divergence": self._divergence.look(point, settled),
            "disagreement": self._disagreement.look(point, settled),
        }
        raised, closed = [], []
        for kind, episodes in self._episodes.items():
            alarm = episodes.take(point.step, signs[kind])
            if alarm is None:
                continue
            if not alarm.is_open:
                closed.append(alarm)
            elif alarm.id not in self._alarms or alarm.saw != self._alarms[alarm.id].saw:
                raised.append(alarm)
            self._alarms[alarm.id] = alarm
        return Verdict(point, self._dimensional.values, tuple(self._alarms.values()), tuple(raised), tuple(closed))


def _past(limits: Limits, runs: Sequence[Sequence[Point]]) -> PastRuns:
    """Return what the runs teach, each judged on its own."""
    noises = dict.fromkeys(LEVELS, Noise())
    ranks = []
    stretch = 1.0
    for run in runs:
        charts = dimensional_collapse.DimensionalCollapse(limits, PastRuns())
        series: dict[int, list[tuple[int, float]]] = {}
        for point in run:
            charts.look(point)
            for reading in point.readings:
                if reading.level == dimensional_collapse.DECIDING and reading.rank is not None:
                    series.setdefault(reading.layer, []).append((point.step, math.log(reading.rank)))
        for level in LEVELS:
            noises[level] += charts.noise(level)
        stretch = max(stretch, MARGIN * charts.deepest)
        ranks.append({layer: tuple(each) for layer, each in series.items()})
    return PastRuns(noises, tuple(ranks), stretch)
