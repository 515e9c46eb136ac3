"""Fetching the audio of one row from a Hugging Face dataset saved to disk, without decoding it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from mlflow_rank.errors import MissingDependencyError, UsageError
from mlflow_rank.speech.skips import UnusableAudio
from mlflow_rank.speech.utterance import DatasetAudio, SkipCause


def open_split(directory: Path) -> Any:
    """Open one saved `datasets.Dataset` memory-mapped, with its audio columns left undecoded.

    Raises:
        MissingDependencyError: the package `datasets` is not installed.
        UsageError: the directory does not hold a saved dataset.
    """
    try:
        import datasets
    except ImportError as error:
        raise MissingDependencyError(
            "datasets", needed_for="audio in a Hugging Face dataset saved to disk", install="'mlflow_rank[datasets]'"
        ) from error
    try:
        split = datasets.load_from_disk(str(directory))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            "cannot open the saved dataset",
            got=f"{directory}: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
            expected="a directory written by datasets' save_to_disk",
            remedy="save it again with save_to_disk",
        ) from error
    for name, feature in split.features.items():
        if isinstance(feature, datasets.Audio):
            split = split.cast_column(name, datasets.Audio(decode=False))
    return split


@lru_cache(maxsize=8)  # an open split is a memory map: a few file handles, no rows
def _audio_column(directory: Path, column: str) -> Any:
    return open_split(directory).select_columns([column])


def embedded_audio(source: DatasetAudio) -> bytes | Path:
    """Return a row's embedded, still encoded bytes, or the path of the file that it names.

    Raises:
        UnusableAudio: the row holds neither.
    """
    directory = source.path / source.split if source.split else source.path
    audio = _audio_column(directory, source.column)[source.row][source.column] or {}
    if audio.get("bytes") is not None:
        return bytes(audio["bytes"])
    if audio.get("path"):
        return source.path / str(audio["path"])  # an absolute path stays as it is
    raise UnusableAudio(SkipCause.MISSING, f"row {source.row} has neither bytes nor a path in {source.column!r}")
