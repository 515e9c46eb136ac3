"""One layer's rank against its own trend: residual, limits, EWMA and CUSUM.

For one series of log-ranks: wait until it has settled (`warm_up`), learn how much it moves by itself (`calibration`),
then hold the newest points against the level of the last while (`trend`). It is low when two residuals in a row are
below half the limit and either their EWMA is below the limit or the CUSUM of what they exceed half the limit by has
come to `CUSUM_LIMIT`. While it is low its reference and limit stand still, so that a collapse does not become the new
normal. A rank that had risen suddenly and comes back to where it was has not fallen (`rise`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from mlflow_rank.monitoring.calibration import REACH, Noise, Spread
from mlflow_rank.monitoring.limits import Limits
from mlflow_rank.monitoring.rise import Rises
from mlflow_rank.monitoring.trend import GAP, HELD, SMOOTHING, WINDOW, HeldLevel, local_rise, local_trend
from mlflow_rank.monitoring.verdict import Phase
from mlflow_rank.monitoring.warm_up import SETTLED, WarmUp

CUSUM_LIMIT = 2.0  # limits: a fall of three quarters of one comes to it in eight points, before the trend follows
SURE_RISE = (
    2.0  # spreads: a recovery that is more than noise is expected to go on, by half of the smallest limit at most
)
NEAR = 0.05  # in logarithms: at a level that was held
ONSET = 0.15  # limits below what was expected: a fall began where the smoothed rank was last above that
USUAL = 60  # points whose median gap is the usual one
EARLY_FALL = 2.0  # limits: while there is little to calibrate on, only a fall twice as deep counts


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a chart is told of the others: the noise of all charts of its level, this one's and past runs' included.

    `probability` is that of a false alarm of this chart at one point. Where past runs are known (`seasoned`) it need
    not calibrate; `stretch` is by how much they need the limits wider. `run_settled`: half of the charts are.
    """

    noise: Noise
    probability: float
    stretch: float = 1.0
    seasoned: bool = False
    run_settled: bool = False


@dataclass(frozen=True, slots=True)
class Low:
    """A chart that is low: since when, from where to where, and how improbable that is of a healthy one."""

    since_step: int
    expected: float
    now: float
    probability: float
    healthy_points: int
    slow: bool = False


