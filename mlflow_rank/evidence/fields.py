"""The types of what is read of statements: strict about what decides, silent about what a newer tool may say more."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator

from mlflow_rank.errors import EvidenceError
from mlflow_rank.evidence.instant import Instant

LARGEST = 1e15  # of the numbers that we write, with room; differences of two such are still exact as JSON


def moment_of(value: object) -> datetime:
    """Return a time in UTC.

    Raises:
        ValueError: it is none, or has no zone.
    """
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise ValueError("must be a time, as text")
    try:
        return Instant.of(value).moment.astimezone(UTC)
    except (EvidenceError, OverflowError) as error:
        raise ValueError("must be a time with its zone, such as 2026-01-31T09:30:00Z") from error


Moment = Annotated[datetime, PlainValidator(moment_of)]
"""A time in UTC, read as `Instant` reads it."""
Number = Annotated[float, Field(allow_inf_nan=False, ge=-LARGEST, le=LARGEST)]
LayerKey = int | Literal["weighted_sum", "pilot_best"]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class Read(BaseModel):
    """A part of a statement: frozen, strict, and blind to fields that it does not know."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class Heard(Read):
    """The encoder that was heard, as measurements and pilots name it."""

    digest: Digest | None = None
    """Of the weights, as tensors; the statement's subject is of the files."""
    dtype: str
    spec: str = "unnamed"
    layers_asked: str
    """What was to be heard: all, last, numbers, or patterns of a plain module's parts."""

    @property
    def has_every_layer(self) -> bool:
        """Whether no layer was left out. The layers of a plain torch module are those that a pattern names."""
        return re.fullmatch(r"last|[0-9,\s-]+", self.layers_asked) is None

    @property
    def has_last_layer(self) -> bool:
        """Whether the highest of the layers is the encoder's last."""
        return self.has_every_layer or self.layers_asked == "last"
