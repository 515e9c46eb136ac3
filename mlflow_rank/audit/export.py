"""A ledger as a file of lines, to be kept elsewhere and verified without its database.

The first line says which ledger it is and has its checkpoint; each other line is an entry. Every line is canonical
JSON, and reading accepts no other spelling, so that no byte can change unnoticed. A body is text within its line: the
very text that its digest is over.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from mlflow_rank.audit.checkpoint import Checkpoint, read_checkpoint
from mlflow_rank.audit.entry import Entry
from mlflow_rank.errors import EvidenceError, LedgerError, UsageError
from mlflow_rank.evidence.canonical import canonical_json
from mlflow_rank.evidence.strict_json import parse_json

MOST_BYTES = 64 * 2**20  # of a line: a body may be half of that, and text within text grows
_KIND = "LedgerExport"
_ORDER = sorted(Entry.__dataclass_fields__)
_LINE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True, slots=True)
class ExportHeader:
    """Which ledger it is, how many entries follow, and the checkpoint of them."""

    ledger_id: str
    size: int
    checkpoint: Checkpoint

    def to_bytes(self) -> bytes:
        """Return the first line, without its end."""
        return canonical_json(
            {
                "apiVersion": "mlflow-rank/v1",
                "kind": _KIND,
                "ledger_id": self.ledger_id,
                "size": self.size,
                "checkpoint": self.checkpoint.text,
            }
        )


def export_lines(header: ExportHeader, entries: Iterable[Entry]) -> Iterator[bytes]:
    """Yield the lines of an export, each with its end.

    Args:
        header: of as many entries as follow.
        entries: all of them from the first on; what was appended since the header was made is left out.
    """
    yield header.to_bytes() + b"\n"
    for entry in entries:
        if entry.number >= header.size:
            return
        yield entry_line(entry) + b"\n"


def entry_line(entry: Entry) -> bytes:
    """Return an entry as canonical JSON: text, a number and null need no more than their keys in order."""
    return _LINE.encode({name: getattr(entry, name) for name in _ORDER}).encode()


def read_export(path: Path) -> tuple[ExportHeader, Iterator[Entry]]:
    """Open an export: its header, and its entries as they are read.

    Raises:
        UsageError: the file cannot be read.
        LedgerError: its first line is no header; and while the entries are read, with the number of a line that is
            not exactly what the ledger writes.
    """
    lines = _lines(path)
    first = next(lines, None)
    if first is None:
        _refuse(path, 1, "nothing", "the header of an export")
    return _header(path, first), (_entry(path, number, line) for number, line in enumerate(lines, 2))


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MOST_BYTES):
                number += 1
                if not line.endswith(b"\n"):
                    _refuse(path, number, "a line without its end", f"whole lines of less than {MOST_BYTES:,} bytes")
                yield line[:-1]
    except OSError as error:
        raise UsageError(
            "the export cannot be read", got=f"{path}: {error.strerror}", expected="a file that audit export wrote"
        ) from error


def _header(path: Path, line: bytes) -> ExportHeader:
    try:
        fields = parse_json(line, named=f"line 1 of {path}")
    except EvidenceError as error:
        _refuse(path, 1, str(error.got), "the header of an export")
    names = {"apiVersion", "kind", "ledger_id", "size", "checkpoint"}
    if not isinstance(fields, dict) or set(fields) != names or fields["kind"] != _KIND:
        _refuse(path, 1, "another document", f"kind: {_KIND}, with {', '.join(sorted(names))}")
    ledger_id, size, text = fields["ledger_id"], fields["size"], fields["checkpoint"]
    if not (isinstance(ledger_id, str) and isinstance(size, int) and isinstance(text, str)):
        _refuse(path, 1, "fields of other types", "text, and a number for the size")
    header = ExportHeader(ledger_id, size, read_checkpoint(text, named=f"the checkpoint of {path}"))
    if header.to_bytes() != line:
        _refuse(path, 1, "another spelling", "canonical JSON")
    if header.checkpoint.size != size or header.checkpoint.origin != f"mlflow-rank/{ledger_id}":
        _refuse(path, 1, "a checkpoint of something else", "the checkpoint of this export")
    return header


def _entry(path: Path, number: int, line: bytes) -> Entry:
    try:
        fields = json.loads(line)
        entry = Entry(**fields)
        same = entry_line(entry) == line
    except (ValueError, TypeError, RecursionError) as error:
        _refuse(path, number, str(error)[:200], "an entry")
    if not same:
        _refuse(path, number, "another spelling", "canonical JSON, as audit export writes it")
    return entry


def _refuse(path: Path, number: int, got: str, expected: str) -> NoReturn:
    raise LedgerError(
        f"line {number} of {path} is not what the ledger writes",
        got=got,
        expected=expected,
        remedy="export again; if this is the only copy, it was changed here",
    )
