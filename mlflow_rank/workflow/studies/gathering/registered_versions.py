"""What is known of the versions of registered models: documents of the runs that heard them, by training step."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_rank.errors import MlflowRankError, UsageError
from mlflow_rank.registry.runs.evidence_files import version_of
from mlflow_rank.registry.runs.measured_rank import section
from mlflow_rank.registry.runs.resolve import resolve_model
from mlflow_rank.registry.runs.run_claim import FILES_DIGEST, MODEL_DIGEST
from mlflow_rank.registry.runs.run_documents import PARENT, TRAINING_RUN, DocumentedRuns, RunDocument
from mlflow_rank.registry.runs.run_terms import model_digest_of
from mlflow_rank.registry.runs.trained_versions import TrainedVersion, TrainedVersions
from mlflow_rank.workflow.model_files import hashed
from mlflow_rank.workflow.progress import Progress
from mlflow_rank.workflow.studies.gathering.observing import Assessed
from mlflow_rank.workflow.studies.gathering.recorded_runs import newest
from mlflow_rank.workflow.studies.gathering.window import Window

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

MODELS = "models:/"
_BOTH = {"measurement", "pilot"}


@dataclass(frozen=True, slots=True)
class PlacedVersion:
    """A registered version: of which training it is a checkpoint, its step there, and the loss that was logged."""

    version: TrainedVersion
    run: str
    step: int
    loss: float | None

    def identity(self) -> str:
        """Return what it is known by: when it was made, too, as the number of a deleted model is given again."""
        return f"{self.version.address} of {self.version.created:.3f}"


@dataclass(slots=True)
class RegisteredVersions:
    """Reads what is known of versions; `left_out` says of which nothing could be taken, and why."""

    runs: DocumentedRuns
    progress: Progress
    left_out: list[tuple[str, str]] = field(default_factory=list)
    _tags: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def placed(self, models: Sequence[str]) -> list[PlacedVersion]:
        """Return the versions of models (`models:/NAME`) by training and step.

        A version's training is what its tag or its run's tag `training_run` says, else the parent of its run, else the
        model. Where no version of a model has a training step, its number stands for it.

        Raises:
            UsageError: a text names no registered model, or there are no versions.
            MeasurementError: the store cannot be reached.
        """
        found = [each for model in models for each in self._of_model(_name_of(model))]
        if not found:
            raise UsageError("there are no versions", got=", ".join(models), expected="models with versions")
        return found

    def assessed(self, placed: Sequence[PlacedVersion]) -> tuple[list[Assessed], list[PlacedVersion]]:
        """Return what is known of versions, and those of which a measurement or a pilot is lacking.

        Raises:
            MeasurementError: the store cannot be reached.
        """
        known, lacking = [], []
        for each in placed:
            documents = newest(self._documents(each.version))
            if documents.keys() >= _BOTH:
                whole = (documents["measurement"].document, documents["pilot"].document)
                known.append(Assessed(each.run, each.step, each.loss, *whole))
            else:
                lacking.append(each)
        return known, lacking

    def _of_model(self, name: str) -> Iterator[PlacedVersion]:
        versions = TrainedVersions.of(self.runs.client, name).listed()
        numbered = all(each.step is None for each in versions)
        if numbered and versions:
            self.progress.say(f"no version of {name} has a training step: their numbers stand for steps")
        for each in versions:
            step = each.number if numbered else each.step
            if step is None:
                self.left_out.append((each.address, "neither it nor its run has the tag training_step, as others have"))
                continue
            loss = None if each.run_id is None or numbered else self.runs.loss_at(each.run_id, step)
            yield PlacedVersion(each, self._training(each), step, loss)

    def _training(self, version: TrainedVersion) -> str:
        own = self._tags_of(version)
        run = None if version.run_id is None else self.runs.run(version.run_id)
        tags = {} if run is None else run.data.tags
        said = own.get(TRAINING_RUN) or tags.get(TRAINING_RUN)
        if said is not None:
            return str(said)
        if PARENT not in tags:
            return version.model
        parent = self.runs.run(tags[PARENT])
        return str(tags[PARENT] if parent is None else parent.info.run_name or tags[PARENT])

    def _tags_of(self, version: TrainedVersion) -> Mapping[str, str]:
        if version.address not in self._tags:
            self._tags[version.address] = dict(self._entity(version).tags)
        return self._tags[version.address]

    def _entity(self, version: TrainedVersion) -> ModelVersion:
        return version_of(self.runs.client, version.model, str(version.number))

    def _documents(self, version: TrainedVersion) -> list[RunDocument]:
        """Return documents about a version: of its own run, else of others about the same weights, else files."""
        own = None if version.run_id is None else self.runs.run(version.run_id)
        documents = (
            [] if own is None else [each for each in self.runs.documents(own) if each.step in (None, version.step)]
        )
        weights = self._tags_of(version).get(MODEL_DIGEST)
        weights = weights or next((model_digest_of(each.document) for each in documents), None)
        if weights is not None:
            documents = [each for each in documents if model_digest_of(each.document) == weights]
            documents += self._about(MODEL_DIGEST, weights)
        if {each.kind for each in documents} < _BOTH:
            files = self._files_digest(version)
            documents += [] if files is None else self._about(FILES_DIGEST, files)
        return documents

    def _about(self, tag: str, digest: str) -> list[RunDocument]:
        field_of = {MODEL_DIGEST: "digest", FILES_DIGEST: "files_digest"}[tag]
        found = [each for run in self.runs.tagged(tag, digest) for each in self.runs.documents(run)]
        return [each for each in found if section(each.document, "model").get(field_of) == digest]

    def _files_digest(self, version: TrainedVersion) -> str | None:
        """Return the digest of a version's files; None where they cannot be read, which is said."""
        try:
            with tempfile.TemporaryDirectory(prefix="mlflow_rank-") as folder:
                resolved = resolve_model(version.address, into=Path(folder), tracking_uri=self.runs.client.tracking_uri)
                return None if resolved.files is None else hashed(resolved.files, self.progress).digest
        except MlflowRankError as error:
            self.left_out.append((version.address, f"{error.what}" + (f" ({error.got})" if error.got else "")))
            return None


def version_places(placed: Sequence[PlacedVersion]) -> dict[str, tuple[str, int]]:
    """Return the training run and step of versions, by address (`models:/encoder/3`)."""
    return {each.version.address: (each.run, each.step) for each in placed}


def in_window(placed: Sequence[PlacedVersion], window: Window | None) -> list[PlacedVersion]:
    """Return the versions of a window, all of them without one."""
    return [each for each in placed if window is None or each.step in window]


def _name_of(text: str) -> str:
    name = text.removeprefix(MODELS)
    if not text.startswith(MODELS) or not name or "/" in name or "@" in name:
        raise UsageError("this names no registered model", got=f"--versions {text}", expected=f"{MODELS}NAME")
    return name
