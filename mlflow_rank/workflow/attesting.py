"""What a monitor has to say of a checkpoint, as evidence: which alarms there are, about these very files."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from mlflow_rank.errors import UsageError
from mlflow_rank.evidence.file_manifest import file_manifest
from mlflow_rank.evidence.keys import PrivateKey
from mlflow_rank.evidence.statement import Subject
from mlflow_rank.evidence.testimony import alarms_statement
from mlflow_rank.monitoring.alarm import Alarm
from mlflow_rank.registry.runs.evidence_files import SUFFIX
from mlflow_rank.registry.runs.resolve import resolve_model
from mlflow_rank.workflow.evidencing import sealed
from mlflow_rank.workflow.progress import Progress, Silence

ALARMS_FILE = f"alarms{SUFFIX}"
"""What the file is called where there is one: the ending is the one that evidence in a run is found by."""


def attest(
    *about: Path | str | Subject,
    monitor: str,
    alarms: Sequence[Alarm],
    key: PrivateKey | None,
    now: datetime,
    heard_until: int | None = None,
    tracking_uri: str | None = None,
) -> bytes:
    """Return an evidence file: the statement of alarms about checkpoints, which rules of kind `no_open_alarm` read.

    Args:
        about: the same weights, in one or more forms: the directory of a checkpoint, a registered version
            (`models:/name/7`), or a subject whose digest is known.
        monitor: the name of the monitor; its later statement about the same files replaces an earlier one, so that an
            alarm is closed by whoever raised it.
        alarms: all of the run until that checkpoint, closed ones too; none says that there was none.
        key: signs; None for unsigned evidence, which counts in modes audit and warn only.
        now: when it is made.
        heard_until: the step of the last point that the monitor had judged by then; None where it is not known.
        tracking_uri: of the store of a registered version; None for MLflow's own choice.

    Raises:
        UsageError: there is no such directory or version, or nothing was named.
        EvidenceError: its files cannot be hashed, as there is a link among them, or one changed meanwhile.
        MeasurementError: the store of a registered version cannot be reached.
    """
    if not about:
        raise UsageError("nothing says which files this is about", expected="a directory or a registered version")
    first, *also = [subject_of(each, tracking_uri=tracking_uri) for each in about]
    documents = [alarm.document() for alarm in alarms]
    statement = alarms_statement(first, monitor=monitor, alarms=documents, heard_until=heard_until, now=now, also=also)
    return sealed(statement, key)


def subject_of(
    about: Path | str | Subject, *, tracking_uri: str | None = None, progress: Progress | None = None
) -> Subject:
    """Return which files are meant, by their digest as `measure` and the gate take it, and what they are called.

    Raises:
        UsageError: there is no such directory or version.
        EvidenceError: its files cannot be hashed.
        MeasurementError: the store cannot be reached.
    """
    if isinstance(about, Subject):
        return about
    named = str(about)
    if not named.startswith(("models:/", "runs:/")):
        return Subject(named, file_manifest(Path(named)).digest)
    with tempfile.TemporaryDirectory(prefix="mlflow_rank-") as downloads:
        (progress or Silence()).say(f"looking at the files of {named}")
        found = resolve_model(named, into=Path(downloads), tracking_uri=tracking_uri)
        if found.files is None:
            raise UsageError("this is no model with files", got=named, expected="models:/NAME/VERSION")
        if found.name is not None:  # what an alias points at now, it may not point at tomorrow
            named = f"models:/{found.name}/{found.version}"
        return Subject(named, file_manifest(found.files).digest)
