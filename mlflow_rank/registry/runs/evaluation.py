"""What `mlflow.models.evaluate` hands to an evaluator, read; and what it takes back, made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlflow_rank.errors import UsageError
from mlflow_rank.registry.clients.connection import connected_client, quiet_mlflow, unreachable
from mlflow_rank.registry.runs.evidence_files import FOLDER, version_of
from mlflow_rank.registry.runs.measured_rank import Document
from mlflow_rank.registry.runs.metric_names import metrics_of
from mlflow_rank.registry.runs.pilot_metrics import pilot_metrics_of
from mlflow_rank.registry.runs.run_claim import ARTIFACT_FOLDER, RecordedRun

if TYPE_CHECKING:
    from mlflow.models import EvaluationResult

_VERSIONS = "mlflow.modelVersions"  # the tag by which MLflow's pages lead from a logged model to its versions


@dataclass(frozen=True, slots=True)
class GivenData:
    """The `data` of an evaluation.

    `rows` have the columns of a manifest, None in cells that are missing; `target` is the column that `targets`
    named, None where it named none. `path` is `dataset_path`.
    """

    rows: Sequence[Mapping[str, object]]
    target: str | None
    path: str | None


def given_data(dataset: Any) -> GivenData:
    """Return the rows of MLflow's `EvaluationDataset`: a data frame, or a list of audio files.

    Raises:
        UsageError: it is an array of something else than names of files.
    """
    import pandas as pd

    features, target = dataset.features_data, dataset.targets_name
    if not isinstance(features, pd.DataFrame):
        return GivenData(_files_named(features), None, dataset.path)
    if dataset.has_targets:
        features = features.assign(**{target: dataset.labels_data})
    rows = [{str(name): _plain(cell) for name, cell in row.items()} for row in features.to_dict(orient="records")]
    return GivenData(rows, target, dataset.path)


def evaluated_address(model: Any, model_id: str | None, named: str | None) -> str:
    """Return the encoder that is evaluated, as `--model` takes it.

    Args:
        model: what MLflow loaded; None where `evaluate` was called without a model.
        model_id: of the logged model that MLflow takes it for.
        named: the encoder by the configuration, if it names one; a loaded model must be one of its versions.

    Raises:
        UsageError: nothing says which encoder is meant, or two are named.
        MeasurementError: the store cannot be reached.
    """
    logged = getattr(model, "model_id", None) or model_id
    if named is not None and (model is None or named == f"models:/{logged}"):
        return named
    if logged is None:
        raise UsageError(
            "nothing says which encoder this is",
            got="no model" if model is None else f"a {type(model).__name__} without a model id",
            expected="an encoder that MLflow holds (models:/NAME/VERSION), or its address in evaluator_config",
            remedy='evaluate(None, …, evaluator_config={"model": "my_checkpoint"})',
        )
    if named is None:
        return f"models:/{logged}"
    if named not in registered_as(logged):
        raise UsageError(
            "two encoders are named",
            got=f"the model with id {logged}, and {named} in evaluator_config",
            expected=" or ".join((f"models:/{logged}", *registered_as(logged))),
            remedy="leave one of the two out",
        )
    return named


def registered_as(model_id: str) -> tuple[str, ...]:
    """Return the addresses `models:/NAME/VERSION` under which a logged model is registered.

    Raises:
        UsageError: there is no such logged model.
        MeasurementError: the store cannot be reached.
    """
    from mlflow.exceptions import MlflowException

    client = connected_client(None)
    try:
        model = client.get_logged_model(model_id)
    except MlflowException as error:
        raise UsageError(f"there is no logged model {model_id}", got=model_id, expected="one of this store") from error
    try:
        said = json.loads(model.tags.get(_VERSIONS, "[]"))
        listed = [(str(each["name"]), str(each["version"])) for each in said]
    except (ValueError, TypeError, KeyError):  # anybody may write tags
        return ()
    found = []
    for name, number in listed:
        try:
            version = version_of(client, name, number)
        except UsageError:  # it was deleted
            continue
        if version.model_id == model_id or version.source in (f"models:/{model_id}", model.artifact_location):
            found.append(f"models:/{version.name}/{version.version}")
    return tuple(found)


def log_documents(documents: Mapping[str, object], run: RecordedRun) -> None:
    """Write JSON documents, by file name, into the run's folder.

    Raises:
        MeasurementError: the store cannot be reached or refuses.
    """
    from mlflow.exceptions import MlflowException

    client = connected_client(run.tracking_uri)
    try:
        with quiet_mlflow():
            for name, document in documents.items():
                client.log_dict(run.run_id, document, f"{ARTIFACT_FOLDER}/{name}")
    except MlflowException as error:
        raise unreachable(client.tracking_uri, error, what_is_safe="all else is in the run") from error


def evaluation_result(
    run: RecordedRun,
    *,
    measurement: Document,
    control: Document | None,
    pilot: Document | None,
    evidence: Mapping[str, bytes],
    documents: Mapping[str, object],
) -> EvaluationResult:
    """Return the metrics by the names that they have in the run, and its documents and evidence as artifacts.

    Args:
        run: where all of it was logged.
        measurement: the ranks.
        control: those of the same architecture with random weights, where it was heard.
        pilot: the pilot, where there is one.
        evidence: evidence files by name.
        documents: further documents in the run's folder, by file name.
    """
    from mlflow.models import EvaluationResult
    from mlflow.models.evaluation.artifacts import JsonEvaluationArtifact

    client = connected_client(run.tracking_uri)
    root = f"{client.get_run(run.run_id).info.artifact_uri}/{ARTIFACT_FOLDER}"
    metrics = metrics_of(measurement, control) | ({} if pilot is None else pilot_metrics_of(pilot))
    said: dict[str, object] = {"measurement.json": measurement}
    said |= {} if pilot is None else {"pilot.json": pilot}
    artifacts = {
        name: JsonEvaluationArtifact(uri=f"{root}/{name}", content=content)
        for name, content in (said | dict(documents)).items()
    }
    for name, data in evidence.items():
        artifacts[name] = JsonEvaluationArtifact(uri=f"{root}/{FOLDER}/{name}", content=json.loads(data))
    return EvaluationResult(metrics, artifacts, run.run_id)


def _files_named(cells: Any) -> list[dict[str, object]]:
    """Return a row for each file that a list names; MLflow makes a column of it."""
    if cells.ndim != 2 or cells.shape[1] != 1 or not all(isinstance(cell, str) for cell in cells[:, 0]):
        raise UsageError(
            "this data is nothing that an encoder could hear",
            got=f"an array of shape {tuple(cells.shape)} and type {cells.dtype}",
            expected="a data frame with a column `path` and labels, or a list of audio files",
        )
    return [{"path": str(cell)} for cell in cells[:, 0]]


def _plain(cell: Any) -> object:
    """Return a cell as JSON has it: None where it is missing, lists for arrays, Python's numbers for numpy's."""
    import numpy as np
    import pandas as pd

    if isinstance(cell, np.ndarray):
        return cell.tolist()
    if isinstance(cell, np.generic):
        cell = cell.item()
    return None if pd.api.types.is_scalar(cell) and pd.isna(cell) else cell
