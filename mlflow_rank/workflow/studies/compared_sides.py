"""What is compared: a file or a directory of documents, a registered version, or an MLflow run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow_rank.errors import UsageError
from mlflow_rank.workflow.progress import Progress
from mlflow_rank.workflow.studies.document_files import ASSESSMENT, Document, read_document

MEASUREMENT, PILOT = "RankMeasurement", "PilotResult"
_IN_DIRECTORY = ("measurement.json", "pilot.json", "study.json")  # as --output writes them
_VERSION = re.compile(r"models:/(?P<name>[^/@]+)(?:/(?P<number>[0-9]{1,18})|@(?P<alias>[^/@]+))")
_RUN = re.compile(r"runs:/(?P<run_id>[^/]+)(?:/(?P<step>[0-9]{1,18}))?")


@dataclass(frozen=True, slots=True)
class Side:
    """One of two things compared, by the name that the user gave: its documents by kind."""

    name: str
    documents: Mapping[str, Document]


def side_of(text: str, progress: Progress, *, tracking_uri: str | None = None) -> Side:
    """Return what a text names.

    Args:
        text: a JSON file, a directory that --output wrote, models:/NAME/VERSION, models:/NAME@ALIAS, or runs:/ID
            (runs:/ID/STEP where a run holds several steps).
        progress: told of what is hashed.
        tracking_uri: MLflow's store.

    Raises:
        UsageError: it names nothing, or nothing that could be compared.
        MeasurementError: MLflow cannot be reached.
    """
    if text.startswith("models:/"):
        return Side(text, _of_version(text, progress, tracking_uri))
    if text.startswith("runs:/"):
        return Side(text, _of_run(text, tracking_uri))
    path = Path(text)
    if not path.is_dir():
        return Side(text, _parts(read_document(path)))
    found = [_parts(read_document(path / name)) for name in _IN_DIRECTORY if (path / name).is_file()]
    if not found:
        raise UsageError(
            "nothing in this directory can be compared", got=text, expected=f"one of {', '.join(_IN_DIRECTORY)}"
        )
    return Side(text, {kind: document for each in found for kind, document in each.items()})


def _parts(document: Document) -> dict[str, Document]:
    if document["kind"] != ASSESSMENT:
        return {str(document["kind"]): document}
    parts = [document.get(name) for name in ("measurement", "pilot")]
    return {str(part["kind"]): part for part in parts if isinstance(part, dict) and "kind" in part}


def _of_run(text: str, tracking_uri: str | None) -> dict[str, Document]:
    from mlflow_rank.registry.clients.connection import connected_client
    from mlflow_rank.registry.runs.run_documents import DocumentedRuns

    named = _RUN.fullmatch(text)
    if named is None:
        raise UsageError("this MLflow address is not complete", got=text, expected="runs:/ID or runs:/ID/STEP")
    runs = DocumentedRuns(connected_client(tracking_uri))
    run = runs.run(named["run_id"])
    if run is None:
        raise UsageError("there is no such run", got=text, expected="the id of a run in MLflow's store")
    documents = runs.documents(run)
    steps = sorted({each.step for each in documents if each.step is not None})
    step = None if named["step"] is None else int(named["step"])
    if step is None and len(steps) == 1:
        (step,) = steps
    chosen = [each for each in documents if each.step in (None, step)]
    if (step is None and steps) or (step is not None and step not in steps):
        raise UsageError(
            "this run holds several steps" if step is None else "this run has no such step",
            got=text,
            expected=f"runs:/{named['run_id']}/STEP with one of {', '.join(map(str, steps)) or 'no step'}",
        )
    return _found(text, {each.kind: each.document for each in chosen})


def _of_version(text: str, progress: Progress, tracking_uri: str | None) -> dict[str, Document]:
    from mlflow_rank.registry.clients.connection import connected_client
    from mlflow_rank.registry.runs.run_documents import DocumentedRuns
    from mlflow_rank.registry.runs.trained_versions import TrainedVersions
    from mlflow_rank.workflow.studies.gathering.recorded_runs import newest
    from mlflow_rank.workflow.studies.gathering.registered_versions import PlacedVersion, RegisteredVersions

    named = _VERSION.fullmatch(text)
    if named is None:
        raise UsageError(
            "this MLflow address is not complete", got=text, expected="models:/NAME/VERSION or models:/NAME@ALIAS"
        )
    client = connected_client(tracking_uri)
    number = _aliased(client, named["name"], named["alias"]) if named["alias"] else int(named["number"])
    listed = TrainedVersions.of(client, named["name"]).listed()
    version = next((each for each in listed if each.number == number), None)
    if version is None:
        raise UsageError(
            f"there is no version {number} of {named['name']!r}",
            got=text,
            expected=", ".join(each.address for each in listed[-5:]) or "a registered version",
        )
    runs = DocumentedRuns(client)
    known, _ = RegisteredVersions(runs, progress).assessed([PlacedVersion(version, version.model, number, None)])
    if known:
        both = {"measurement": known[0].measurement, "pilot": known[0].pilot}
        return _found(text, {kind: document for kind, document in both.items() if document is not None})
    own = None if version.run_id is None else runs.run(version.run_id)
    documents = [] if own is None else [each for each in runs.documents(own) if each.step in (None, version.step)]
    return _found(text, {kind: each.document for kind, each in newest(documents).items()})


def _aliased(client: Any, name: str, alias: str) -> int:
    from mlflow.exceptions import MlflowException

    try:
        return int(client.get_model_version_by_alias(name, alias).version)
    except MlflowException as error:
        raise UsageError(
            "no version has this alias", got=f"models:/{name}@{alias}", expected="an alias of a registered model"
        ) from error


def _found(text: str, documents: Mapping[str, Document]) -> dict[str, Document]:
    if not documents:
        raise UsageError(
            "nothing is known of it that could be compared",
            got=text,
            expected="a measurement or a pilot in its run, or in a run about the same files",
            remedy="mlflow-rank assess --model " + (text if text.startswith("models:/") else "MODEL"),
        )
    return {str(document["kind"]): document for document in documents.values()}
