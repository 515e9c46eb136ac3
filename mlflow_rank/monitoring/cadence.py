"""When the next point is due: by steps, and never for more than a share of the training's time."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mlflow_rank.errors import UsageError


def settled_time() -> float:
    """Return a clock's reading in seconds, once the GPU has done what it was given: its queue is training's time."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.monotonic()


class Cadence:
    """Plans the steps at which points are taken.

    Scheduled are the steps 0, 1, 2, 4, 8, … until they lie `every` apart, and from there on the multiples of `every`.
    Of these a point is taken at the first that the budget allows: before a point begins, what all points have cost, and
    this one if it costs as much as the dearest until then, must not exceed `max_overhead` times the time that training
    took without them. The first point is the reference and is taken on credit; the others wait until it is paid for.
    None: no budget.

    Between points there is no clock: `due` compares two numbers, so that all processes of a distributed training agree
    if they are given the `next_step` of the first. There the clock decides: at a due step `affords` says whether the
    pace was as expected, and `postponed` plans anew where it was not.

    Raises:
        UsageError: `every` is no whole number above 0, or `max_overhead` no share above 0 and below 1.

    >>> Cadence(every=200).scheduled(100), Cadence(every=200).scheduled(257)
    (128, 400)
    """

    def __init__(
        self, every: int = 200, max_overhead: float | None = 0.01, *, clock: Callable[[], float] = settled_time
    ) -> None:
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise UsageError("bad cadence: every", got=repr(every), expected="a whole number of steps, 1 or more")
        if max_overhead is not None and not 0.0 < max_overhead < 1.0:
            raise UsageError(
                "bad cadence: max_overhead",
                got=repr(max_overhead),
                expected="a share of the training's time above 0 and below 1, or None for no budget",
            )
        self.every, self.max_overhead, self._clock = every, max_overhead, clock
        self.next_step = 0
        self._start: float | None = None
        self._spent = 0.0  # s, all points of this process's training
        self._dearest: float | None = None  # s; None before the first point, which is free to begin
        self._mark: tuple[int, float] | None = None  # a step, and the training time at it
        self._pace: float | None = None  # steps per second of training, of late

    @property
    def begun(self) -> bool:
        """Whether training has."""
        return self._start is not None

    @property
    def overhead(self) -> float:
        """What points have cost until now, as a share of the training's own time; 0 before any time has gone by."""
        trained = self._trained()
        return self._spent / trained if trained > 0.0 else 0.0

    def begin(self, step: int, *, last: int | None = None, cost: float | None = None) -> None:
        """Start the clock at `step`, with nothing spent yet.

        Without a `last` point, the first is due at once. A run that is resumed goes on with its schedule, and where
        `cost`, what its points have cost in seconds, is known, its next point is not on credit again.
        """
        self._start = self._clock()
        self._spent, self._dearest = 0.0, cost
        self._mark, self._pace = (step, 0.0), None
        self.next_step = step if last is None else self.scheduled(max(last + 1, step))

    def due(self, step: int) -> bool:
        """Whether a point is due at `step`."""
        return step >= self.next_step

    def affords(self, step: int) -> bool:
        """Whether a point may begin now, at `step`, by the clock."""
        self._note_pace(step)
        return self._missing() <= 0.0

    def postponed(self, step: int) -> int:
        """Plan the next step anew where `step` was due too early, and return it."""
        return self.plan(step)

    def plan(self, step: int) -> int:
        """Plan and return the next step after `step`, where a point was taken."""
        self._note_pace(step)
        missing = self._missing()
        steps = math.ceil(missing * self._pace) if missing > 0.0 and self._pace is not None else 1
        self.next_step = self.scheduled(step + max(1, steps))
        return self.next_step

    @contextmanager
    def spending(self) -> Iterator[None]:
        """Count the time of the body as the cost of a point, also when it fails."""
        start = self._clock()
        try:
            yield
        finally:
            cost = self._clock() - start
            self._spent += cost
            self._dearest = max(cost, self._dearest or 0.0)

    def scheduled(self, step: int) -> int:
        """Return the first scheduled step that is `step` or later."""
        if step <= 0:
            return 0
        doubled = 1 << (step - 1).bit_length()
        widest = 1 << (self.every - 1).bit_length()  # the last power of two: the next would lie `every` or more away
        return doubled if doubled <= widest else -(-step // self.every) * self.every

    def _trained(self) -> float:
        return 0.0 if self._start is None else self._clock() - self._start - self._spent

    def _missing(self) -> float:
        """Return how many seconds training has to go on before a point may begin; 0 or less: it may now."""
        if self.max_overhead is None or self._dearest is None:
            return 0.0
        return (self._spent + self._dearest) / self.max_overhead - self._trained()

    def _note_pace(self, step: int) -> None:
        trained = self._trained()
        if self._mark is not None and step > self._mark[0] and trained > self._mark[1]:
            self._pace = (step - self._mark[0]) / (trained - self._mark[1])
            self._mark = (step, trained)
