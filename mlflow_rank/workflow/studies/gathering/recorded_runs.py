"""What MLflow runs hold of checkpoints: put together by the training that each comes of, and by its step there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from mlflow_rank.monitoring.checkpoint_form import CheckpointForm
from mlflow_rank.registry.runs.measured_rank import Document, section
from mlflow_rank.registry.runs.run_documents import PARENT, TRAINING_RUN, DocumentedRuns, RunDocument, step_said
from mlflow_rank.workflow.studies.gathering.observing import Assessed
from mlflow_rank.workflow.studies.gathering.window import Window

if TYPE_CHECKING:
    from mlflow.entities import Run

_NO_STEP = "neither a tag or parameter training_step nor its model's name says a step; name versions with --versions"
_OF_MLFLOW = ("models:/", "runs:/")
_SHORT = 8  # of a run's id, enough to find it by


@dataclass(frozen=True, slots=True)
class Training:
    """A training run: what tells it from others, what people call it, and the MLflow run of it where one is known."""

    key: str
    name: str
    run_id: str | None = None


@dataclass(slots=True)
class RecordedRuns:
    """Reads checkpoints out of runs; `left_out` says of which nothing could be taken, and why."""

    runs: DocumentedRuns
    form: CheckpointForm = field(default_factory=CheckpointForm)
    left_out: list[tuple[str, str]] = field(default_factory=list)

    def assessed(self, asked: Sequence[str], window: Window | None = None) -> list[Assessed]:
        """Return the checkpoints of runs and experiments; of several documents of one, the newest run's.

        A checkpoint's training is, in this order: what the tag `training_run` says; the parent run; the run itself,
        where it holds several steps or has children; the directory that the model lay in; the run itself. Its step is
        that of its folder in the run; else what the tag or parameter `training_step` says; else what the model's name
        says.

        Raises:
            UsageError: there is no such run or experiment.
            MeasurementError: the store cannot be reached.
        """
        found = self.runs.named(asked)
        parents = {run.data.tags[PARENT] for run in found if PARENT in run.data.tags}
        documents = [each for run in found for each in self.runs.documents(run)]
        self.left_out += self.runs.damaged
        placed: dict[tuple[str, int], list[RunDocument]] = {}
        trainings: dict[str, Training] = {}
        for each in documents:
            step = self._step(each)
            if step is None:
                self.left_out.append((called(each.run), _NO_STEP))
            elif window is None or step in window:
                training = self._training(each, parents)
                trainings[training.key] = training
                placed.setdefault((training.key, step), []).append(each)
        names = told_apart(tuple(trainings.values()))
        return [self._one(trainings[key], names[key], step, some) for (key, step), some in sorted(placed.items())]

    def _one(self, training: Training, name: str, step: int, documents: Sequence[RunDocument]) -> Assessed:
        kept = newest(documents)
        older = sum(each.document != kept[each.kind].document for each in documents)
        if older:
            self.left_out.append((f"{name}, step {step}", f"{older} older documents of the same; the newest are read"))
        asked = dict.fromkeys([*(each.run.info.run_id for each in kept.values()), *filter(None, [training.run_id])])
        losses = (self.runs.loss_at(run_id, step) for run_id in asked)
        loss = next((each for each in losses if each is not None), None)
        return Assessed(name, step, loss, _document(kept, "measurement"), _document(kept, "pilot"))

    def _step(self, found: RunDocument) -> int | None:
        if found.step is not None:
            return found.step
        said = step_said(found.run)
        return self._step_of(_spec(found.document)) if said is None else said

    def _step_of(self, spec: str) -> int | None:
        """Return the step that a `--model` text says: no number in a hub's id is one."""
        place = self._place(spec)
        return None if place is None else self.form.step(place.name)

    def _place(self, spec: str) -> PurePosixPath | None:
        """Return where a model lay; None for one of a hub, of MLflow, or that lay in no directory."""
        path = PurePosixPath(_path(spec))
        is_of_a_hub = len(path.parts) == 2 and not path.is_absolute() and "@" not in spec and self.form.pattern is None
        return None if is_of_a_hub or len(path.parts) < 2 or spec.startswith(_OF_MLFLOW) else path

    def _training(self, found: RunDocument, parents: set[str]) -> Training:
        tags, run_id = found.run.data.tags, found.run.info.run_id
        if TRAINING_RUN in tags:
            return Training(f"tag {tags[TRAINING_RUN]}", tags[TRAINING_RUN], tags.get(PARENT))
        if PARENT in tags:
            return self._of_run(tags[PARENT])
        if found.step is not None or run_id in parents:
            return self._of_run(run_id)
        place = self._place(_spec(found.document))
        if place is not None and place.parent.name:
            return Training(f"directory {place.parent}", place.parent.name)
        return self._of_run(run_id)

    def _of_run(self, run_id: str) -> Training:
        run = self.runs.run(run_id)
        name = run_id if run is None else run.info.run_name or run_id
        return Training(f"run {run_id}", name, None if run is None else run_id)


def newest(documents: Sequence[RunDocument]) -> dict[str, RunDocument]:
    """Return the document of each kind whose run began last; the same document twice counts once, in order."""
    return {each.kind: each for each in sorted(documents, key=lambda one: one.run.info.start_time or 0)}


def told_apart(trainings: Sequence[Training]) -> Mapping[str, str]:
    """Return what each training is called, by its key: its name, and where others have that too, what tells it apart.

    >>> told_apart([Training("run 8f3a", "bold-owl"), Training("directory /a/b", "b")])["run 8f3a"]
    'bold-owl'
    """
    names = [each.name for each in trainings]
    return {
        each.key: each.name if names.count(each.name) == 1 else f"{each.name} ({_apart(each)})" for each in trainings
    }


def called(run: Run) -> str:
    """Return how a run is named to people."""
    return f"run {run.info.run_name or run.info.run_id} ({run.info.run_id[:_SHORT]})"


def _apart(training: Training) -> str:
    sort, _, rest = training.key.partition(" ")
    return rest[:_SHORT] if sort == "run" else training.key


def _document(kept: Mapping[str, RunDocument], kind: str) -> Document | None:
    return kept[kind].document if kind in kept else None


def _spec(document: Document) -> str:
    return str(section(document, "model").get("spec") or "")


def _path(spec: str) -> str:
    """Return where the model lay by its `--model` text: what follows an @, else all of it."""
    return spec.rpartition("@")[2] if "@" in spec else spec.removeprefix("random:")
