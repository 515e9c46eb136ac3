"""An utterance: one stretch of audio that becomes one row at utterance level, and the reasons one may be unusable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class SkipCause(StrEnum):
    """Why an utterance could not be used; the value is what `skipped.jsonl` says."""

    MISSING = "missing"
    UNREADABLE = "unreadable"
    TRUNCATED = "truncated"
    EMPTY = "empty"
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    NOT_FINITE = "not_finite"
    SILENT = "silent"
    UNSUPPORTED_RATE = "unsupported_rate"
    SEGMENT_OUTSIDE_FILE = "segment_outside_file"


@dataclass(frozen=True, slots=True)
class Phone:
    """A phone symbol with its start and end, in seconds from the start of the utterance."""

    symbol: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class AudioFile:
    """Audio in a file that soundfile reads."""

    path: Path


@dataclass(frozen=True, slots=True)
class DatasetAudio:
    """Audio in one row of a Hugging Face dataset saved to disk; `path` is the dataset's directory."""

    path: Path
    split: str | None
    row: int
    column: str


@dataclass(frozen=True, slots=True)
class Utterance:
    """One stretch of audio with what is known about it.

    `key` is unique in its corpus and independent of where the corpus lies on disk (path relative to the manifest,
    plus the segment). `start`/`end` are seconds within the source, None for the whole. `duration` is in seconds,
    as the header or the manifest states it. Labels are text by field name. `phones` have times; `phone_sequence` are
    symbols in order without times.
    """

    key: str
    source: AudioFile | DatasetAudio
    duration: float
    start: float | None = None
    end: float | None = None
    speaker: str | None = None
    session: str | None = None
    text: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    phones: tuple[Phone, ...] | None = None
    phone_sequence: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """An utterance that could not be used, and why; never dropped silently."""

    key: str
    cause: SkipCause
    detail: str
