"""Documents of measurements and pilots in MLflow runs, found again; and what their runs say of the training.

Anybody may write artifacts and tags: what is found here is for studies to look at, and for nothing to be decided by.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_rank.errors import UsageError
from mlflow_rank.registry.clients.connection import quiet_mlflow, unreachable
from mlflow_rank.registry.runs.measured_rank import Document, finite
from mlflow_rank.registry.runs.monitor_metrics import LOSS
from mlflow_rank.registry.runs.pages import every
from mlflow_rank.registry.runs.run_claim import ARTIFACT_FOLDER
from mlflow_rank.registry.runs.trained_versions import TRAINING_STEP

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

EXPERIMENT = "experiment:"
TRAINING_RUN = "training_run"  # a tag: which training a run's checkpoint, or a version, comes of
PARENT = "mlflow.parentRunId"
LOSSES = (LOSS, "loss", "train_loss")  # metrics, the first that there is
_CLAIMED = re.compile(r"mlflow_rank\.(?P<kind>measurement|pilot)(?:\.step_(?P<step>[0-9]{1,18}))?")
_FILES = {"measurement": "measurement.json", "pilot": "pilot.json"}
_NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # the latter of what can be no id or path
_AT_ONCE = 200  # runs on a page


@dataclass(frozen=True, slots=True)
class RunDocument:
    """A measurement or pilot that a run holds; `step` is that of its folder, None where it lies in none."""

    run: Run
    kind: str
    step: int | None
    document: Document


@dataclass(slots=True)
class DocumentedRuns:
    """Finds documents in the runs of a store; `damaged` lists what cannot be read, each with its cause."""

    client: MlflowClient
    damaged: list[tuple[str, str]] = field(default_factory=list)
    _losses: dict[str, Mapping[int, float]] = field(default_factory=dict)
    _runs: dict[str, Run | None] = field(default_factory=dict)

    def named(self, asked: Sequence[str]) -> list[Run]:
        """Return the runs of ids with their child runs, and all of experiments (`experiment:NAME`), each once.

        Raises:
            UsageError: there is no such run or experiment.
            MeasurementError: the store cannot be reached.
        """
        found: dict[str, Run] = {}
        with self._answering():
            for name in asked:
                runs = self._of_experiment(name) if name.startswith(EXPERIMENT) else self._with_children(name)
                found |= {run.info.run_id: run for run in runs}
        return list(found.values())

    def tagged(self, tag: str, value: str) -> list[Run]:
        """Return the runs of all experiments that have a tag of this value.

        Raises:
            MeasurementError: the store cannot be reached.
        """
        with self._answering():
            experiments = [each.experiment_id for each in every(self.client.search_experiments)]
            return list(self._searched(experiments, f"tags.`{tag}` = '{_quoted(value)}'")) if experiments else []

    def run(self, run_id: str) -> Run | None:
        """Return a run; None where it is gone.

        Raises:
            MeasurementError: the store cannot be reached.
        """
        from mlflow.exceptions import MlflowException

        if run_id not in self._runs:
            with self._answering():
                try:
                    self._runs[run_id] = self.client.get_run(run_id)
                except MlflowException as error:
                    if error.error_code not in _NOT_THERE:
                        raise
                    self._runs[run_id] = None
        return self._runs[run_id]

    def documents(self, run: Run) -> list[RunDocument]:
        """Return the measurements and pilots of a run, as its tags say that it has them.

        Raises:
            MeasurementError: the store cannot be reached.
        """
        found = []
        with self._answering():
            for tag in sorted(run.data.tags):
                claimed = _CLAIMED.fullmatch(tag)
                if claimed is None:
                    continue
                kind, step = claimed["kind"], None if claimed["step"] is None else int(claimed["step"])
                document = self._read(run, kind, step)
                if document is not None:
                    found.append(RunDocument(run, kind, step, document))
        return found

    def loss_at(self, run_id: str, step: int) -> float | None:
        """Return the loss that a run logged last, at a step or before it; None where it logged none.

        Raises:
            MeasurementError: the store cannot be reached.
        """
        if run_id not in self._losses:
            self._losses[run_id] = self._logged(run_id)
        before = [at for at in self._losses[run_id] if at <= step]
        return self._losses[run_id][max(before)] if before else None

    def _logged(self, run_id: str) -> Mapping[int, float]:
        run = self.run(run_id)
        metric = next((name for name in LOSSES if run is not None and name in run.data.metrics), None)
        if metric is None:
            return {}
        with self._answering():
            history = sorted(self.client.get_metric_history(run_id, metric), key=lambda each: each.timestamp)
        known = ((each.step, finite(each.value)) for each in history)
        return {step: value for step, value in known if value is not None}

    def _read(self, run: Run, kind: str, step: int | None) -> Document | None:
        from mlflow.exceptions import MlflowException

        folder = ARTIFACT_FOLDER if step is None else f"{ARTIFACT_FOLDER}/step_{step:010d}"
        path = f"{folder}/{_FILES[kind]}"
        try:
            with tempfile.TemporaryDirectory(prefix="mlflow_rank-") as place:
                file = self.client.download_artifacts(run.info.run_id, path, place)
                document = json.loads(Path(file).read_text(encoding="utf-8"))
        except MlflowException as error:
            if error.error_code not in _NOT_THERE:
                raise
            self.damaged.append((_called(run), f"it has no {path}"))
        except (OSError, ValueError) as error:  # a store of files says so by errors of the system
            self.damaged.append((_called(run), f"{path} cannot be read: {str(error).partition(chr(10))[0][:200]}"))
        else:
            if isinstance(document, dict):
                return document
            self.damaged.append((_called(run), f"{path} is no document"))
        return None

    def _of_experiment(self, asked: str) -> list[Run]:
        name = asked.removeprefix(EXPERIMENT)
        experiment = self.client.get_experiment_by_name(name)
        if experiment is None:
            known = ", ".join(each.name for each in self.client.search_experiments(max_results=10))
            raise UsageError(f"there is no experiment {name!r}", got=asked, expected=f"one of {known}")
        return list(self._searched([experiment.experiment_id]))

    def _with_children(self, run_id: str) -> list[Run]:
        run = self.run(run_id)
        if run is None:
            raise UsageError(
                f"there is no run {run_id}",
                got=f"--runs {run_id}",
                expected=f"the id of a run in {self.client.tracking_uri}, or {EXPERIMENT}NAME",
            )
        return [run, *self._searched([run.info.experiment_id], f"tags.`{PARENT}` = '{_quoted(run_id)}'")]

    def _searched(self, experiments: list[str], wanted: str = "") -> Iterator[Run]:
        search = self.client.search_runs
        for run in every(search, experiment_ids=experiments, filter_string=wanted, max_results=_AT_ONCE):
            self._runs[run.info.run_id] = run
            yield run

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Turn what MLflow raises into an error that says that nothing was lost."""
        from mlflow.exceptions import MlflowException

        try:
            with quiet_mlflow():
                yield
        except MlflowException as error:
            raise unreachable(self.client.tracking_uri, error, what_is_safe="nothing was changed") from error


def step_said(run: Run) -> int | None:
    """Return the training step that a run's tag or parameter says, None where neither does."""
    said = run.data.tags.get(TRAINING_STEP) or run.data.params.get(TRAINING_STEP)
    return int(said) if said is not None and said.strip().isdecimal() else None


def _called(run: Run) -> str:
    return f"run {run.info.run_name or run.info.run_id} ({run.info.run_id[:8]})"


def _quoted(value: str) -> str:
    return value.replace("'", "\\'")
