"""Listing a Hugging Face dataset saved to disk, one `Dataset` or a `DatasetDict` of splits."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from mlflow_rank.errors import UsageError
from mlflow_rank.speech.alignments import AlignmentFiles
from mlflow_rank.speech.columns import described
from mlflow_rank.speech.containers import read_header
from mlflow_rank.speech.corpus import Corpus, Listing
from mlflow_rank.speech.dataset_rows import open_split
from mlflow_rank.speech.tables import Record
from mlflow_rank.speech.utterance import DatasetAudio

_ONE, _SPLITS = "dataset_info.json", "dataset_dict.json"  # what save_to_disk leaves at the top of each form


def is_saved_dataset(directory: Path) -> bool:
    """Return whether the directory was written by `save_to_disk`."""
    return (directory / _SPLITS).is_file() or ((directory / _ONE).is_file() and (directory / "state.json").is_file())


def list_saved_dataset(directory: Path, *, alignments: bool = False) -> Corpus:
    """List every row of every split; read the phones in files that rows name where `alignments` says so.

    A row's key is its split and the name of its audio where names are there and differ, else its row number. Classes
    become the names of their classes. Other columns mean what they mean in a manifest.

    Raises:
        UsageError: not a saved dataset, no column of audio, or a value that its column does not allow.
        MissingDependencyError: the package `datasets` is not installed.
    """
    listing = Listing(str(directory), "dataset", AlignmentFiles(directory) if alignments else None)
    for split in _splits(directory):
        place = f"{directory} ({split})" if split else str(directory)
        rows = open_split(directory / split if split else directory)
        column = _audio_column(rows, place)
        names = _names(rows, column)
        for number, cells in enumerate(_descriptions(rows, column)):
            record = Record(f"{place}: row {number}", number, cells, typed=True)
            key = f"{split}/{names[number]}" if split else names[number]
            listing.add(
                key, DatasetAudio(directory, split, number, column), described(record), record.place, read_header
            )
    return listing.closed(expected="a dataset with at least one row")


def _splits(directory: Path) -> list[str | None]:
    index = directory / _SPLITS
    if not index.is_file():
        return [None]
    try:
        return [str(name) for name in json.loads(index.read_text(encoding="utf-8"))["splits"]]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            "cannot open the saved dataset",
            got=f"{index}: {error}",
            expected='{"splits": […]}',
            remedy="save it again with save_to_disk",
        ) from error


def _audio_column(rows: Any, place: str) -> str:
    import datasets

    columns = [str(name) for name, feature in rows.features.items() if isinstance(feature, datasets.Audio)]
    if "audio" in columns:
        return "audio"
    if len(columns) != 1:
        raise UsageError(
            f"{place}: {'several columns' if columns else 'no column'} of audio",
            got=f"columns: {', '.join(rows.column_names)}",
            expected="a column 'audio', or one column with the feature Audio",
            remedy="cast it with cast_column(…, datasets.Audio()) and save it again",
        )
    return columns[0]


def _names(rows: Any, column: str) -> list[str]:
    """Return a name for each row, from the audio's own path where those are there and differ."""
    from pyarrow import compute, types

    stored = rows.data.column(column)
    paths = compute.struct_field(stored, "path") if types.is_struct(stored.type) else stored
    names = ["" if path is None else PurePosixPath(path).name for path in paths.to_pylist()]
    distinct = Counter(names)
    if rows._indices is None and "" not in distinct and len(distinct) == len(names):
        return names
    return [f"row-{number}" for number in range(len(rows))]


def _descriptions(rows: Any, column: str) -> Iterator[Mapping[str, object]]:
    """Yield the cells beside the audio, row by row, classes by name."""
    import datasets

    beside = rows.remove_columns([column])
    classes = {name: feature for name, feature in beside.features.items() if isinstance(feature, datasets.ClassLabel)}
    if not beside.column_names:
        yield from ({} for _ in range(len(rows)))
        return
    for cells in beside:
        named = {
            name: None if cells[name] in (None, -1) else feature.int2str(cells[name])  # −1 is datasets' "no label"
            for name, feature in classes.items()
        }
        yield {**cells, **named}
