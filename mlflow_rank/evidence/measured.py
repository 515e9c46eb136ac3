"""What a measurement says, as values: one row for each number, and columns that rules read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field

from mlflow_rank.errors import EvidenceError
from mlflow_rank.evidence.fields import Digest, Heard, Moment, Number, Read


class RankRow(Read):
    """One number of a `RankMeasurement`."""

    layer: Annotated[int, Field(ge=0)]
    level: str
    centred: bool
    metric: str
    value: Number | None
    corrected: Number | None
    low: Number | None
    high: Number | None
    n: Annotated[int, Field(ge=0)]
    dim: Annotated[int, Field(ge=0)]
    status: Literal["ok", "uncorrected", "unknown"]
    cause: str | None


class _Audio(Read):
    corpus_digest: Digest | None = None
    minutes: Number
    utterances: int
    speakers: int


class _RankDocument(Read):
    kind: Literal["RankMeasurement"]
    model: Heard
    audio: _Audio
    protocol: Mapping[str, Any]
    ranks: tuple[RankRow, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """One metric at one level: its rows by layer, and the numbers of those layers where they are known.

    A gate holds thousands of numbers against bounds in the time that it has; here they lie ready.
    """

    rows: dict[int, RankRow] = field(default_factory=dict)
    value: dict[int, float] = field(default_factory=dict)
    corrected: dict[int, float] = field(default_factory=dict)
    low: dict[int, float] = field(default_factory=dict)
    high: dict[int, float] = field(default_factory=dict)

    def add(self, row: RankRow) -> None:
        """Add the row of a layer; a row that is unknown has no number, whatever it says."""
        layer = row.layer
        self.rows[layer] = row
        if row.status == "unknown":
            return
        if row.value is not None:
            self.value[layer] = row.value
        if row.corrected is not None:
            self.corrected[layer] = row.corrected
        if row.low is not None:
            self.low[layer] = row.low
        if row.high is not None:
            self.high[layer] = row.high


NOTHING = Column()


class Measurement(Read):
    """What a measurement says: its columns by (metric, level, centred)."""

    made_at: Moment
    document: _RankDocument

    @cached_property
    def columns(self) -> Mapping[tuple[str, str, bool], Column]:
        """The columns; a number that is claimed twice is refused when this is first read, by `contents_of`."""
        found: dict[tuple[str, str, bool], Column] = {}
        for row in self.document.ranks:
            column = found.setdefault((row.metric, row.level, row.centred), Column())
            if row.layer in column.rows:
                raise EvidenceError(
                    "two rows claim the same number", got=f"layer {row.layer}, {row.metric}, {row.level}"
                )
            column.add(row)
        return found

    @cached_property
    def layers(self) -> frozenset[int]:
        """The layers that were measured, by whatever metric: a row that is missing is no layer that is."""
        return frozenset(row.layer for row in self.document.ranks)

    def column(self, metric: str, level: str, centred: bool) -> Column:
        """Return the column of a metric at a level; an empty one where it was not measured."""
        return self.columns.get((metric, level, centred), NOTHING)

    @property
    def preset(self) -> str:
        """The name of the choice of levels and metrics."""
        return str(self.document.protocol.get("preset"))

    @property
    def convention(self) -> dict[str, object]:
        """Everything that changes a number, flat: two measurements are compared only where all of it agrees."""
        protocol = self.document.protocol
        names = ("preset", "frame_stride", "channel", "dtype", "epsilon", "block_unit", "sampling")
        flat: dict[str, object] = {"corpus": self.document.audio.corpus_digest}
        for name in names:
            value = protocol.get(name)
            parts = value.items() if isinstance(value, Mapping) else [("", value)]
            flat |= {f"{name}.{key}" if key else name: part for key, part in parts}
        return flat
