"""What rules read of a signed statement: the rows of measurements and pilots, alarms, approvals and waivers, as values.

Reading is strict about what decides and silent about the rest, so that a newer tool may say more.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError

from mlflow_rank.errors import EvidenceError
from mlflow_rank.evidence.instant import Instant
from mlflow_rank.evidence.statement import ALARMS, APPROVAL, MEASUREMENT, PILOT, SLSA_SUMMARY, WAIVER, Statement

LARGEST = 1e15  # of the numbers that we write, with room; differences of two such are still exact as JSON

ROUNDING = 1e-9  # of numbers that were worked out in different orders


def _moment(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise ValueError("must be a time, as text")
    try:
        return Instant.of(value).moment.astimezone(UTC)
    except (EvidenceError, OverflowError) as error:
        raise ValueError("must be a time with its zone, such as 2026-01-31T09:30:00Z") from error


Moment = Annotated[datetime, PlainValidator(_moment)]
"""A time in UTC, read as `Instant` reads it."""
Number = Annotated[float, Field(allow_inf_nan=False, ge=-LARGEST, le=LARGEST)]
LayerKey = int | Literal["weighted_sum", "pilot_best"]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class RankRow(_Read):
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


class _Model(_Read):
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


class _Audio(_Read):
    corpus_digest: Digest | None = None
    minutes: Number
    utterances: int
    speakers: int


class _RankDocument(_Read):
    kind: Literal["RankMeasurement"]
    model: _Model
    audio: _Audio
    protocol: Mapping[str, Any]
    ranks: tuple[RankRow, ...]


class Measurement(_Read):
    """What a measurement says: its rows by (metric, level, centred), then by layer."""

    made_at: Moment
    document: _RankDocument

    @cached_property
    def rows(self) -> Mapping[tuple[str, str, bool], Mapping[int, RankRow]]:
        """The rows; a number that is claimed twice is refused when this is first read, by `contents_of`."""
        found: dict[tuple[str, str, bool], dict[int, RankRow]] = {}
        for row in self.document.ranks:
            layers = found.setdefault((row.metric, row.level, row.centred), {})
            if row.layer in layers:
                raise EvidenceError(
                    "two rows claim the same number", got=f"layer {row.layer}, {row.metric}, {row.level}"
                )
            layers[row.layer] = row
        return found

    @cached_property
    def layers(self) -> frozenset[int]:
        """The layers that were measured, by whatever metric: a row that is missing is no layer that is."""
        return frozenset(row.layer for row in self.document.ranks)

    def rows_of(self, metric: str, level: str, centred: bool) -> Mapping[int, RankRow]:
        """Return the rows of a metric at a level, by layer; none where it was not measured."""
        return self.rows.get((metric, level, centred), {})

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


class PilotRow(_Read):
    """One number of a `PilotResult`, with the differences that rules ask for."""

    task: str
    domain: Literal["in_domain", "out_of_domain", "drop"]
    layer: LayerKey
    head: str
    shots: int | Literal["all"]
    metric: str
    score: Number | None
    low: Number | None
    high: Number | None
    n: int | None
    groups: int | None
    worst_group: Number | None
    worst_group_name: str | None = None
    chance: Number | None
    delta: Number | None
    delta_low: Number | None = None
    delta_high: Number | None = None
    delta_paired: bool | None = None
    delta_random: Number | None = None
    delta_random_low: Number | None = None
    delta_random_high: Number | None = None
    delta_random_paired: bool | None = None
    delta_logmel: Number | None = None
    delta_logmel_low: Number | None = None
    delta_logmel_high: Number | None = None
    delta_logmel_paired: bool | None = None
    status: Literal["ok", "unknown"]
    cause: str | None

    @cached_property
    def makes_sense(self) -> bool:
        """Whether a pilot can give these numbers: shares from 0 to 1, estimates in their intervals, counts above 0."""
        most = math.inf if self.metric == "per" else 1.0  # insertions are errors too
        least = -most if self.domain == "drop" else 0.0
        return (
            (self.score is None or least <= self.score <= most)
            and (self.worst_group is None or self.worst_group <= most)
            and (self.chance is None or self.chance > 0.0)
            and (self.n is None or self.n > 0)
            and (self.groups is None or self.groups > 0)
            and _is_estimate(self.low, self.score, self.high, most)
            and _is_estimate(self.delta_low, self.delta, self.delta_high, most)
            and _is_estimate(self.delta_random_low, self.delta_random, self.delta_random_high, most)
            and _is_estimate(self.delta_logmel_low, self.delta_logmel, self.delta_logmel_high, most)
        )


def _is_estimate(low: float | None, value: float | None, high: float | None, most: float) -> bool:
    return value is None or (
        -most <= value <= most
        and (low is None or low <= value + ROUNDING)
        and (high is None or value <= high + ROUNDING)
    )


class _Domain(_Read):
    corpus_digest: Digest | None = None
    source: str = "unnamed"


class _Choice(_Read):
    pilot_best: int


class PilotTask(_Read):
    """One task: the audio of its domains, and the layer that its training labels chose."""

    task: str
    domains: Mapping[str, _Domain]
    layer_choice: _Choice | None = None


class _PilotDocument(_Read):
    kind: Literal["PilotResult"]
    model: _Model
    tasks: tuple[PilotTask, ...]
    rows: tuple[PilotRow, ...]


class Against(_Read):
    """The champion that a pilot was compared with: as named, and the digest of its files where they were hashed."""

    spec: str
    files: Digest | None = None


PilotKey = tuple[str, str, str, str, int | str]  # task, domain, metric, head, shots


class Pilot(_Read):
    """What a pilot says: its rows by task, domain, metric, head and shots, then by layer."""

    made_at: Moment
    against: Against | None = None
    document: _PilotDocument

    @cached_property
    def rows(self) -> Mapping[PilotKey, Mapping[LayerKey, PilotRow]]:
        """The rows; a number that is claimed twice is refused when this is first read, by `contents_of`."""
        found: dict[PilotKey, dict[LayerKey, PilotRow]] = {}
        for row in self.document.rows:
            layers = found.setdefault((row.task, row.domain, row.metric, row.head, row.shots), {})
            if row.layer in layers:
                raise EvidenceError(
                    "two rows claim the same number", got=f"{row.task}, layer {row.layer}, {row.metric}"
                )
            layers[row.layer] = row
        return found

    @cached_property
    def layers(self) -> Mapping[str, frozenset[int]]:
        """The layers that were piloted, by task and by whatever metric: a row that is missing is no layer that is."""
        found: dict[str, set[int]] = {}
        for row in self.document.rows:
            if isinstance(row.layer, int):
                found.setdefault(row.task, set()).add(row.layer)
        return {task: frozenset(layers) for task, layers in found.items()}

    @cached_property
    def tasks(self) -> Mapping[str, PilotTask]:
        """The tasks by name."""
        return {task.task: task for task in self.document.tasks}


class Alarm(_Read):
    """Something that a monitor saw going wrong in training."""

    id: str
    state: Literal["open", "closed"]
    alarm: str
    """What it is an alarm of: constant_collapse, dimensional_collapse, divergence, disagreement."""
    since_step: int | None = None
    message: str = ""


class Alarms(_Read):
    """What the monitor of a training run has to say of this checkpoint; `monitor` names the run."""

    made_at: Moment
    monitor: str
    alarms: tuple[Alarm, ...]


class Approval(_Read):
    """A person's word for one promotion, bound to the bytes (the statement's subject), policies and evidence."""

    made_at: Moment
    expires_at: Moment
    verdict: Literal["approve", "reject"]
    comment: str
    model: str
    target: str
    policies: tuple[Digest, ...]
    evidence: Digest


class Waiver(_Read):
    """A rule put aside for one model's bytes for a while, with a reason and a ticket."""

    made_at: Moment
    expires_at: Moment
    policy: Digest
    rule: str
    reason: Annotated[str, Field(min_length=1)]
    ticket: Annotated[str, Field(min_length=1)]


