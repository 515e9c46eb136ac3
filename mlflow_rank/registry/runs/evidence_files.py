"""Signed evidence in MLflow: artifacts of the runs that made it, found again from a model version.

Anybody may write artifacts, so nothing here is believed: what is found is presented to the policy, which looks at
signatures and at the bytes that they are about.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_rank.errors import UsageError
from mlflow_rank.registry.clients.connection import connected_client, quiet_mlflow, unreachable
from mlflow_rank.registry.runs.pages import every
from mlflow_rank.registry.runs.run_claim import ARTIFACT_FOLDER, FILES_DIGEST, RecordedRun

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

SUFFIX = ".dsse.json"
FOLDER = "evidence"
_AT_ONCE = 100  # runs or models on a page
_DEEPEST = 3  # mlflow_rank/, then the folder of a step, then evidence/


def log_evidence(files: Mapping[str, bytes], run: RecordedRun, *, kept_at: Path | None = None) -> None:
    """Write evidence files, by name, into the run that made them.

    Raises:
        MeasurementError: the store cannot be reached or refuses.
    """
    from mlflow.exceptions import MlflowException

    safe = "nothing else was lost" if kept_at is None else f"the evidence is kept at {kept_at}"
    client = connected_client(run.tracking_uri, what_is_safe=safe)
    with tempfile.TemporaryDirectory(prefix="mlflow_rank-") as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        try:
            with quiet_mlflow():
                client.log_artifacts(run.run_id, folder, f"{ARTIFACT_FOLDER}/{FOLDER}")
        except MlflowException as error:
            raise unreachable(client.tracking_uri, error, what_is_safe=safe) from error


def evidence_of_version(client: MlflowClient, version: ModelVersion, files_digest: str) -> list[bytes]:
    """Return every evidence file in the run of a version, and in all runs that heard these very files.

    Raises:
        MeasurementError: the store cannot be reached or refuses. A run that is gone has left no evidence.
    """
    from mlflow.exceptions import MlflowException

    try:
        runs = dict.fromkeys([*filter(None, [version.run_id]), *_runs_that_heard(client, files_digest)])
    except MlflowException as error:
        raise unreachable(client.tracking_uri, error, what_is_safe="nothing was changed") from error
    return list(dict.fromkeys(data for run in runs for data in evidence_in_run(client, run)))


def evidence_in_run(client: MlflowClient, run: str) -> list[bytes]:
    """Return every evidence file of a run; none where the run is gone.

    Raises:
        MeasurementError: the store cannot be reached or refuses.
    """
    from mlflow.exceptions import MlflowException

    found: dict[bytes, None] = {}
    try:
        with tempfile.TemporaryDirectory(prefix="mlflow_rank-") as folder, quiet_mlflow():
            for path in _evidence_in(client, run):
                found[Path(client.download_artifacts(run, path, folder)).read_bytes()] = None
    except MlflowException as error:
        raise unreachable(client.tracking_uri, error, what_is_safe="nothing was changed") from error
    return list(found)


def version_of(client: MlflowClient, name: str, number: str) -> ModelVersion:
    """Return a registered version.

    Raises:
        UsageError: there is none.
    """
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version(name, number)
    except MlflowException as error:
        raise UsageError(
            f"there is no version {number} of {name!r}",
            got=f"models:/{name}/{number}",
            expected=f"a registered model version in {client.tracking_uri}",
        ) from error


def holder_of(client: MlflowClient, name: str, target: str) -> ModelVersion | None:
    """Return the version that a target (`alias:champion`, `stage:Production`) points at; None where there is none."""
    import warnings

    from mlflow.exceptions import MlflowException

    sort, _, which = target.partition(":")
    if sort == "alias":
        named = client.get_registered_model(name).aliases
        aliases = {key.casefold(): number for key, number in named.items()} | named  # whom consumers get, before others
        return client.get_model_version(name, aliases[which]) if which in aliases else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's advice to leave stages, which registries still have
        try:
            latest = client.get_latest_versions(name, stages=[which])
        except MlflowException as error:
            raise UsageError(
                f"{name!r} has no stage {which!r}", got=target, expected="Staging or Production"
            ) from error
    return latest[0] if latest else None


def registered_models(client: MlflowClient) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield every registered model that is no prompt, with its aliases."""
    for model in every(client.search_registered_models, max_results=_AT_ONCE):
        yield model.name, tuple(sorted(model.aliases))


def _runs_that_heard(client: MlflowClient, files_digest: str) -> list[str]:
    experiments = [each.experiment_id for each in every(client.search_experiments)]
    heard = f"tags.`{FILES_DIGEST}` = '{files_digest}'"
    runs = every(client.search_runs, experiment_ids=experiments, filter_string=heard, max_results=_AT_ONCE)
    return [run.info.run_id for run in runs] if experiments else []


def _evidence_in(client: MlflowClient, run: str) -> list[str]:
    """Return the paths of a run's evidence files; none where the run is gone."""
    from mlflow.exceptions import MlflowException

    try:
        return list(_listed(client, run, ARTIFACT_FOLDER))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return []


def _listed(client: MlflowClient, run: str, folder: str, depth: int = 1) -> Iterator[str]:
    for each in client.list_artifacts(run, folder):
        if each.is_dir and depth < _DEEPEST:
            yield from _listed(client, run, each.path, depth + 1)
        elif each.path.endswith(SUFFIX):
            yield each.path
