"""Reading a manifest's rows one at a time, each with its place: JSONL, CSV, TSV, fairseq's TSV, Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from mlflow_rank.errors import UsageError

KNOWN_FIRST_CELLS = frozenset({"path", "speaker", "text", "start"})  # a one-cell first line of these is a header


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a manifest.

    `place` is `file:line` (`file: row n` in Parquet), `cells` are by column name, and `typed` says whether the format
    knows types: in CSV and TSV every cell is text.
    """

    place: str
    line: int
    cells: Mapping[str, object]
    typed: bool


@dataclass(frozen=True, slots=True)
class Table:
    """A manifest: the directory its paths are relative to, its format, and its rows, read as they are asked for."""

    base: Path
    kind: str
    records: Iterator[Record]


def open_table(path: Path) -> Table:
    """Open a manifest by its suffix.

    Raises:
        UsageError: unknown suffix; and, while rows are read, a line that is not what the format asks for.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise UsageError(
            "unknown kind of audio source",
            got=str(path),
            expected=f"a directory of audio, a dataset saved to disk, or a manifest ({', '.join(MANIFEST_SUFFIXES)})",
            remedy="give the directory that holds the audio files, or a manifest with a column 'path'",
        )
    return reader(path)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield lines with their number from 1; decoded one by one, so that a wrong byte has a line."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise UsageError(
                    f"{path}:{number}: not UTF-8",
                    got=f"byte {line[error.start]:#04x} at column {error.start + 1}",
                    remedy="save the manifest as UTF-8",
                ) from error


def _jsonl(path: Path) -> Table:
    return Table(path.parent, "jsonl", _jsonl_records(path))


def _jsonl_records(path: Path) -> Iterator[Record]:
    for number, line in _lines(path):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        try:
            cells = json.loads(line, parse_constant=_refuse_constant, object_pairs_hook=_once_each)
        except ValueError as error:
            raise UsageError(f"{place}: bad line", got=str(error), expected="one JSON object on the line") from error
        if not isinstance(cells, dict):
            raise UsageError(f"{place}: bad line", got=line.strip()[:60], expected="one JSON object on the line")
        yield Record(place, number, cells, typed=True)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _once_each(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    cells = dict(pairs)
    if len(cells) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is there twice")
    return cells


def _csv(path: Path) -> Table:
    return Table(path.parent, "csv", _separated_records(path, ","))


def _tsv(path: Path) -> Table:
    """Open a TSV: fairseq's form where the first line is one cell (the root directory), else one with a header."""
    first = next((line for _, line in _lines(path)), "").strip()
    if not first or "\t" in first or first in KNOWN_FIRST_CELLS:
        return Table(path.parent, "tsv", _separated_records(path, "\t"))
    root = path.parent / first  # an absolute root stays as it is
    if not root.is_dir():
        raise UsageError(
            f"{path}:1: no such root directory",
            got=first,
            expected="in fairseq's form the directory of the audio; in any other TSV a header with a column 'path'",
            remedy="correct the first line",
        )
    return Table(root, "fairseq", _fairseq_records(path))


def _separated_records(path: Path, delimiter: str) -> Iterator[Record]:
    reader = csv.reader((line for _, line in _lines(path)), delimiter=delimiter, strict=True)
    names: list[str] | None = None
    line = 1
    while True:
        place = f"{path}:{line}"
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise UsageError(f"{place}: bad line", got=str(error), expected="cells as in RFC 4180") from error
        if cells is None:
            return
        if cells and names is None:
            names = _header(cells, place)
        elif cells and names is not None:
            if len(cells) != len(names):
                raise UsageError(
                    f"{place}: bad line",
                    got=f"{len(cells)} cells",
                    expected=f"{len(names)} cells, as the header has: {', '.join(names)}",
                )
            yield Record(
                place, line, {name: cell for name, cell in zip(names, cells, strict=True) if cell}, typed=False
            )
        line = reader.line_num + 1


def _header(cells: Sequence[str], place: str) -> list[str]:
    names = [cell.strip() for cell in cells]
    require_path_column(names, place)
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UsageError(f"{place}: column twice", got=", ".join(repeated), expected="each column once")
    return names


def require_path_column(names: Sequence[str], place: str) -> None:
    """Refuse columns without `path`.

    Raises:
        UsageError: with the columns that are there.
    """
    if "path" not in names:
        raise UsageError(
            f"{place}: missing column 'path'",
            got=f"columns: {', '.join(names) or 'none'}",
            expected="a column 'path' with audio files relative to the manifest",
            remedy="rename the column that holds the audio files to 'path'",
        )


def _fairseq_records(path: Path) -> Iterator[Record]:
    for number, line in _lines(path):
        cells = line.rstrip("\r\n").split("\t")
        if number == 1 or cells == [""]:
            continue
        if len(cells) != 2 or not cells[0] or not cells[1].isdecimal():
            raise UsageError(
                f"{path}:{number}: bad line",
                got=repr(line.rstrip("\r\n")[:60]),
                expected="an audio file relative to the root, a tab, and its number of samples",
            )
        yield Record(f"{path}:{number}", number, {"path": cells[0]}, typed=False)


def _parquet(path: Path) -> Table:
    return Table(path.parent, "parquet", _parquet_records(path))


def _parquet_records(path: Path) -> Iterator[Record]:
    from pyarrow import ArrowException, parquet

    try:
        with parquet.ParquetFile(path) as file:
            require_path_column(file.schema_arrow.names, str(path))
            number = 0
            for batch in file.iter_batches(batch_size=1024):  # rows: small in memory, large beside the cost of a call
                for cells in batch.to_pylist():
                    number += 1
                    yield Record(f"{path}: row {number}", number, cells, typed=True)
    except ArrowException as error:
        raise UsageError(f"{path}: cannot be read as Parquet", got=str(error), expected="a Parquet file") from error


_READERS: Mapping[str, Callable[[Path], Table]] = {
    ".jsonl": _jsonl,
    ".csv": _csv,
    ".tsv": _tsv,
    ".parquet": _parquet,
}
MANIFEST_SUFFIXES = tuple(_READERS)
