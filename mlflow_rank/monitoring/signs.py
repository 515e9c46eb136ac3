"""What a detector sees at one point, and how that becomes alarms with a beginning and an end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mlflow_rank.monitoring.alarm import Alarm, Kind

WORSE = math.log(2)  # a fall to half of what was told
WORSE_BY = 1.5  # times as well: what doubles at every point is not told at every point


@dataclass(frozen=True, slots=True)
class Sign:
    """Something wrong in one layer at this point.

    `size` is how far from what it was, as a natural logarithm. The alarm tells of the sign with the largest.
    """

    layer: int
    saw: str
    sure: str
    size: float = 0.0
    since_step: int | None = None  # None: this point, or the first of those in a row


class Episodes:
    """Turns the signs of one kind into alarms: one at a time, whatever number of layers it is in.

    A layer counts once its sign has shown `raise_after` points in a row; the alarm is over when no layer has shown one
    for `close_after` points. One that has become worse by another factor of two, and by half as much again as was told
    of it, says so: its words change, and nothing else.
    """

    def __init__(self, kind: Kind, *, raise_after: int, close_after: int, advice: str) -> None:
        self.kind, self.advice = kind, advice
        self._raise_after, self._close_after = raise_after, close_after
        self._rows: dict[int, tuple[int, int]] = {}  # layer → points in a row, step of the first
        self._quiet: list[int] = []  # steps without any sign, in a row
        self._told = 0.0  # size
        self.alarm: Alarm | None = None  # the open one

    def take(self, step: int, signs: Sequence[Sign]) -> Alarm | None:
        """Take all signs of a point and return the alarm that it raised, changed or closed, None if nothing changed."""
        before = self._rows
        self._rows = {}
        for sign in signs:
            count, first = before.get(sign.layer, (0, step if sign.since_step is None else sign.since_step))
            self._rows[sign.layer] = (count + 1, first)
        lasting = [sign for sign in signs if self._rows[sign.layer][0] >= self._raise_after]
        if self.alarm is None:
            return self._raised(step, lasting) if lasting else None
        self._quiet = [] if signs else [*self._quiet, step]
        if len(self._quiet) >= self._close_after:
            closed = replace(self.alarm, closed_step=self._quiet[0])
            self.alarm, self._quiet = None, []
            return closed
        return self._joined(self.alarm, lasting)

    def _raised(self, step: int, signs: Sequence[Sign]) -> Alarm:
        worst = max(signs, key=lambda sign: sign.size)
        self.alarm = Alarm(
            id=f"{self.kind}@{step}",
            kind=self.kind,
            since_step=min(self._rows[sign.layer][1] for sign in signs),
            raised_step=step,
            layers=tuple(sorted({sign.layer for sign in signs})),
            saw=worst.saw,
            sure=worst.sure,
            next=self.advice,
        )
        self._quiet, self._told = [], worst.size
        return self.alarm

    def _joined(self, alarm: Alarm, signs: Sequence[Sign]) -> Alarm | None:
        layers = tuple(sorted({*alarm.layers, *(sign.layer for sign in signs)}))
        worst = max(signs, key=lambda sign: sign.size, default=None)
        worse = (
            worst is not None and self._told < math.inf and worst.size >= max(self._told + WORSE, WORSE_BY * self._told)
        )
        if layers == alarm.layers and not worse:
            return None
        since = min(alarm.since_step, *(self._rows[sign.layer][1] for sign in signs))
        self.alarm = replace(alarm, layers=layers, since_step=since)
        if worst is not None and worse:
            self.alarm = replace(self.alarm, saw=worst.saw, sure=worst.sure)
            self._told = worst.size
        return self.alarm
