"""Evidence to the registry: found in the version's run or given as files, handed in by MLflow's ordinary tag call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlflow_rank.errors import UsageError
from mlflow_rank.evidence.presented import Presented, present
from mlflow_rank.registry.runs.evidence_files import evidence_in_run, version_of
from mlflow_rank.workflow.acting import GatedRegistry
from mlflow_rank.workflow.addresses import VERSION, Named
from mlflow_rank.workflow.deciding import evidence_paths, read_evidence
from mlflow_rank.workflow.policies import NOBODY
from mlflow_rank.workflow.progress import Progress, Silence

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

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {"kind": self.kind, "digest": self.digest, "refused": self.refused}


def submit(
    registry: GatedRegistry, named: Named, evidence: Sequence[Path] = (), *, progress: Progress | None = None
) -> list[Submitted]:
    """Hand evidence of a registered version in, and return what the registry said to each; nothing where there is none.

    Args:
        registry: behind the gate.
        named: the version.
        evidence: files, or directories of them; without any, all that the version's run holds about it.
        progress: is told what is sent.

    Raises:
        UsageError: there is no such version or file.
        MeasurementError: the server cannot be reached.
    """
    told = progress or Silence()
    registered = version_of(registry.client, named.model, named.version)
    if evidence:
        files = [read_evidence(path) for path in evidence_paths(evidence)]
    else:
        files = list(evidence_in_run(registry.client, registered.run_id)) if registered.run_id else []
    answers = []
    for presented, data in _about(str(named), files, everything=bool(evidence)):
        told.say(f"handing in {presented.kind} {presented.digest[:19]}…")
        answers.append(Submitted(presented.kind, presented.digest, registry.hand_in(named, data)))
    return answers


def nothing_to_submit(named: Named) -> UsageError:
    """Return the error where there is no evidence of a version, neither here nor at the gate."""
    return UsageError(
        f"there is no evidence about {named}",
        got="no evidence files about it, and none in its run",
        expected="signed measurements, pilots, alarms, approvals or waivers",
        remedy="make some: mlflow-rank assess … --key KEY --register NAME; or give --evidence FILES",
    )


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
