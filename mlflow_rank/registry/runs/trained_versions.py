"""The versions of a registered model as checkpoints of a training: which there are, and at which step each was made."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlflow_rank.errors import UsageError
from mlflow_rank.monitoring.arrivals import PATIENCE
from mlflow_rank.registry.clients.connection import quiet_mlflow, unreachable
from mlflow_rank.registry.runs.pages import every

if TYPE_CHECKING:
    from mlflow import MlflowClient

TRAINING_STEP = "training_step"  # of a version: a tag; of its run: a tag or a parameter
_AT_ONCE = 200  # versions on a page; MLflow's own default


@dataclass(frozen=True, slots=True)
class TrainedVersion:
    """A registered version.

    `step` is the training step that its tag `training_step`, or else its run's tag or parameter of that name, says;
    None where neither does. `created` is in seconds of Unix time; `ready` says whether its files are registered.
    """

    model: str
    number: int
    step: int | None
    run_id: str | None
    created: float
    ready: bool

    @property
    def address(self) -> str:
        """How MLflow names it."""
        return f"models:/{self.model}/{self.number}"


@dataclass(slots=True)
class TrainedVersions:
    """Lists the versions of a model, again and again.

    A run that says a step is asked once; one that says none is asked again, as its tag may come later, until its
    version is `patience` seconds old.
    """

    client: MlflowClient
    model: str
    patience: float = PATIENCE
    _steps: dict[str, int] = field(default_factory=dict)
    _stepless: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, client: MlflowClient, model: str, *, patience: float = PATIENCE) -> TrainedVersions:
        """Return those of a registered model.

        Raises:
            UsageError: there is no such model.
            MeasurementError: the store cannot be reached.
        """
        from mlflow.exceptions import MlflowException

        try:
            with quiet_mlflow():
                client.get_registered_model(model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise unreachable(client.tracking_uri, error, what_is_safe="nothing was written") from error
            raise UsageError(
                f"there is no registered model {model!r}",
                got=f"models:/{model}",
                expected=f"a registered model in {client.tracking_uri}",
                remedy="register its first version, then watch the others come",
            ) from error
        return cls(client, model, patience)

    def listed(self) -> list[TrainedVersion]:
        """Return all there are now, by number.

        Raises:
            MeasurementError: the store cannot be reached.
        """
        from mlflow.exceptions import MlflowException

        try:
            with quiet_mlflow():
                quoted = self.model.replace("'", "\\'")
                found = every(self.client.search_model_versions, f"name = '{quoted}'", max_results=_AT_ONCE)
                versions = [self._read(version) for version in found]
        except MlflowException as error:
            safe = "what was judged is kept"
            raise unreachable(self.client.tracking_uri, error, what_is_safe=safe) from error
        return sorted(versions, key=lambda version: version.number)

    def _read(self, version: Any) -> TrainedVersion:
        number, step = int(version.version), _whole(version.tags.get(TRAINING_STEP))
        created = (version.creation_timestamp or 0) / 1000  # MLflow counts milliseconds
        if step is None and version.run_id and number not in self._stepless:
            step = self._step_of_run(version.run_id)
            if step is None and time.time() - created >= self.patience:
                self._stepless.add(number)
        return TrainedVersion(self.model, number, step, version.run_id or None, created, version.status == "READY")

    def _step_of_run(self, run_id: str) -> int | None:
        from mlflow.exceptions import MlflowException

        if run_id not in self._steps:
            try:
                data = self.client.get_run(run_id).data
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                return None
            step = _whole(data.tags.get(TRAINING_STEP) or data.params.get(TRAINING_STEP))
            if step is None:
                return None
            self._steps[run_id] = step
        return self._steps[run_id]


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.strip().isdecimal() else None
