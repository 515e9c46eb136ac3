"""One monitor of one training: when a point is due it is taken, judged, and handed to those who keep it.

Whatever fails here, training goes on: it is said once, loudly, and what follows is tried again.
"""

from __future__ import annotations

import logging
import math
import sys
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from mlflow_rank.errors import MlflowRankError
from mlflow_rank.monitoring.mean_loss import Loss, MeanLoss

if TYPE_CHECKING:
    from mlflow_rank.monitoring.alarm import Alarm, Kind
    from mlflow_rank.monitoring.cadence import Cadence
    from mlflow_rank.monitoring.journal import Journal
    from mlflow_rank.monitoring.judge import Judge
    from mlflow_rank.monitoring.point import Point
    from mlflow_rank.monitoring.team import Team
    from mlflow_rank.monitoring.verdict import Keeper, Verdict

FAILURES_TO_GIVE_UP = 3  # points in a row that could not be taken
_log = logging.getLogger("mlflow_rank")


@dataclass(slots=True)
class Monitor:
    """Watches one training.

    Every process of a distributed training has one and calls it alike; the `journal` and who else keeps matter to the
    first process alone. `take` measures a point at a step, given the mean loss since the point before; `convention` is
    what makes its points comparable, JSON-ready. `open_keepers` is called with the first step once the journal is open.
    An open alarm of a kind in `stop_on` asks training to stop.
    """

    take: Callable[[int, float | None], Point]
    convention: Mapping[str, object]
    journal: Journal | None
    judge: Judge
    cadence: Cadence
    team: Team
    open_keepers: Callable[[int], Sequence[Keeper]] = lambda n: ()
    stop_on: Collection[Kind] = ()
    say: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True)  # noqa: T201  # the log of a training
    verdicts: list[Verdict] = field(default_factory=list)
    _keepers: list[Keeper] = field(default_factory=list)
    _losses: MeanLoss = field(default_factory=MeanLoss)
    _begun: bool = False
    _over: bool = False
    _failures: int = 0
    _stop: bool = False
    _silent: set[str] = field(default_factory=set)

    @property
    def should_stop(self) -> bool:
        """Whether an alarm that training was to stop on has been raised."""
        return self._stop

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """All alarms until now; known to the first process."""
        return self.verdicts[-1].alarms if self.verdicts else ()

    def step(self, n: int, loss: Loss | None = None) -> None:
        """Tell that the optimiser has taken `n` steps in all; call it after every step, and before the first with 0.

        It takes a comparison while no point is due. A loss may be a number or a tensor of one; a tensor is not waited
        for until a point is taken.
        """
        if loss is not None:
            self._hear_loss(loss)
        if self._over or (self._begun and not self.cadence.due(n) and not self._lost(loss)):
            return
        try:
            if not self._begun:
                self._begin(n)
            if self.cadence.due(n) or self._lost(loss):
                self._point(n)
        except Exception as error:  # nothing of ours may stop a training
            self._once("step", "it could not go on; training does", error)
            self._off()

    @property
    def over(self) -> bool:
        """Whether no point will be taken any more: it was closed, or failed too often."""
        return self._over

    def close(self) -> None:
        """End: keepers get everything, and have their time to deliver it. A second call does nothing."""
        self._over = True
        keepers, self._keepers = self._keepers, []
        for keeper in keepers:
            self._guarded(keeper, partial(keeper.close, self.verdicts))
        if self.journal is not None:
            self.journal.close()

    def _begin(self, n: int) -> None:
        """Open the chart at step `n`: a new one, or the one that this run has had."""
        self._begun = True
        self.team.agrees(self.convention)
        trouble: Exception | None = None
        try:
            if self.team.first and self.journal is not None:
                self._go_on(self.journal, n)
        except Exception as error:  # the other processes are waiting to hear of it
            trouble = error
        self.team.all_well(trouble)
        last = self.verdicts[-1].point if self.verdicts else None
        step, milliseconds, stop = self.team.from_first(
            -1 if last is None else last.step,
            0 if last is None else math.ceil(1000 * last.seconds),
            int(self._asks_to_stop()),
        )
        self._stop = bool(stop)
        if step < 0:
            self.cadence.begin(n)
        else:
            self.cadence.begin(n, last=step, cost=milliseconds / 1000)

    def _go_on(self, journal: Journal, n: int) -> None:
        journal.begin(self.convention, step=n)
        self.verdicts = [self.judge.judge(point) for point in journal.points]
        try:
            self._keepers = list(self.open_keepers(n))
        except Exception as error:  # the points are kept on disk all the same
            self._once("keepers", "points are kept on disk alone", error)
        for keeper in self._keepers if self.verdicts else ():
            self._guarded(keeper, partial(keeper.resume, self.verdicts))

    def _point(self, n: int) -> None:
        """Take the point of step `n` with all processes, unless the budget says later."""
        (go,) = self.team.from_first(int(self.cadence.affords(n)))
        if not go:
            (self.cadence.next_step,) = self.team.from_first(self.cadence.postponed(n))
            return
        trouble: Exception | None = None
        loss = self._mean_loss()  # before anybody waits for us: reading a tensor may fail
        with self.cadence.spending():
            try:
                point = self.take(n, loss)
                if self.team.first:
                    self._judged(point)
            except Exception as error:  # said below, once all processes know what is next
                trouble = error
        self._failures = 0 if trouble is None else self._failures + 1
        self.cadence.next_step, off, stop = self.team.from_first(
            self.cadence.plan(n), int(self._failures >= FAILURES_TO_GIVE_UP), int(self._asks_to_stop())
        )
        self._stop = bool(stop)
        if trouble is not None:
            self._once("point", "a point could not be taken; training goes on, and the next point is tried", trouble)
        if off:
            self._off()

    def _judged(self, point: Point) -> None:
        verdict = self.judge.judge(point)
        self.verdicts.append(verdict)
        if self.journal is not None:
            self._guarded(self.journal, partial(self.journal.keep, verdict))
        for keeper in self._keepers:
            self._guarded(keeper, partial(keeper.keep, verdict))
        for alarm in verdict.raised:
            self._say(f"ALARM {alarm.kind.replace('_', ' ')}: {alarm.message}")
        for alarm in verdict.closed:
            kind = alarm.kind.replace("_", " ")
            self._say(f"over since step {alarm.closed_step}: {kind} of step {alarm.since_step}")

    def _hear_loss(self, loss: Loss) -> None:
        try:
            self._losses.add(loss)
        except Exception as error:  # whatever a training loop calls its loss
            self._once("loss", "a loss could not be read, and is left out", error)

    def _mean_loss(self) -> float | None:
        try:
            return self._losses.taken()
        except Exception as error:  # a tensor of a device that is lost
            self._once("loss", "a loss could not be read, and is left out", error)
            return None

    def _asks_to_stop(self) -> bool:
        return any(alarm.is_open and alarm.kind in self.stop_on for alarm in self.alarms)

    def _lost(self, loss: Loss | None) -> bool:
        """Whether this very step lost its loss: then a point is due at once, if the budget allows.

        Only of a number, as a tensor would have to be waited for, and only alone, as other processes know of their own.
        """
        return (
            self.team.size == 1 and isinstance(loss, float) and not math.isfinite(loss) and not self._losses.lost_before
        )

    def _guarded(self, keeper: Keeper | Journal, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # one keeper's trouble is not another's, and none is the training's
            self._once(type(keeper).__name__, f"{type(keeper).__name__} could not keep a point", error)

    def _off(self) -> None:
        self._over = True
        if self.team.first:
            self._say("THE MONITOR IS OFF for the rest of this training; the reason is above")

    def _once(self, what: str, text: str, error: Exception) -> None:
        """Say it the first time, with all that helps to find the cause."""
        detail = str(error) if isinstance(error, MlflowRankError) else "".join(traceback.format_exception(error))
        if what in self._silent or not self.team.first:  # whatever hits a point is told to all processes
            _log.debug("%s: %s", text, detail)
            return
        self._silent.add(what)
        self._say(f"MONITOR FAILED: {text}\n{detail}")

    def _say(self, text: str) -> None:
        with suppress(Exception):  # a log that nobody reads any more is no reason to stop
            self.say(f"mlflow-rank: {text}")
