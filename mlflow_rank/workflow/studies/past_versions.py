"""What became of past versions: from a file, or from the tag `outcome` of registered versions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_rank.errors import UsageError
from mlflow_rank.studies.calibration.cases import Place
from mlflow_rank.studies.trajectories import Trajectories
from mlflow_rank.workflow.progress import Silence
from mlflow_rank.workflow.studies.known_outcomes import KnownOutcome, good_or_bad, placed, read_outcomes

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from mlflow_rank.workflow.studies.gathering.registered_versions import PlacedVersion

OUTCOME = "outcome"  # a version's tag: good or bad


def outcomes_of(
    table: Trajectories,
    file: Path | None,
    models: Sequence[str],
    *,
    good_from: float | None = None,
    tracking_uri: str | None = None,
) -> tuple[dict[Place, bool], tuple[str, ...]]:
    """Return whether checkpoints were good, by run and step, and which outcomes are nobody's.

    Args:
        table: whose checkpoints are meant.
        file: of outcomes; None for the tags of versions.
        models: registered models (`models:/encoder`) whose versions are in the table.
        good_from: least `full_score` of a good version.
        tracking_uri: MLflow's store.

    Raises:
        UsageError: the file is none of outcomes, a tag says neither good nor bad, or two outcomes contradict each
            other.
        MeasurementError: MLflow cannot be reached.
    """
    if file is None and good_from is not None:
        raise UsageError("there is no full score to hold against --good-from", expected="--outcomes FILE beside it")
    written = None if file is None else read_outcomes(file, good_from=good_from)
    if not models:
        return placed(written or (), table, {})
    from mlflow_rank.registry.clients.connection import connected_client
    from mlflow_rank.registry.runs.run_documents import DocumentedRuns
    from mlflow_rank.workflow.studies.gathering.registered_versions import RegisteredVersions

    client = connected_client(tracking_uri)
    versions = RegisteredVersions(DocumentedRuns(client), Silence()).placed(models)
    return placed(_tagged(client, versions) if written is None else written, table, _places(versions))


def _tagged(client: MlflowClient, versions: Sequence[PlacedVersion]) -> tuple[KnownOutcome, ...]:
    """Return the outcomes that tags of versions say."""
    from mlflow_rank.registry.runs.evidence_files import version_of

    said = []
    for each in versions:
        address, model = each.version.address, each.version.model
        word = version_of(client, model, str(each.version.number)).tags.get(OUTCOME)
        if word is not None:
            said.append(KnownOutcome(address, good_or_bad(word, f"tag {OUTCOME} of {address}"), address))
    return tuple(said)


def _places(versions: Sequence[PlacedVersion]) -> dict[str, Place]:
    """Return where versions are in the table, by address, and by number where there is one model only."""
    from mlflow_rank.workflow.studies.gathering.registered_versions import version_places

    places = version_places(versions)
    if len({each.version.model for each in versions}) == 1:
        places |= {str(each.version.number): (each.run, each.step) for each in versions}
    return places
