"""How long something lasts, as people write it, and when it ends."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from mlflow_rank.errors import UsageError

_SECONDS = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def lasting(text: str) -> timedelta:
    """Return a duration.

    Raises:
        UsageError: it is none.

    >>> lasting("14d"), lasting("90m")
    (datetime.timedelta(days=14), datetime.timedelta(seconds=5400))
    """
    if not re.fullmatch(r"[1-9][0-9]{0,4}[mhdw]", text):
        raise UsageError("this is no duration", got=text, expected="minutes, hours, days or weeks: 30m, 12h, 14d, 2w")
    return timedelta(seconds=int(text[:-1]) * _SECONDS[text[-1]])


def ending(valid_for: str, until: str | None, now: datetime) -> datetime:
    """Return when something ends that begins now: `until` where it is named, else after `valid_for`.

    Raises:
        UsageError: it is no duration or date, or lies in the past.
    """
    from mlflow_rank.workflow.auditing import moment_of

    if until is None:
        return now + lasting(valid_for)
    moment = moment_of(until)
    if moment <= now:
        raise UsageError("it would have ended before it begins", got=until, expected="a day or time to come")
    return moment
