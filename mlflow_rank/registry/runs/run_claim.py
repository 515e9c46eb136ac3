"""The MLflow run that one result writes to: found, claimed for it alone, and ended."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mlflow_rank.errors import MeasurementError, UsageError
from mlflow_rank.registry.clients.connection import connected_client, quiet_mlflow, unreachable

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput

Value = TypeVar("Value")
DEFAULT_EXPERIMENT = "mlflow_rank"
ARTIFACT_FOLDER = "mlflow_rank"
MODEL_DIGEST = "mlflow_rank.model_digest"  # the tag that says which weights the numbers of a run are of
FILES_DIGEST = "mlflow_rank.files_digest"  # likewise its files, which evidence is bound to
_PARAMS_AT_ONCE = 100  # mlflow.utils.validation.MAX_PARAMS_TAGS_PER_BATCH
_METRICS_AT_ONCE = 1000  # likewise MAX_METRICS_PER_BATCH
FILES_OF_OUR_OWN = frozenset(
    {
        "measurement.json", "control.json", "layers.parquet", "skipped.jsonl",
        "pilot.json", "pilot.parquet", "splits.json", "pilot_skipped.jsonl",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Destination:
    """Where in MLflow a result goes.

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
    """The run that holds a result; its metrics have the time `logged_at` (ms of Unix time) and `step`."""

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


@dataclass(frozen=True, slots=True)
class Claim:
    """What a result says of itself when it asks for a run.

    `kind` is `measurement`, `pilot` or `study.` and a verb: a run holds one of each (per step). `digest` names the
    document, `model_digest` the weights it is about (None: not known), `run_name` a run made for it.
    """

    kind: str
    digest: str
    model_digest: str | None
    run_name: str


@dataclass(frozen=True, slots=True)
class ClaimedRun:
    """A run in which one result alone writes numbers of its kind; `own` ones are also ended by it."""

    client: MlflowClient
    run_id: str
    experiment_id: str
    own: bool
    step: int | None
    logged_at: int
    params: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Where in the run the artifacts go; checkpoints sort by step (ten digits: more steps than anyone trains)."""
        return ARTIFACT_FOLDER if self.step is None else f"{ARTIFACT_FOLDER}/step_{self.step:010d}"

    @property
    def recorded(self) -> RecordedRun:
        """The run as the caller gets to know it."""
        return RecordedRun(
            self.run_id, self.experiment_id, self.client.tracking_uri, self.logged_at, step=self.step or 0
        )

    def log_values(
        self,
        *,
        metrics: Mapping[str, float],
        params: Mapping[str, str],
        tags: Mapping[str, str],
        inputs: Sequence[DatasetInput],
    ) -> None:
        """Write numbers, parameters, tags and audio sets.

        What a run already says of the model stays: a measurement and a pilot of one model share those parameters, and
        MLflow lets none change.
        """
        from mlflow.entities import Metric, Param, RunTag

        said = {key for key in self.params if key.startswith("model.")}
        new = [Param(key, value) for key, value in params.items() if key not in said]
        self.client.log_batch(self.run_id, tags=[RunTag(key, value) for key, value in tags.items()])
        for some in portions(new, _PARAMS_AT_ONCE):
            self.client.log_batch(self.run_id, params=some)
        points = [Metric(key, value, self.logged_at, self.step or 0) for key, value in metrics.items()]
        for each in portions(points, _METRICS_AT_ONCE):
            self.client.log_batch(self.run_id, metrics=each)
        if inputs:
            self.client.log_inputs(self.run_id, datasets=list(inputs))

    def log_files(self, folder: Path, artifacts: Sequence[Path]) -> None:
        """Write everything in `folder`, and each further file, under the run's folder."""
        self.client.log_artifacts(self.run_id, str(folder), self.folder)
        for path in artifacts:
            self.client.log_artifact(self.run_id, str(path), self.folder)

    def end(self, status: str) -> None:
        """End the run where it is our own; one that was given goes on."""
        if not self.own:
            return
        if status == "FINISHED":
            self.client.set_terminated(self.run_id, status)
            return
        with suppress(Exception):  # the error that brought us here is the one to show
            self.client.set_terminated(self.run_id, status)


