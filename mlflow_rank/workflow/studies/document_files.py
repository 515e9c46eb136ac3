"""Documents of our own in files, for studies that read one or two of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow_rank.errors import EvidenceError, UsageError
from mlflow_rank.evidence.strict_json import parse_json

ASSESSMENT = "Assessment"
Document = Mapping[str, Any]


def read_document(path: Path) -> Document:
    """Return the document in a JSON file, whatever its kind.

    Raises:
        UsageError: there is no such file, or it holds no document of ours.
    """
    try:
        value = parse_json(path.read_bytes(), named=str(path))
    except OSError as error:
        raise UsageError(
            "this document cannot be read", got=f"{path}: {error.strerror or error}", expected="a JSON file"
        ) from error
    except EvidenceError as error:
        raise UsageError(error.what, got=error.got, expected=error.expected) from error
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
        raise UsageError(
            "this is no document of mlflow-rank", got=f"{path}: no `kind`", expected="a file that --json wrote"
        )
    return value


def read_part(path: Path, kind: str) -> Document:
    """Return a document of a kind, or that part of an assessment.

    Args:
        path: of the file.
        kind: `RankMeasurement` or `PilotResult`.

    Raises:
        UsageError: it is another, or cannot be read.
    """
    document = read_document(path)
    parts = [document]
    if document["kind"] == ASSESSMENT:
        parts = [part for name in ("measurement", "pilot") if isinstance(part := document.get(name), dict)]
    for part in parts:
        if part.get("kind") == kind:
            return part
    raise UsageError(
        "this is another document than asked for", got=f"{path}: kind {document['kind']}", expected=f"kind {kind}"
    )
