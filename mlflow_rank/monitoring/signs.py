"""What a detector sees at one point, and how that becomes alarms with a beginning and an end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mlflow_rank.monitoring.alarm import Alarm, Kind


@dataclass(frozen=True, slots=True)
class Sign:
    """Something wrong in one layer at this point. The alarm tells of the sign with the largest `size`."""

    layer: int
    saw: str
    sure: str
    size: float = 0.0
    since_step: int | None = None  # None: this point, or the first of those in a row


class Episodes:
    """Turns the signs of one kind into alarms: one at a time, whatever number of layers it is in.

    A layer counts once its sign has shown `raise_after` points in a row; the alarm is over when no layer has shown one
    for `close_after` points.
    """

    def __init__(self, kind: Kind, *, raise_after: int, close_after: int, advice: str) -> None:
        self.kind, self.advice = kind, advice
        self._raise_after, self._close_after = raise_after, close_after
        self._rows: dict[int, tuple[int, int]] = {}  # layer → points in a row, step of the first
        self._quiet: list[int] = []  # steps without any sign, in a row
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
        self._quiet = []
        return self.alarm

    def _joined(self, alarm: Alarm, signs: Sequence[Sign]) -> Alarm | None:
        layers = tuple(sorted({*alarm.layers, *(sign.layer for sign in signs)}))
        if layers == alarm.layers:
            return None
        since = min(alarm.since_step, *(self._rows[sign.layer][1] for sign in signs))
        self.alarm = replace(alarm, layers=layers, since_step=since)
        return self.alarm
