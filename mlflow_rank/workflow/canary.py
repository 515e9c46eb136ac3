"""A canary, sent to a registry: calls that a gate must refuse, really made, each undone if it went through."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlflow_rank.registry.clients.connection import quiet_mlflow, speaking_to
from mlflow_rank.registry.gate.tag_parcel import PREFIX
from mlflow_rank.registry.server.canary_name import CanaryName

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOOK_ALIKE = "\u0441hampion"  # Cyrillic es, which reads as `champion`
RESERVED = f"{PREFIX}evidence.x"
_REFUSED = "Refused: "
_SECTION = "model"  # the artifact of the run that the version is made of
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Attempt:
    """A call that the gate must refuse: what it tries, and what came of it.

    Attributes:
        what: it tries, such as `alias champion`.
        said: the server's words; None where the call went through.
        by_gate: whether the gate said them.
        undone: whether what went through was taken back; None where nothing did.
    """

    what: str
    said: str | None
    by_gate: bool
    undone: bool | None = None

    @property
    def decision(self) -> str | None:
        """The id of the decision that a refusal names; None where no policy was asked."""
        head, mark, last = (self.said or "").rpartition("; decision ")
        return last.strip() if mark and head else None


@dataclass(slots=True)
class Flight:
    """What a canary came by: its attempts, or why there were none, and what of it could not be deleted."""

    name: str
    attempts: list[Attempt] = field(default_factory=list)
    grounded: str | None = None
    left: list[str] = field(default_factory=list)

    @property
    def went_through(self) -> Sequence[Attempt]:
        """The calls that nobody refused."""
        return [each for each in self.attempts if each.said is None]


def fly(client: MlflowClient, named: CanaryName, say: Say, look: Callable[[Flight], None]) -> Flight:
    """Register a model and a version, try what must be refused, and delete everything again, also after Ctrl-C.

    Args:
        client: of the registry, with MLflow's own credentials.
        named: what to call it, and which moves must be refused.
        say: told what could not be deleted.
        look: called after the attempts, while the model is there for whoever may read it.
    """
    flight = Flight(named.name)
    undo: list[tuple[str, Callable[[], object]]] = []
    try:
        with quiet_mlflow(), _without_advice(), speaking_to(str(client.tracking_uri)):
            version = _hatched(client, flight, undo)
            if version is not None:
                for attempt in _attempts(client, named, version):
                    flight.attempts.append(attempt)
                look(flight)
    finally:
        with quiet_mlflow(), _without_advice(), speaking_to(str(client.tracking_uri)):
            for what, delete in reversed(undo):
                problem = _tried(delete)
                if problem is not None:
                    flight.left.append(f"{what}: {problem}")
                    say(f"the canary's {what} could not be deleted: {problem}")
    return flight


def _hatched(client: MlflowClient, flight: Flight, undo: list[tuple[str, Callable[[], object]]]) -> str | None:
    """Make the model and its version; return its number, None where this user may not, or the server cannot."""
    from mlflow.exceptions import MlflowException

    name = flight.name
    try:
        client.create_registered_model(name, description="mlflow-rank doctor tries the gate with this, and deletes it")
        undo.append((f"model {name}", lambda: client.delete_registered_model(name)))
        experiment = client.create_experiment(name)
        place = str(client.get_experiment(experiment).artifact_location)
        undo.append((f"experiment {name}", lambda: client.delete_experiment(experiment)))
        run = client.create_run(experiment).info
        undo.append((f"run {run.run_id}", lambda: client.delete_run(run.run_id)))
        written = _tried(lambda: client.log_text(run.run_id, "a canary", f"{_SECTION}/canary.txt"))
        if written is None:
            own = place.rstrip("/").endswith(f"/{experiment}")  # as MLflow chooses it: nobody else's files are there
            undo.append((f"file in {run.artifact_uri}", lambda: _delete_files(place if own else run.artifact_uri)))
        source = f"{run.artifact_uri}/{_SECTION}"
        version = client.create_model_version(name, source, run.run_id, await_creation_for=0).version
    except MlflowException as error:
        flight.grounded = _words(error)
        return None
    undo.append((f"version {version} of {name}", lambda: client.delete_model_version(name, str(version))))
    return str(version)


def _attempts(client: MlflowClient, named: CanaryName, version: str) -> Iterator[Attempt]:
    """Make each call that must be refused."""
    name = named.name
    if "alias:champion" in named.refused:
        yield _attempt(
            "alias champion",
            lambda: client.set_registered_model_alias(name, "champion", version),
            lambda: client.delete_registered_model_alias(name, "champion"),
        )
        yield _attempt(
            "look-alike alias \\u0441hampion",
            lambda: client.set_registered_model_alias(name, LOOK_ALIKE, version),
            lambda: client.delete_registered_model_alias(name, LOOK_ALIKE),
        )
    if "stage:Production" in named.refused:
        yield _attempt(
            "stage Production",
            lambda: client.transition_model_version_stage(name, version, "Production"),
            lambda: client.transition_model_version_stage(name, version, "None"),
        )
    yield _attempt(
        f"tag {RESERVED}",
        lambda: client.set_model_version_tag(name, version, RESERVED, "no evidence"),
        lambda: client.delete_model_version_tag(name, version, RESERVED),
    )


def _attempt(what: str, call: Callable[[], object], undo: Callable[[], object]) -> Attempt:
    from mlflow.exceptions import MlflowException

    try:
        call()
    except MlflowException as error:
        said = _words(error)
        return Attempt(what, said, error.error_code == "PERMISSION_DENIED" and said.startswith(_REFUSED))
    except BaseException:  # Ctrl-C while the server answered: nobody knows whether it went through
        _tried(undo)
        raise
    return Attempt(what, None, False, _tried(undo) is None)


def _tried(call: Callable[[], object]) -> str | None:
    """Make a call, and return why it failed; whatever MLflow, a driver or a store of artifacts raises."""
    try:
        call()
    except Exception as error:
        return _words(error)
    return None


def _delete_files(place: str) -> None:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    get_artifact_repository(place).delete_artifacts()


def _words(error: Exception) -> str:
    said = " ".join(str(getattr(error, "message", error)).split()) or type(error).__name__
    return said.removeprefix("PERMISSION_DENIED: ")[:300]


@contextmanager
def _without_advice() -> Iterator[None]:
    """Leave out MLflow's advice against stages, which registries still have."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