Content = Measurement | Pilot | Alarms | Approval | Waiver
READERS: Mapping[str, type[Content]] = {
    MEASUREMENT: Measurement,
    PILOT: Pilot,
    ALARMS: Alarms,
    APPROVAL: Approval,
    WAIVER: Waiver,
}


def contents_of(statement: Statement, *, named: str) -> Content | None:
    """Return what a statement says; None for a predicate that is not ours.

    Raises:
        EvidenceError: a field is missing, of another type, not finite, or two rows claim the same number.
    """
    reader = READERS.get(statement.predicate_type)
    if reader is None:
        return None
    try:
        content = reader.model_validate_json(json.dumps(statement.predicate), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise EvidenceError(
            f"{named} does not say what a {reader.__name__.lower()} must say",
            got=f"{where}: {first['msg']}" + (f" ({error.error_count()} problems)" if error.error_count() > 1 else ""),
            expected="what this version of mlflow-rank writes",
        ) from error
    if isinstance(content, Measurement | Pilot):
        _ = content.rows  # a number that is claimed twice is found now, not amid a decision
    return content


def made_at_of(statement: Statement) -> datetime | None:
    """Return when a statement says that it was made; None where it does not say."""
    field = "timeVerified" if statement.predicate_type == SLSA_SUMMARY else "made_at"
    try:
        return _moment(statement.predicate.get(field))
    except ValueError:
        return None
