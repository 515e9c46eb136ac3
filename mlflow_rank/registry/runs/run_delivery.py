"""Delivering points, tags and files of a monitor to its MLflow run: each point once, however often it is tried."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_rank.registry.runs.evidence_files import FOLDER as EVIDENCE
from mlflow_rank.registry.runs.evidence_files import SUFFIX
from mlflow_rank.registry.runs.monitor_metrics import ALARMS_OPEN
from mlflow_rank.registry.runs.run_claim import ARTIFACT_FOLDER, RecordedRun, experiment_id_of, portions
from mlflow_rank.registry.runs.undelivered import Belonging, Delivery

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

MONITOR_TAG = "mlflow_rank.monitor"  # whose points a run holds
MONITOR_FOLDER = f"{ARTIFACT_FOLDER}/monitor"
_METRICS_AT_ONCE = 1000  # mlflow.utils.validation.MAX_METRICS_PER_BATCH
_PARAMS_AT_ONCE = 100  # likewise MAX_PARAMS_TAGS_PER_BATCH
_LONGEST_PARAM = 500  # characters, as all stores of MLflow take them
_attaching = threading.Lock()  # two monitors of one process must not both find a run that has none


@dataclass(slots=True)
class RunDelivery:
    """The run that a monitor writes to, through a client of its store.

    `delivered` are the points that are known to be in the run, each by its step and its time (ms): a step that was
    trained again, after the training went back to an earlier checkpoint, is another point. MLflow keeps both in the
    history, and of two at one step it shows the newer. Whoever lost an answer calls `look` before trying again: the
    request may have been carried out.
    """

    client: MlflowClient
    run_id: str
    experiment_id: str
    own: bool
    delivered: set[tuple[int, int]] = field(default_factory=set)
    abandoned: frozenset[tuple[int, int]] = frozenset()
    tags: dict[str, str] = field(default_factory=dict)
    _stated: dict[str, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def attached(
        cls, client: MlflowClient, to: Belonging, first_step: int, resumed_at: int | None = None
    ) -> RunDelivery:
        """Find the run, or make one where none is named, and look which points are in it.

        A run that another monitor has marked gets a child run, unless these points continue that monitor's: no two
        charts share a name.

        Args:
            client: of the store.
            to: which run, and by which monitor.
            first_step: of what is to be delivered.
            resumed_at: the last step of the journal that the training goes on from: what the run has beyond it is of
                a branch that was abandoned. None where nothing is resumed.

        Raises:
            MlflowException: the store does not answer, or refuses; the run is gone.
            MeasurementError: the experiment is deleted.
        """
        with _attaching:
            return cls._attached(client, to, first_step, resumed_at)

    @classmethod
    def _attached(cls, client: MlflowClient, to: Belonging, first_step: int, resumed_at: int | None) -> RunDelivery:
        if to.run_id is None:
            return cls._made(client, to, experiment_id_of(client, to.experiment), {})
        there = client.get_run(to.run_id)
        delivery = cls(client, to.run_id, there.info.experiment_id, to.own)
        delivery.look()
        another = there.data.tags.get(MONITOR_TAG, to.monitor) != to.monitor
        if another and first_step <= max((step for step, _ in delivery.delivered), default=first_step):
            return cls._made(client, to, there.info.experiment_id, {"mlflow.parentRunId": to.run_id})
        client.set_tag(to.run_id, MONITOR_TAG, to.monitor)
        if to.own and there.info.status != "RUNNING":  # a training that was resumed
            client.update_run(to.run_id, status="RUNNING")
        if resumed_at is not None:
            delivery.abandoned = frozenset(each for each in delivery.delivered if each[0] > resumed_at)
            delivery.delivered -= delivery.abandoned
        return delivery

    @classmethod
    def _made(cls, client: MlflowClient, to: Belonging, experiment: str, tags: Mapping[str, str]) -> RunDelivery:
        from mlflow.tracking.context.registry import resolve_tags

        said = resolve_tags({**tags, MONITOR_TAG: to.monitor})
        # MLflow would draw a name from the generator that the training draws from
        made = client.create_run(experiment, tags=said, run_name=to.run_name or to.monitor)
        return cls(client, made.info.run_id, experiment, own=True)

    @property
    def recorded(self) -> RecordedRun:
        """The run as callers get to know it."""
        return RecordedRun(self.run_id, self.experiment_id, self.client.tracking_uri)

    def look(self) -> None:
        """Find out which points are in the run."""
        history = self.client.get_metric_history(self.run_id, ALARMS_OPEN)
        self.delivered = {(int(each.step), int(each.timestamp)) for each in history} - self.abandoned

    def describe(self, parameters: Mapping[str, str]) -> list[str]:
        """Write the parameters that the run does not have yet; return the names of those that it has otherwise.

        MLflow lets no parameter change.
        """
        from mlflow.entities import Param

        said = self.client.get_run(self.run_id).data.params
        cut = {name: value[:_LONGEST_PARAM] for name, value in parameters.items()}
        new = [Param(name, value) for name, value in cut.items() if name not in said]
        for some in portions(new, _PARAMS_AT_ONCE):
            self.client.log_batch(self.run_id, params=some)
        return [name for name, value in cut.items() if said.get(name, value) != value]

    def send(self, deliveries: Sequence[Delivery]) -> None:
        """Write the points that are not in the run yet, in as few requests as MLflow allows."""
        from mlflow.entities import Metric

        new = [each for each in deliveries if each.known_by not in self.delivered]
        for some in _full_batches(new):
            metrics: list[Metric] = [
                Metric(key, value, each.at, each.step) for each in some for key, value in each.metrics.items()
            ]
            for part in portions(metrics, _METRICS_AT_ONCE):
                self.client.log_batch(self.run_id, metrics=part)
            self.delivered.update(each.known_by for each in some)

    def tag(self, tags: Mapping[str, str]) -> None:
        """Write the tags that changed."""
        from mlflow.entities import RunTag

        changed = {name: value for name, value in tags.items() if self.tags.get(name) != value}
        if changed:
            self.client.log_batch(self.run_id, tags=[RunTag(name, value) for name, value in changed.items()])
            self.tags |= changed

    def send_files(self, folder: Path) -> None:
        """Write each file of a folder into the monitor's folder of the run, over what is there."""
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.is_file() and not path.name.startswith("."):
                self.client.log_artifact(self.run_id, str(path), MONITOR_FOLDER)

    def send_evidence(self, directory: Path) -> None:
        """Write the evidence files of a monitor's directory that are new or were written again, where evidence lies."""
        for path in sorted((directory / EVIDENCE).glob(f"*{SUFFIX}")):
            there = path.stat()
            written = (there.st_mtime_ns, there.st_size)
            if self._stated.get(path.name) == written:
                continue
            with tempfile.TemporaryDirectory(prefix="mlflow_rank-") as folder:  # it may be written to meanwhile
                copy = shutil.copyfile(path, Path(folder) / path.name)
                self.client.log_artifact(self.run_id, str(copy), f"{ARTIFACT_FOLDER}/{EVIDENCE}")
            self._stated[path.name] = written

    def end(self, status: str) -> None:
        """End the run where it is our own; one that was given goes on."""
        if self.own:
            self.client.set_terminated(self.run_id, status)


def process_run() -> tuple[str, str] | None:
    """Return the tracking URI and the id of the run that this thread has begun, or that `mlflow run` made."""
    import mlflow

    active = mlflow.active_run()
    run_id = os.environ.get("MLFLOW_RUN_ID") if active is None else active.info.run_id
    return None if run_id is None else (mlflow.get_tracking_uri(), run_id)


def _full_batches(deliveries: Iterable[Delivery]) -> list[list[Delivery]]:
    """Return points put together so that each request is as full as it may be; a large point is alone."""
    batches: list[list[Delivery]] = []
    room = 0
    for each in deliveries:
        if len(each.metrics) > room or not batches:
            batches.append([])
            room = _METRICS_AT_ONCE
        batches[-1].append(each)
        room -= len(each.metrics)
    return batches
