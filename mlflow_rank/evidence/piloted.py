"""What a pilot says, as values: one row for each score, with the differences that rules ask for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Literal

from mlflow_rank.errors import EvidenceError
from mlflow_rank.evidence.fields import Digest, Heard, LayerKey, Moment, Number, Read

ROUNDING = 1e-9  # of numbers that were worked out in different orders


class PilotRow(Read):
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
    def is_scored(self) -> bool:
        """Whether it has a score, and numbers that a pilot can give."""
        return self.status == "ok" and self.score is not None and self.makes_sense

    @property
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


class _Domain(Read):
    corpus_digest: Digest | None = None
    source: str = "unnamed"


class _Choice(Read):
    pilot_best: int


class PilotTask(Read):
    """One task: the audio of its domains, and the layer that its training labels chose."""

    task: str
    domains: Mapping[str, _Domain]
    layer_choice: _Choice | None = None


class _PilotDocument(Read):
    kind: Literal["PilotResult"]
    model: Heard
    tasks: tuple[PilotTask, ...]
    rows: tuple[PilotRow, ...]


class Against(Read):
    """The champion that a pilot was compared with: as named, and the digest of its files where they were hashed."""

    spec: str
    files: Digest | None = None


PilotKey = tuple[str, str, str, str, int | str]  # task, domain, metric, head, shots


class Pilot(Read):
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
