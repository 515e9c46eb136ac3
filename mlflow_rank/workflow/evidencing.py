"""The evidence that measurements and pilots leave: statements about the files that were heard, signed by a key."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_rank.errors import UsageError
from mlflow_rank.evidence.envelope import Envelope
from mlflow_rank.evidence.keys import PrivateKey
from mlflow_rank.evidence.statement import Statement, Subject
from mlflow_rank.evidence.testimony import FILES_DIGEST, measurement_statement, pilot_statement
from mlflow_rank.registry.runs.evidence_files import SUFFIX

if TYPE_CHECKING:
    from mlflow_rank.registry.runs.flavor import LoggedEncoder

Document = Mapping[str, object]
EvidenceFiles = Mapping[str, bytes]


def evidence_of(
    *,
    measurement: Document | None = None,
    pilot: Document | None = None,
    registered: LoggedEncoder | None = None,
    key: PrivateKey | None,
    now: datetime,
) -> EvidenceFiles:
    """Return the evidence files by name; none where nothing is known of the model's files.

    Args:
        measurement: a `RankMeasurement`, where there is one.
        pilot: a `PilotResult`, where there is one.
        registered: the model that was logged of the same encoder; the evidence is about its files too.
        key: signs; None for unsigned evidence, which counts in modes audit and warn only.
        now: when it is made.
    """
    also: tuple[Subject, ...] = ()
    if registered is not None:
        named = f"models:/{registered.name}/{registered.version}" if registered.name else registered.model_uri
        also = (Subject(named, registered.files_digest),)
    files = {}
    for name, document, state in (
        ("measurement", measurement, measurement_statement),
        ("pilot", pilot, pilot_statement),
    ):
        if document is not None and _about_files(document):
            files[f"{name}{SUFFIX}"] = sealed(state(document, also=also, now=now), key)
    return files


def sealed(statement: Statement, key: PrivateKey | None) -> bytes:
    """Return a statement in its envelope, signed where there is a key."""
    envelope = Envelope(statement.to_bytes(), ())
    return (envelope if key is None else envelope.signed_by(key)).to_json()


def write_evidence(files: EvidenceFiles, directory: Path) -> list[Path]:
    """Write evidence files into a directory, each whole or not at all, and return their paths.

    Raises:
        UsageError: nothing can be written there; a file that was there before is as it was.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            _write(directory / name, content)
    except OSError as error:
        raise UsageError(
            "evidence cannot be written there", got=f"{directory}: {error.strerror}", expected="a directory"
        ) from error
    return [directory / name for name in files]


def _write(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")  # not SUFFIX at its end: nobody takes it for evidence
    try:
        beside.write_bytes(content)
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def _about_files(document: Document) -> bool:
    model = document.get("model")
    return isinstance(model, Mapping) and model.get(FILES_DIGEST) is not None
