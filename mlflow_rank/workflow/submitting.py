"""Evidence to the registry: found in the version's run or given as files, handed in by MLflow's ordinary tag call."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlflow_rank.errors import UsageError
from mlflow_rank.evidence.presented import Presented, present
from mlflow_rank.registry.connection import connected_client, quiet_mlflow
from mlflow_rank.registry.evidence_files import evidence_in_run, version_of
from mlflow_rank.registry.tag_parcel import parcels
from mlflow_rank.workflow.deciding import evidence_paths, read_evidence
from mlflow_rank.workflow.policies import NOBODY
from mlflow_rank.workflow.progress import Progress, Silence

VERSION = re.compile(r"models:/(?P<name>[^/@]+)/(?P<version>[0-9]+)")
KINDS = ("measurement", "pilot", "alarms", "approval", "waiver")


@dataclass(frozen=True, slots=True)
class Submitted:
    """One piece of evidence that was handed in, and what the registry said: None where it took it."""

    kind: str
    digest: str
    refused: str | None

    @property
    def sentence(self) -> str:
        """What became of it, in words."""
        said = "taken" if self.refused is None else self.refused
        return f"{self.kind} {self.digest[:19]}…: {said}"


def submit(
    version: str, evidence: Sequence[Path] = (), *, tracking_uri: str | None = None, progress: Progress | None = None
) -> list[Submitted]:
    """Hand evidence of a registered version in, and return what the registry said to each.

    Args:
        version: models:/NAME/VERSION.
        evidence: files, or directories of them; without any, all that the version's run holds about it.
        tracking_uri: of the MLflow server; None for the one that MLflow is set to.
        progress: is told what is sent.

    Raises:
        UsageError: there is no such version or file, or no evidence about the version.
        MeasurementError: the server cannot be reached.
    """
    from mlflow.exceptions import MlflowException

    named = VERSION.fullmatch(version)
    if named is None:
        raise UsageError("this is no registered version", got=version, expected="models:/NAME/VERSION")
    client, told = connected_client(tracking_uri), progress or Silence()
    registered = version_of(client, named["name"], named["version"])
    if evidence:
        files = [read_evidence(path) for path in evidence_paths(evidence)]
    else:
        files = list(evidence_in_run(client, registered.run_id)) if registered.run_id else []
    found = list(_about(version, files, everything=bool(evidence)))
    if not found:
        raise UsageError(
            f"there is no evidence about {version}",
            got=f"{len(files)} evidence files" + ("" if evidence else f" in run {registered.run_id}"),
            expected="signed measurements, pilots, alarms, approvals or waivers",
            remedy="make some: mlflow-rank assess … --key KEY --register NAME; or give --evidence FILES",
        )
    answers = []
    for presented, data in found:
        told.say(f"handing in {presented.kind} {presented.digest[:19]}…")
        refused = None
        try:
            with quiet_mlflow():
                for key, value in parcels(data):
                    client.set_model_version_tag(registered.name, registered.version, key, value)
        except MlflowException as error:
            refused = str(error.message)
        answers.append(Submitted(presented.kind, presented.digest, refused))
    return answers


def _about(version: str, files: Sequence[bytes], *, everything: bool) -> Iterator[tuple[Presented, bytes]]:
    """Yield what can be handed in, each once; of a run's evidence only what names this version, or no version."""
    seen: set[bytes] = set()
    for data in files:
        presented = present(data, trust=NOBODY)
        if data in seen or (presented.kind not in KINDS and not everything):
            continue
        seen.add(data)
        named = {each.name for each in presented.statement.subjects} if presented.statement else set()
        registered = {name for name in named if VERSION.fullmatch(name)}
        if everything or not registered or version in registered:
            yield presented, data
