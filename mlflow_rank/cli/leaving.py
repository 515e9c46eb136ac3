"""What measure, pilot and assess leave at their end: a run in MLflow, and evidence in it and as files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlflow_rank.cli.options import say

if TYPE_CHECKING:
    from mlflow_rank.evidence.keys import PrivateKey
    from mlflow_rank.workflow import Recorded


@dataclass(frozen=True, slots=True)
class Left:
    """Evidence by file name, and the address of the model version where one was registered."""

    evidence: Mapping[str, bytes]
    version: str | None = None


def leave_evidence(
    options: Mapping[str, Any],
    *,
    key: PrivateKey | None,
    measurement: dict[str, object] | None = None,
    pilot: dict[str, object] | None = None,
    recorded: Recorded | None = None,
) -> Left:
    """Say where the run is, and leave evidence in it and in `--output`; what is signed is always left as files too."""
    from mlflow_rank.registry.runs.evidence_files import log_evidence
    from mlflow_rank.workflow import DEFAULT_OUTPUT
    from mlflow_rank.workflow.evidencing import evidence_of, write_evidence

    registered = None if recorded is None else recorded.registered
    version = (
        None if registered is None or registered.name is None else f"models:/{registered.name}/{registered.version}"
    )
    if recorded is not None:
        say(f"MLflow run {recorded.run.run_id} (to see it: {recorded.run.where})")
    if version is not None:
        say(f"registered as {version}")
    files = evidence_of(measurement=measurement, pilot=pilot, registered=registered, key=key, now=datetime.now(UTC))
    place = options["output"] or (DEFAULT_OUTPUT if key is not None else None)
    kept = None if place is None else place / "evidence"
    if files and kept is not None:
        write_evidence(files, kept)
        signed = "unsigned (no --key)" if key is None else f"signed by key {key.public.key_id[:19]}…"
        say(f"evidence, {signed}: {kept}")
    if files and recorded is not None:
        log_evidence(files, recorded.run, kept_at=kept)
    return Left(files, version)
