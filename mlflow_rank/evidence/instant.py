"""A point in time as it was written, and where it lies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from mlflow_rank.errors import EvidenceError

_WRITTEN = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[-+][0-9]{2}:[0-9]{2})")


@dataclass(frozen=True, slots=True)
class Instant:
    """The `text` that a document has, and the `moment` that it means, with its time zone."""

    text: str
    moment: datetime

    @classmethod
    def of(cls, text: str) -> Instant:
        """Read a time with its zone, as RFC 3339 writes it.

        Raises:
            EvidenceError: it is written otherwise, or there is no such day or hour.

        >>> Instant.of("2026-01-01T01:00:00+01:00").moment == Instant.of("2026-01-01T00:00:00Z").moment
        True
        """
        try:
            if not _WRITTEN.fullmatch(text):
                raise ValueError("another form")
            return cls(text, datetime.fromisoformat(text))
        except ValueError as error:
            raise EvidenceError(
                "this is no time with a zone", got=ascii(text)[:60], expected="a time such as 2026-01-31T09:30:00Z"
            ) from error
