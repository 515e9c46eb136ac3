"""What the columns of a manifest mean, and the refusal of values that do not mean it.

| column | meaning |
|---|---|
| `path` | the audio file, relative to the manifest |
| `start`, `end` | the utterance within the file, seconds |
| `duration` | the utterance's length, seconds; saves reading the header |
| `speaker` (or `speaker_id`), `session`, `text` | what is known about it |
| `label`, `label:…`, `labels` (an object) | labels for a pilot; any further column of text is a label by its own name |
| `phones` | `[[symbol, start, end], …]`, seconds from the start of the utterance; in CSV and TSV as JSON text |
| `textgrid`, `tier` | instead: a TextGrid, relative to the manifest, and its tier (else `phones` or `phone`) |
| `ctm`, `ctm_id` | instead: a CTM file, relative to the manifest, and the name in it (else the audio's stem) |
| `phone_sequence` | phones without times: symbols separated by spaces, or a list of symbols |

Times in TextGrid and CTM files are seconds in the audio file; see `mlflow_rank.speech.alignments`.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mlflow_rank.errors import UsageError
from mlflow_rank.speech.alignments import Alignment, AlignmentKind
from mlflow_rank.speech.tables import Record
from mlflow_rank.speech.utterance import Phone

TIME_TOLERANCE = 0.01  # s; times in manifests are commonly rounded to two decimals
LABEL_PREFIX = "label:"
_NOT_LABELS = frozenset(
    {"path", "start", "end", "duration", "speaker", "speaker_id", "session", "text", "labels"}
    | {"phones", "textgrid", "tier", "ctm", "ctm_id", "phone_sequence"}
)


@dataclass(frozen=True, slots=True)
class Description:
    """What one row says about its utterance; `ignored` are columns that hold neither a known field nor text.

    `alignment` says where phones are written, None where the row names no such file.
    """

    start: float | None
    end: float | None
    duration: float | None
    speaker: str | None
    session: str | None
    text: str | None
    labels: Mapping[str, str]
    phones: tuple[Phone, ...] | None
    ignored: frozenset[str]
    alignment: Alignment | None = None
    phone_sequence: tuple[str, ...] | None = None


def described(record: Record) -> Description:
    """Return what a row says, checked.

    Raises:
        UsageError: with the place of the row, the column, and what was expected there.
    """
    start, end, duration = (_seconds(record, name) for name in ("start", "end", "duration"))
    first = start or 0.0
    if end is not None and end <= first:
        raise _refusal(record, "end", f"end before start: end {end:g}", f"more than the start, {first:g} s")
    if duration is not None:
        if duration == 0:
            raise _refusal(record, "duration", "0", "more than 0 s")
        if end is not None and abs(end - first - duration) > TIME_TOLERANCE:
            raise _refusal(record, "duration", f"{duration:g}", f"end − start = {end - first:g} s, or no such column")
        if end is None and start is not None:
            end = start + duration
    elif end is not None:
        duration = end - first
    labels, ignored = _labels(record)
    speaker = _text(record, "speaker")
    return Description(
        start=start,
        end=end,
        duration=duration,
        speaker=_text(record, "speaker_id") if speaker is None else speaker,
        session=_text(record, "session"),
        text=_text(record, "text"),
        labels=labels,
        phones=_phones(record),
        ignored=ignored,
        alignment=_alignment(record),
        phone_sequence=_phone_sequence(record),
    )


def audio_path(record: Record) -> str:
    """Return the row's `path`.

    Raises:
        UsageError: there is none, or it is not text.
    """
    path = record.cells.get("path")
    if path is None:
        raise UsageError(
            f"{record.place}: missing column 'path'",
            got=f"columns: {', '.join(record.cells) or 'none'}",
            expected="a column 'path' with an audio file relative to the manifest",
        )
    if not isinstance(path, str) or not path.strip() or "\0" in path:
        raise _refusal(record, "path", repr(path), "the audio file, as text")
    return path


def _refusal(record: Record, column: str, got: str, expected: str) -> UsageError:
    return UsageError(f"{record.place}: bad value in column {column!r}", got=got, expected=expected)


def _seconds(record: Record, name: str) -> float | None:
    value = record.cells.get(name)
    if value is None:
        return None
    seconds = math.nan
    if record.typed:
        if isinstance(value, int | float) and not isinstance(value, bool):
            seconds = float(value)
    else:
        with contextlib.suppress(ValueError):
            seconds = float(str(value))
    if not (math.isfinite(seconds) and seconds >= 0):
        raise _refusal(record, name, repr(value), "a number of seconds, 0 or more" + _unquoted(record, value))
    return seconds


def _unquoted(record: Record, value: object) -> str:
    return ", not text (take the quotes away)" if record.typed and isinstance(value, str) else ""


def _text(record: Record, name: str) -> str | None:
    """Return a cell of text; whole numbers, common as speaker names and classes, are written out."""
    value = record.cells.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise _refusal(record, name, repr(value), "text or a whole number")


def _labels(record: Record) -> tuple[dict[str, str], frozenset[str]]:
    """Return labels by field name, and the names of columns that are none of ours and hold no text."""
    labels: dict[str, str] = {}
    ignored: set[str] = set()
    for column, value in record.cells.items():
        if column in _NOT_LABELS:
            continue
        named = column == "label" or column.startswith(LABEL_PREFIX)
        if named or isinstance(value, str):
            _set_label(labels, record, column.removeprefix(LABEL_PREFIX), _text(record, column))
        elif value is not None:
            ignored.add(column)
    several = record.cells.get("labels")
    if isinstance(several, Mapping):
        inner = Record(record.place, record.line, several, record.typed)
        for name in several:
            _set_label(labels, record, str(name), _text(inner, name))
    elif isinstance(several, str) and not record.typed:
        _set_label(labels, record, "labels", several)
    elif several is not None:
        raise _refusal(record, "labels", repr(several), "an object of label names and texts")
    return labels, frozenset(ignored)


def _set_label(labels: dict[str, str], record: Record, name: str, value: str | None) -> None:
    if value is None:
        return
    if not name or name in labels:
        raise _refusal(record, LABEL_PREFIX + name, f"{value!r} for the label {name!r}", "each label named once")
    labels[name] = value


def _phones(record: Record) -> tuple[Phone, ...] | None:
    value = record.cells.get("phones")
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise _refusal(record, "phones", f"{value[:60]!r}: {error}", _PHONES) from error
    if not isinstance(value, list):
        raise _refusal(record, "phones", repr(value)[:60], _PHONES)
    phones: list[Phone] = []
    for item in value:
        phone = _phone(record, item)
        if phones and phone.start < phones[-1].start:
            raise _refusal(record, "phones", f"{phone} after {phones[-1]}", "phones in order of time")
        phones.append(phone)
    return tuple(phones)


_PHONES = "[[symbol, start, end], …], seconds from the start of the utterance"


def _phone(record: Record, item: object) -> Phone:
    """Return one phone from `[symbol, start, end]`, or from the object of those names that Parquet keeps."""
    parts = [item.get(name) for name in ("symbol", "start", "end")] if isinstance(item, Mapping) else item
    if isinstance(parts, list) and len(parts) == 3 and isinstance(parts[0], str) and parts[0]:
        times = Record(record.place, record.line, {"phones": parts[1], "end of phone": parts[2]}, typed=True)
        start, end = _seconds(times, "phones"), _seconds(times, "end of phone")
        # Equal times are allowed: rounding leaves short phones without length.
        if start is not None and end is not None and end >= start:
            return Phone(parts[0], start, end)
    raise _refusal(record, "phones", repr(item), f"one of {_PHONES}")


def _alignment(record: Record) -> Alignment | None:
    """Return where the row says that its phones are written."""
    timed = [
        name for name in ("phones", *(kind.value for kind in AlignmentKind)) if record.cells.get(name) not in (None, "")
    ]
    if len(timed) > 1:
        raise _refusal(record, timed[1], " and ".join(timed), "phones with times in one place")
    for kind, part_column in ((AlignmentKind.TEXTGRID, "tier"), (AlignmentKind.CTM, "ctm_id")):
        written, part = record.cells.get(kind.value), _text(record, part_column)
        if written is None or written == "":
            continue
        if not isinstance(written, str) or not written.strip() or "\0" in written:
            raise _refusal(record, kind.value, repr(written), "a file relative to the manifest, as text")
        if kind is AlignmentKind.CTM and part is None:
            part = PurePosixPath(audio_path(record)).stem
        return Alignment(kind, Path(written), part)
    return None


def _phone_sequence(record: Record) -> tuple[str, ...] | None:
    """Return symbols without times."""
    value = record.cells.get("phone_sequence")
    if value is None or value == "":
        return None
    symbols = value.split() if isinstance(value, str) else value
    if isinstance(symbols, list) and symbols and all(isinstance(each, str) and each.strip() for each in symbols):
        return tuple(symbols)
    raise _refusal(record, "phone_sequence", repr(value)[:60], "symbols separated by spaces, or a list of symbols")
