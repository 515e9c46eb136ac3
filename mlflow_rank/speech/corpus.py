"""A corpus: the utterances that a source lists, and those that it lists but does not have."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from mlflow_rank.errors import UsageError
from mlflow_rank.speech.alignments import AlignmentFiles
from mlflow_rank.speech.columns import Description
from mlflow_rank.speech.containers import Header, require_file
from mlflow_rank.speech.skips import UnusableAudio, counts_by_cause
from mlflow_rank.speech.utterance import AudioFile, DatasetAudio, SkipCause, Skipped, Utterance

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Corpus:
    """What a source holds.

    `utterances` describe audio and hold none; `skipped` are entries whose file is missing or has no readable header.
    `kind` is `directory`, `jsonl`, `csv`, `tsv`, `fairseq`, `parquet`, `dataset` or `rows`. `ignored_columns` are
    columns of the source that were no text and no known field, named so that nothing vanishes unsaid.
    """

    source: str
    kind: str
    utterances: tuple[Utterance, ...]
    skipped: tuple[Skipped, ...]
    ignored_columns: tuple[str, ...] = ()

    def describe(self) -> dict[str, object]:
        """Return what the corpus is, JSON-ready: source, kind, sizes, and what was skipped while listing."""
        return {
            "source": self.source,
            "kind": self.kind,
            "utterances": len(self.utterances),
            "hours": math.fsum(each.duration for each in self.utterances) / SECONDS_PER_HOUR,
            "speakers": len({each.speaker for each in self.utterances} - {None}),
            "skipped": counts_by_cause(self.skipped),
            "ignored_columns": list(self.ignored_columns),
        }


@dataclass(slots=True)
class Listing:
    """A corpus while its source is read: each entry becomes an utterance or a skipped one, never both or neither.

    `alignments` reads the TextGrid and CTM files that entries name; without it they stay unread.
    """

    source: str
    kind: str
    alignments: AlignmentFiles | None = None
    utterances: list[Utterance] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    _ignored: set[str] = field(default_factory=set)
    _places: dict[str, str] = field(default_factory=dict)

    def add(
        self,
        key: str,
        audio: AudioFile | DatasetAudio,
        row: Description,
        place: str,
        header_of: Callable[[AudioFile | DatasetAudio], Header],
    ) -> None:
        """Add one entry.

        Args:
            key: of the audio; a segment's times are added to it here.
            audio: where the audio is.
            row: what the source says about the utterance.
            place: of the entry in the source, for errors.
            header_of: reads a header; called only where the row does not state how long the utterance is.

        Raises:
            UsageError: the same key came before, or its phones cannot be read.
        """
        key = segment_key(key, row.start, row.end)
        if key in self._places:
            raise UsageError(
                f"{place}: the same utterance twice",
                got=f"{key}, already at {self._places[key]}",
                expected="each file and segment once",
                remedy="remove one of the two",
            )
        self._places[key] = place
        self._ignored |= row.ignored
        try:
            duration = _stated_duration(audio, row, header_of)
        except UnusableAudio as unusable:
            self.skipped.append(unusable.skipped(key))
            return
        phones = row.phones
        if row.alignment is not None and self.alignments is not None:
            phones = self.alignments.phones(
                row.alignment, place=place, start=row.start or 0.0, duration=duration, whole=row.end is None
            )
        self.utterances.append(
            Utterance(
                key=key,
                source=audio,
                duration=duration,
                start=row.start,
                end=row.end,
                speaker=row.speaker,
                session=row.session,
                text=row.text,
                labels=row.labels,
                phones=phones,
                phone_sequence=row.phone_sequence,
            )
        )

    def closed(self, *, expected: str) -> Corpus:
        """Return the corpus.

        Raises:
            UsageError: the source listed nothing at all.
        """
        if not self.utterances and not self.skipped:
            raise UsageError("no audio there", got=self.source, expected=expected, remedy="check the path")
        return Corpus(self.source, self.kind, tuple(self.utterances), tuple(self.skipped), tuple(sorted(self._ignored)))


def segment_key(key: str, start: float | None, end: float | None) -> str:
    """Return the key of a segment: the key of its audio with the times as they are written, shortest form.

    >>> segment_key("a.wav", 1.5, None), segment_key("a.wav", None, None)
    ('a.wav#1.5-', 'a.wav')
    """
    if start is None and end is None:
        return key
    return f"{key}#{'' if start is None else repr(float(start))}-{'' if end is None else repr(float(end))}"


def file_key(path: PurePosixPath, base: PurePosixPath) -> str:
    """Return the key of a file: its path as written, relative to the manifest, so that a moved corpus keeps its keys.

    An absolute path below the manifest's directory is made relative; any other absolute path can only stay as it is.

    >>> file_key(PurePosixPath("/corpus/wav/a.wav"), PurePosixPath("/corpus")), file_key(
    ...     PurePosixPath("./wav/a.wav"), PurePosixPath("/corpus"))
    ('wav/a.wav', 'wav/a.wav')
    """
    return str(path.relative_to(base)) if path.is_absolute() and path.is_relative_to(base) else str(path)


def _stated_duration(
    audio: AudioFile | DatasetAudio, row: Description, header_of: Callable[[AudioFile | DatasetAudio], Header]
) -> float:
    """Return the utterance's length in seconds, from the row if it says so, else from the file's header."""
    if row.duration is not None:
        if isinstance(audio, AudioFile):
            require_file(audio.path)
        return row.duration
    whole = header_of(audio).duration
    start = row.start or 0.0
    if start >= whole:
        raise UnusableAudio(SkipCause.SEGMENT_OUTSIDE_FILE, f"starts at {start:g} s, the file ends at {whole:g} s")
    return whole - start


NOTHING_SAID = Description(None, None, None, None, None, None, {}, None, frozenset())
