"""A measurement in MLflow: one run with its metrics, parameters, audio set and artifacts."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_rank.errors import MeasurementError, UsageError
from mlflow_rank.registry.connection import connected_client, quiet_mlflow, unreachable
from mlflow_rank.registry.layer_table import write_layer_table
from mlflow_rank.registry.measured_rank import Document
from mlflow_rank.registry.metric_names import metrics_of
from mlflow_rank.registry.run_terms import audio_input, digest_of, params_of, run_name_of, skipped_of, tags_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

DEFAULT_EXPERIMENT = "mlflow_rank"
ARTIFACT_FOLDER = "mlflow_rank"

_FILES_OF_OUR_OWN = frozenset({"measurement.json", "control.json", "layers.parquet", "skipped.jsonl"})


@dataclass(frozen=True, slots=True)
class Destination:
    """Where in MLflow a measurement goes.

    `tracking_uri`, None for MLflow's own choice. `run_id` is a run to write into, None for the one `mlflow run` made
    (`MLFLOW_RUN_ID`) or else a new run named `run_name` in `experiment` (None: `MLFLOW_EXPERIMENT_NAME` or
    `MLFLOW_EXPERIMENT_ID`, else `mlflow_rank`). `step` is the training step of a monitored checkpoint.
    """

    tracking_uri: str | None = None
    experiment: str | None = None
    run_name: str | None = None
    run_id: str | None = None
    step: int | None = None


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """The run that holds a measurement; its metrics have the time `logged_at` (ms of Unix time) and `step`."""

    run_id: str
    experiment_id: str
    tracking_uri: str
    logged_at: int = 0
    step: int = 0

    @property
    def where(self) -> str:
        """The address of the run on a server, or the command that shows a local store.

        >>> RecordedRun("8f", "1", "http://mlflow.example:5000").where
        'http://mlflow.example:5000/#/experiments/1/runs/8f'
        """
        if self.tracking_uri.startswith(("http://", "https://")):
            return f"{self.tracking_uri.rstrip('/')}/#/experiments/{self.experiment_id}/runs/{self.run_id}"
        default = f"sqlite:///{Path.cwd() / 'mlflow.db'}"
        if self.tracking_uri in {"sqlite:///mlflow.db", default}:
            return "mlflow ui"
        return f"mlflow ui --backend-store-uri {self.tracking_uri}"


def record_measurement(
    document: Document,
    *,
    control: Document | None = None,
    artifacts: Sequence[Path] = (),
    destination: Destination | None = None,
    kept_at: Path | None = None,
    clock: Callable[[], float] = time.time,
) -> RecordedRun:
    """Record a measurement in a run and return the run.

    A run holds one measurement (per `step`): a second one given the same run goes into a child run of it, so numbers
    of two measurements never share a name. Metrics are those of `metric_names.LOGGED`; what is not a finite number
    is not logged. Under `mlflow_rank/` (for a step, in a folder of its own there) lie `measurement.json`,
    `layers.parquet`, `skipped.jsonl`, `control.json` and the files in `artifacts`.

    Args:
        document: the measurement, JSON-ready.
        control: the measurement of the same architecture with random weights.
        artifacts: further files, such as figures; their names must differ.
        destination: where in MLflow; by default where MLflow itself would write.
        kept_at: where the caller has already written the document, for the error to name.
        clock: gives the time the metrics are stamped with, in seconds of Unix time; nothing is decided by it.

    Raises:
        MeasurementError: the store cannot be reached or refuses (exit 3); the error says where the results are kept.
        UsageError: the document is no measurement, holds a number that is not finite, or an artifact is missing.

    """
    import mlflow

    destination = destination or Destination()
    metrics = metrics_of(document, control)
    document_digest = digest_of(document)
    _check_artifacts(artifacts)
    safe = f"the results are kept at {kept_at}" if kept_at is not None else "nothing else was written"
    client = connected_client(destination.tracking_uri, what_is_safe=safe)
    try:
        with quiet_mlflow():
            run = _Run.claim(client, destination, document, document_digest)
            try:
                logged_at = int(clock() * 1000)  # MLflow counts milliseconds
                _log_values(client, run, document, control, metrics, logged_at)
                _log_files(client, run, document, control, artifacts)
            except BaseException:
                run.end(client, "FAILED")
                raise
            run.end(client, "FINISHED")
    except mlflow.exceptions.MlflowException as error:
        raise unreachable(client.tracking_uri, error, what_is_safe=safe) from error
    return RecordedRun(run.run_id, run.experiment_id, client.tracking_uri, logged_at, run.step or 0)


@dataclass(frozen=True, slots=True)
class _Run:
    """A run that this measurement alone writes to; `own` ones are also ended by it."""

    run_id: str
    experiment_id: str
    own: bool
    step: int | None

    @classmethod
    def claim(cls, client: MlflowClient, destination: Destination, document: Document, digest: str) -> _Run:
        from mlflow.tracking.context.registry import resolve_tags

        step = destination.step
        claim = "mlflow_rank.measurement" if step is None else f"mlflow_rank.measurement.step_{step}"
        given = destination.run_id or os.environ.get("MLFLOW_RUN_ID")
        tags = {claim: digest}
        if given is None:
            experiment_id = _experiment_id(client, destination.experiment)
        else:
            info = client.get_run(given)
            experiment_id = info.info.experiment_id
            if claim not in info.data.tags:
                client.set_tag(given, claim, digest)
                return cls(given, experiment_id, own=False, step=step)
            tags["mlflow.parentRunId"] = given
        name = destination.run_name or run_name_of(document)
        made = client.create_run(experiment_id, tags=resolve_tags(tags), run_name=name)  # adds who, from where, commit
        return cls(made.info.run_id, experiment_id, own=True, step=step)

    @property
    def folder(self) -> str:
        """Where in the run the artifacts go; checkpoints sort by step (ten digits: more steps than anyone trains)."""
        return ARTIFACT_FOLDER if self.step is None else f"{ARTIFACT_FOLDER}/step_{self.step:010d}"

    def end(self, client: MlflowClient, status: str) -> None:
        if not self.own:
            return
        if status == "FINISHED":
            client.set_terminated(self.run_id, status)
            return
        with suppress(Exception):  # the error that brought us here is the one to show
            client.set_terminated(self.run_id, status)


def _log_values(
    client: MlflowClient,
    run: _Run,
    document: Document,
    control: Document | None,
    metrics: Mapping[str, float],
    logged_at: int,
) -> None:
    from mlflow.entities import Metric, Param, RunTag

    client.log_batch(
        run.run_id,
        metrics=[Metric(key, value, logged_at, run.step or 0) for key, value in metrics.items()],
        params=[Param(key, value) for key, value in params_of(document, run.step).items()],
        tags=[RunTag(key, value) for key, value in tags_of(document, control).items()],
    )
    client.log_inputs(run.run_id, datasets=[audio_input(document)])


def _log_files(
    client: MlflowClient, run: _Run, document: Document, control: Document | None, artifacts: Sequence[Path]
) -> None:
    with tempfile.TemporaryDirectory(prefix="mlflow_rank-") as folder:
        _write_files(Path(folder), document, control)
        client.log_artifacts(run.run_id, folder, run.folder)
    for path in artifacts:
        client.log_artifact(run.run_id, str(path), run.folder)


def _write_files(folder: Path, document: Document, control: Document | None) -> None:
    (folder / "measurement.json").write_text(json.dumps(document, indent=1, allow_nan=False), encoding="utf-8")
    if control is not None:
        (folder / "control.json").write_text(json.dumps(control, indent=1, allow_nan=False), encoding="utf-8")
    write_layer_table(document, folder / "layers.parquet", control=control)
    with (folder / "skipped.jsonl").open("w", encoding="utf-8") as lines:
        lines.writelines(json.dumps(entry) + "\n" for entry in skipped_of(document))


def _experiment_id(client: MlflowClient, name: str | None) -> str:
    from mlflow.exceptions import MlflowException

    if name is None and "MLFLOW_EXPERIMENT_ID" in os.environ:
        return os.environ["MLFLOW_EXPERIMENT_ID"]
    name = name or os.environ.get("MLFLOW_EXPERIMENT_NAME") or DEFAULT_EXPERIMENT
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException:  # another process has just made it
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    if experiment.lifecycle_stage == "deleted":
        raise MeasurementError(
            f"the MLflow experiment {name!r} is deleted",
            expected="an active experiment, or a name not used yet",
            remedy="restore it with `mlflow experiments restore`, or choose another with --experiment",
        )
    return str(experiment.experiment_id)


def _check_artifacts(artifacts: Sequence[Path]) -> None:
    names = [path.name for path in artifacts]
    missing = [str(path) for path in artifacts if not path.is_file()]
    taken = sorted({name for name in names if names.count(name) > 1 or name in _FILES_OF_OUR_OWN})
    if missing or taken:
        raise UsageError(
            "these files cannot be kept with the run",
            got=", ".join(
                [*(f"{path} (no such file)" for path in missing), *(f"{name} (name taken)" for name in taken)]
            ),
            expected="files that exist, under names of their own",
        )
