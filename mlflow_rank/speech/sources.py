"""Opening what `--audio` names: a directory, a manifest, or a dataset saved to disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from mlflow_rank.errors import UsageError
from mlflow_rank.speech.alignments import Alignment, AlignmentFiles, AlignmentKind
from mlflow_rank.speech.columns import audio_path, described
from mlflow_rank.speech.containers import Header, read_header
from mlflow_rank.speech.corpus import NOTHING_SAID, Corpus, Listing, file_key
from mlflow_rank.speech.saved_datasets import is_saved_dataset, list_saved_dataset
from mlflow_rank.speech.skips import UnusableAudio
from mlflow_rank.speech.tables import MANIFEST_SUFFIXES, Table, open_table
from mlflow_rank.speech.textgrids import textgrid_beside
from mlflow_rank.speech.utterance import AudioFile, DatasetAudio

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")


def open_corpus(audio: str | Path, *, alignments: bool = False) -> Corpus:
    """List the utterances of a source.

    Args:
        audio: a directory (searched recursively for wav, flac, ogg and mp3), a manifest (JSONL, CSV, TSV,
            fairseq's TSV, Parquet; see `mlflow_rank.speech.columns`), or a Hugging Face dataset saved to disk.
        alignments: whether to read the phones in TextGrid and CTM files that rows name, or that lie beside the audio
            of a directory (`X.TextGrid` beside `X.wav`). Off, no such file is opened: a rank needs no labels, and a
            large corpus has hundreds of thousands.

    Returns:
        The corpus in the order of the source. Headers are read for durations that a manifest does not state; nothing is
        decoded.

    Raises:
        UsageError: no such source, nothing in it, or a row that does not mean what its columns promise (`file:line`).
        MissingDependencyError: a saved dataset without the package `datasets`, a TextGrid without `praatio`.
    """
    path = Path(audio).expanduser()
    if path.is_dir():
        return (
            list_saved_dataset(path, alignments=alignments)
            if is_saved_dataset(path)
            else _list_directory(path, alignments=alignments)
        )
    if not path.exists():
        raise UsageError(
            "no such audio source",
            got=str(audio),
            expected=f"a directory, a dataset saved to disk, or a manifest ({', '.join(MANIFEST_SUFFIXES)})",
            remedy="check the path; relative paths start at the current directory",
        )
    return _list_manifest(path, alignments=alignments)


def _list_directory(directory: Path, *, alignments: bool) -> Corpus:
    listing = Listing(str(directory), "directory", AlignmentFiles(Path()) if alignments else None)
    for path in _audio_files(directory):
        row = NOTHING_SAID
        if alignments and (beside := textgrid_beside(path)):
            row = replace(row, alignment=Alignment(AlignmentKind.TEXTGRID, beside, None))
        listing.add(path.relative_to(directory).as_posix(), AudioFile(path), row, str(path), read_header)
    return listing.closed(expected=f"files ending in {', '.join(AUDIO_SUFFIXES)} in the directory or below it")


def _audio_files(directory: Path) -> Iterator[Path]:
    """Yield audio files in order of name, links followed, each directory entered once."""
    entered: set[str] = set()
    for folder, folders, names in os.walk(directory, onerror=_refuse_unlistable, followlinks=True):
        folders.sort()
        real = os.path.realpath(folder)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        for name in sorted(names):
            if name.lower().endswith(AUDIO_SUFFIXES):
                yield Path(folder) / name


def _refuse_unlistable(error: OSError) -> None:
    raise UsageError(
        "cannot list a directory", got=f"{error.filename}: {error.strerror}", expected="a directory that can be read"
    ) from error


def _list_manifest(path: Path, *, alignments: bool) -> Corpus:
    # labels lie where the manifest does, also where fairseq's first line puts the audio elsewhere
    return list_table(open_table(path), str(path), alignments_in=path.parent if alignments else None)


def list_table(table: Table, source: str, *, alignments_in: Path | None = None) -> Corpus:
    """List the utterances of rows, wherever they come from.

    Args:
        table: the rows, and the directory that their audio is relative to.
        source: what documents and errors call them.
        alignments_in: the directory that TextGrid and CTM files are relative to; None: no such file is opened.

    Raises:
        UsageError: there is no row, or one does not mean what its columns promise.
    """
    listing = Listing(source, table.kind, AlignmentFiles(alignments_in) if alignments_in is not None else None)
    headers = _HeaderOnce()
    base = PurePosixPath(table.base.absolute().as_posix())
    for record in table.records:
        written = Path(audio_path(record))
        key = file_key(PurePosixPath(written.as_posix()), base)
        listing.add(key, AudioFile(table.base / written), described(record), record.place, headers.read)
    return listing.closed(expected="a manifest with at least one row")


class _HeaderOnce:
    """Reads each file's header once, however many segments of it a manifest lists."""

    def __init__(self) -> None:
        self._known: dict[AudioFile | DatasetAudio, Header | UnusableAudio] = {}

    def read(self, source: AudioFile | DatasetAudio) -> Header:
        if source not in self._known:
            try:
                self._known[source] = read_header(source)
            except UnusableAudio as unusable:
                self._known[source] = unusable
        known = self._known[source]
        if isinstance(known, UnusableAudio):
            raise known
        return known