@contextmanager
def claimed_run(
    claim: Claim, destination: Destination, *, kept_at: Path | None, clock: Callable[[], float] = time.time
) -> Iterator[ClaimedRun]:
    """Give the run to write to, and end it: as finished, or as failed where writing raises.

    The run given is used where it holds no result of the same kind (and step) and nothing about other weights;
    otherwise a child run of it is made, so that numbers of two results never share a name.

    Args:
        claim: what asks for a run.
        destination: where in MLflow.
        kept_at: where the caller has already written the result, for the error to name.
        clock: gives the time the metrics are stamped with, in seconds of Unix time; nothing is decided by it.

    Raises:
        MeasurementError: the store cannot be reached or refuses (exit 3); the error says where the results are kept.

    """
    import mlflow

    safe = f"the results are kept at {kept_at}" if kept_at is not None else "nothing else was written"
    client = connected_client(destination.tracking_uri, what_is_safe=safe)
    try:
        with quiet_mlflow():
            run = _claimed(client, claim, destination, int(clock() * 1000))  # MLflow counts milliseconds
            try:
                yield run
            except BaseException:
                run.end("FAILED")
                raise
            run.end("FINISHED")
    except mlflow.exceptions.MlflowException as error:
        raise unreachable(client.tracking_uri, error, what_is_safe=safe) from error


def check_artifacts(artifacts: Sequence[Path]) -> None:
    """Refuse files that do not exist or whose names are taken.

    Raises:
        UsageError: a file is missing, or a name is used twice or by a file of our own.

    """
    names = [path.name for path in artifacts]
    missing = [str(path) for path in artifacts if not path.is_file()]
    taken = sorted({name for name in names if names.count(name) > 1 or name in FILES_OF_OUR_OWN})
    if missing or taken:
        raise UsageError(
            "these files cannot be kept with the run",
            got=", ".join(
                [*(f"{path} (no such file)" for path in missing), *(f"{name} (name taken)" for name in taken)]
            ),
            expected="files that exist, under names of their own",
        )


def _claimed(client: MlflowClient, claim: Claim, destination: Destination, logged_at: int) -> ClaimedRun:
    from mlflow.tracking.context.registry import resolve_tags

    step = destination.step
    tag = f"mlflow_rank.{claim.kind}" if step is None else f"mlflow_rank.{claim.kind}.step_{step}"
    given = destination.run_id or os.environ.get("MLFLOW_RUN_ID")
    tags = {tag: claim.digest}
    if given is None:
        experiment_id = experiment_id_of(client, destination.experiment)
    else:
        there = client.get_run(given)
        experiment_id = there.info.experiment_id
        if tag not in there.data.tags and not _of_other_weights(there.data.tags, claim, step):
            client.set_tag(given, tag, claim.digest)
            return ClaimedRun(client, given, experiment_id, False, step, logged_at, dict(there.data.params))
        tags["mlflow.parentRunId"] = given
    name = destination.run_name or claim.run_name
    made = client.create_run(experiment_id, tags=resolve_tags(tags), run_name=name)  # adds who, from where, commit
    return ClaimedRun(client, made.info.run_id, experiment_id, True, step, logged_at)


def portions(values: Sequence[Value], size: int) -> Iterator[Sequence[Value]]:
    """Yield the values in order, at most `size` at once."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _of_other_weights(tags: Mapping[str, str], claim: Claim, step: int | None) -> bool:
    """Say whether the run is about another model; a monitored run is about many, one a step."""
    there = tags.get(MODEL_DIGEST)
    return step is None and None not in (there, claim.model_digest) and there != claim.model_digest


def experiment_id_of(client: MlflowClient, name: str | None) -> str:
    """Return the id of an experiment, made where there is none; None: the one by the environment, else `mlflow_rank`.

    Raises:
        MeasurementError: it is deleted.
    """
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