class ControlChart:
    """The chart of one layer at one level; call `take` once per point."""

    def __init__(self, limits: Limits, *, deciding: bool = True) -> None:
        self._limits = limits
        self._deciding = deciding  # else it is only looked at: it follows whatever happens
        self._least = -math.log1p(-limits.drop)
        self._slow = -math.log1p(-limits.slow_drop)
        self._warm_up = WarmUp(limits.unmoved)
        self._values: list[float] = []  # of the healthy part, logarithms
        self._start = 0  # where they settled
        self._steps: list[int] = []
        self._smoothed: list[float] = []
        self._held = HeldLevel()
        self._cusum = 0.0
        self._left: tuple[int, float] | None = None  # where the CUSUM last left 0: number of the value, its expectation
        self._rises = Rises()
        self._last: float | None = None  # residual of the point before
        self._recovered = 0
        self._frozen: Low | None = None
        self.noise = Noise()
        self.phase: Phase = "warming up"
        self.residual: float | None = None
        self.limit: float | None = None
        self.deepest = 0.0  # limits: the lowest that it was while watching

    def take(self, step: int, value: float, calibration: Calibration) -> Low | None:
        """Take the natural logarithm of the rank at a step; return how the chart is low, None if it is not."""
        if self._frozen is not None:
            return self._while_low(value)
        self._advance_phase(seasoned=calibration.seasoned)
        low = self._judged(step, value, calibration)
        if low is not None and self.limit is not None and self._rises.undone(value, len(self._values), self.limit):
            self._forget_rise()
            low = None
        if low is None or not self._deciding:
            self._append(step, value, run_settled=calibration.run_settled)
            low = self._slowly(step) if self.phase == "watching" and self._deciding else None
        if low is not None and self._deciding:
            self._frozen, self._recovered = low, 0
        return low

    def _judged(self, step: int, value: float, calibration: Calibration) -> Low | None:
        level = local_trend(self._settled) if self._warm_up.over else None
        if level is None:
            self.residual = self.limit = None
            return None
        spread = Spread.of(self.noise, calibration.noise)
        limit = calibration.stretch * max(self._least, spread.fall(calibration.probability))
        self.limit = limit = limit if self.phase == "watching" else EARLY_FALL * limit
        rise = local_rise(self._settled) - SURE_RISE * spread.value
        expected = level + min(max(0.0, rise), self._least / 2)
        self.residual = value - expected
        before, self._last = self._last, self.residual
        self._add_up(self.residual, limit * max(1.0, self._gap(step)) / 2, expected)
        smooth = self._smooth(value) - expected
        if self.phase == "watching":
            self.deepest = max(self.deepest, -smooth / limit)
        self._rises.take(self.residual, smooth, limit, at=len(self._values), level=expected, best=self._held.best)
        two = before is not None and max(before, self.residual) <= -limit / 2
        if not two or (smooth > -limit and self._cusum < CUSUM_LIMIT * limit):
            return None
        return Low(self._onset(step, expected, limit), expected, value, spread.probability(-smooth), self.noise.count)

    def _add_up(self, residual: float, allowance: float, expected: float) -> None:
        self._cusum = max(0.0, self._cusum - residual - allowance)
        if self._cusum == 0:
            self._left = None
        elif self._left is None:
            self._left = len(self._values), expected

    def _gap(self, step: int) -> float:
        """Return how many usual gaps after the last point this one is: thinned points fall further from one to next."""
        steps = self._steps[max(self._start, len(self._steps) - USUAL) :]
        gaps = [later - earlier for earlier, later in pairwise(steps)]
        return (step - steps[-1]) / median(gaps) if gaps else 1.0

    def _onset(self, step: int, expected: float, limit: float) -> int:
        """Return the first step of a fall that is seen at `step`: a slow one was under way before its CUSUM left 0."""
        at, level = (len(self._values) - 1, expected) if self._left is None else self._left
        earlier: float | None = level
        while earlier is not None and earlier >= level:
            level, before = earlier, at
            while at > self._start and self._smoothed[at - 1 - self._start] < level - ONSET * limit:
                at -= 1
            earlier = local_trend(self._values[self._start : at]) if at < before else None
        return [*self._steps, step][at]

    def _forget_rise(self) -> None:
        at, self._held.best = self._rises.forgotten()
        del self._values[at:], self._steps[at:], self._smoothed[at - self._start :]
        self._cusum, self._left, self._last = 0.0, None, None

    def _slowly(self, step: int) -> Low | None:
        below = self._held.below(self._settled)
        if below is None or below > -self._slow:
            return None
        best = self._held.best
        since = next(
            (
                at
                for at, value in zip(reversed(self._steps), reversed(self._values), strict=True)
                if value > best - NEAR
            ),
            step,
        )
        self.limit = self._slow
        return Low(since, best, best + below, 0.0, self.noise.count, slow=True)

    def _while_low(self, value: float) -> Low | None:
        low, limit = self._frozen, self.limit
        if low is None or limit is None:
            return None
        self.residual = value - low.expected
        self.deepest = max(self.deepest, -self.residual / limit)
        undone = self._rises.undone(value, len(self._values), limit)
        if self.residual <= -limit / 2 and not undone:
            self._recovered = 0
            return Low(low.since_step, low.expected, value, low.probability, low.healthy_points, low.slow)
        self._recovered += 1
        if self._recovered >= self._limits.persistence:
            self._frozen = None
            self._cusum, self._left, self._last = 0.0, None, None
            if undone:
                self._forget_rise()
            self._held = HeldLevel() if low.slow else self._held
        return None

    def _append(self, step: int, value: float, *, run_settled: bool) -> None:
        self._smoothed.append(self._smooth(value))
        self._values.append(value)
        self._steps.append(step)
        if self._warm_up.over:
            self.noise = self.noise.extended(self._smoothed[-REACH:])
        elif self._warm_up.take(self._values, run_settled=run_settled):
            self._start = len(self._values) - SETTLED
            self._smoothed = []  # anew: the memory of the early fall is no noise
            for each in self._settled:
                self._smoothed.append(self._smooth(each))

    @property
    def _settled(self) -> list[float]:
        return self._values[max(self._start, len(self._values) - HELD) :]  # nobody looks further back

    def _smooth(self, value: float) -> float:
        return value if not self._smoothed else self._smoothed[-1] + SMOOTHING * (value - self._smoothed[-1])

    def _advance_phase(self, *, seasoned: bool) -> None:
        if self._warm_up.over:
            since = len(self._values) - self._start - SETTLED
            enough = since >= (WINDOW + GAP - SETTLED if seasoned else self._limits.warm_up)
            self.phase = "watching" if enough else "calibrating"
