"""From where people have their numbers to the one table that studies read: checkpoints, runs, versions, tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_rank.errors import MeasurementError, UsageError
from mlflow_rank.monitoring.checkpoint_form import CheckpointForm
from mlflow_rank.reports.untrusted_text import plain
from mlflow_rank.studies.trajectories import Trajectories, read_trajectories
from mlflow_rank.workflow.progress import Progress
from mlflow_rank.workflow.studies.gathering.assessing_checkpoints import AssessmentPlan, CheckpointAssessor, Wanted
from mlflow_rank.workflow.studies.gathering.found_checkpoints import FoundRun, found_runs
from mlflow_rank.workflow.studies.gathering.kept_assessments import files_identity
from mlflow_rank.workflow.studies.gathering.observing import Assessed, merged, trajectories_of
from mlflow_rank.workflow.studies.gathering.training_loss import loss_of
from mlflow_rank.workflow.studies.gathering.window import Window

if TYPE_CHECKING:
    from mlflow_rank.registry.runs.run_documents import DocumentedRuns

_SHOWN = 5  # of what is left out


@dataclass(frozen=True, slots=True)
class Sources:
    """Where numbers are: directories of checkpoints, MLflow runs (ids or `experiment:NAME`), registered models, tables.

    `form` says how checkpoints are loaded and named, also those that runs heard; `loss` names a file of losses;
    `at_most` checkpoints of each training run on disk are assessed. `assess_versions` says that versions without
    documents are assessed too.
    """

    checkpoints: tuple[Path, ...] = ()
    runs: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    tables: tuple[Path, ...] = ()
    form: CheckpointForm = field(default_factory=CheckpointForm)
    loss: Path | None = None
    at_most: int | None = None
    assess_versions: bool = False

    @property
    def is_nothing(self) -> bool:
        """Whether no source is named."""
        return not (self.checkpoints or self.runs or self.versions or self.tables)


def gathered(
    sources: Sources,
    plan: AssessmentPlan,
    progress: Progress,
    *,
    window: Window,
    save_table: Path | None = None,
) -> Trajectories:
    """Return the table of what the sources hold, whatever the window: `window.of(…)` is what is to be studied.

    Args:
        sources: where the numbers are.
        plan: how checkpoints are assessed where there is nothing of them yet.
        progress: told of what is left out, and why.
        window: which steps are studied. Checkpoints outside it are not assessed nor looked for in MLflow, unless a
            table is saved.
        save_table: a file for the table.

    Raises:
        UsageError: no source, no checkpoint, nothing measured or piloted, different conventions, ….
        MeasurementError: too many checkpoints could not be assessed; MLflow cannot be reached.
        KeyboardInterrupt: what was assessed is kept; the same call goes on from there.
    """
    if sources.is_nothing:
        raise UsageError(
            "nothing to study",
            got="no source",
            expected="--checkpoints DIR, --runs ID or experiment:NAME, --versions models:/NAME, or --table FILE",
        )
    tables = {str(path): read_table(path) for path in sources.tables}
    within = None if save_table is not None else window
    readers = (_of_checkpoints, _of_runs, _of_versions)
    assessed = [each for read in readers for each in read(sources, plan, progress, within)]
    if assessed:
        tables["what was gathered"] = trajectories_of(assessed)
    whole = _with_both(merged(tables) if tables else None)
    if save_table is not None:
        write_table(whole, save_table)
        progress.say(f"the table is written to {save_table}")
    return whole


def read_table(path: Path) -> Trajectories:
    """Return the table in a file.

    Raises:
        UsageError: there is none.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            "this table cannot be read",
            got=f"{path}: {getattr(error, 'strerror', None) or error}",
            expected="a JSON file as --save-table writes it",
        ) from error
    if not isinstance(document, dict):
        raise UsageError("this is no table of trajectories", got=str(path), expected="a JSON object")
    return read_trajectories(document, named=str(path))


def tell_left_out(left_out: Sequence[tuple[str, str]], progress: Progress) -> None:
    """Say what is left out and why: a few by name, the others by number."""
    for name, cause in left_out[:_SHOWN]:
        progress.say(plain(f"left out: {name}: {cause}"))
    if len(left_out) > _SHOWN:
        progress.say(f"left out: {len(left_out) - _SHOWN} more")


def _of_checkpoints(
    sources: Sources, plan: AssessmentPlan, progress: Progress, window: Window | None
) -> list[Assessed]:
    if not sources.checkpoints:
        return []
    wanted: list[Wanted] = []
    left_out: list[tuple[str, str]] = []
    for run in found_runs(sources.checkpoints, sources.form):
        left_out += [(f"{run.name}/{name}", cause) for name, cause in run.left_out]
        wanted += _wanted(run.within(window).thinned(sources.at_most), sources)
    tell_left_out(left_out, progress)
    if not wanted:
        raise UsageError(
            "no checkpoint lies in the window",
            got=str(window),
            expected="checkpoints in it",
            remedy="choose another with --from-step and --to-step",
        )
    assessor = CheckpointAssessor(plan, progress)
    assessed = assessor.assessed(wanted)
    tell_left_out(assessor.broken, progress)
    if not assessed:
        raise MeasurementError("no checkpoint could be assessed", got="; ".join(cause for _, cause in assessor.broken))
    return assessed


def _wanted(run: FoundRun, sources: Sources) -> list[Wanted]:
    loss = loss_of(run.directory, sources.loss)
    return [
        Wanted(
            run=run.name,
            step=each.step,
            spec=sources.form.spec(each.place),
            identity=partial(files_identity, each.place),
            loss=loss(each.place, each.step),
        )
        for each in run.checkpoints
    ]


def _of_runs(sources: Sources, plan: AssessmentPlan, progress: Progress, window: Window | None) -> list[Assessed]:
    if not sources.runs:
        return []
    from mlflow_rank.workflow.studies.gathering.recorded_runs import RecordedRuns

    recorded = RecordedRuns(_documented(plan), sources.form)
    assessed = recorded.assessed(sources.runs, window)
    tell_left_out(recorded.left_out, progress)
    return assessed


def _of_versions(sources: Sources, plan: AssessmentPlan, progress: Progress, window: Window | None) -> list[Assessed]:
    if not sources.versions:
        return []
    from mlflow_rank.workflow.studies.gathering.registered_versions import RegisteredVersions, in_window

    versions = RegisteredVersions(_documented(plan), progress)
    known, lacking = versions.assessed(in_window(versions.placed(sources.versions), window))
    left_out = [*versions.left_out, *versions.runs.damaged]
    if sources.assess_versions and lacking:
        wanted = [Wanted(each.run, each.step, each.version.address, each.identity, each.loss) for each in lacking]
        assessor = CheckpointAssessor(plan, progress)
        known += assessor.assessed(wanted)
        left_out += assessor.broken
    else:
        cause = "no measurement and pilot of it are in MLflow; --labels has it assessed"
        left_out += [(each.version.address, cause) for each in lacking]
    tell_left_out(left_out, progress)
    return known


def _documented(plan: AssessmentPlan) -> DocumentedRuns:
    from mlflow_rank.registry.clients.connection import connected_client
    from mlflow_rank.registry.runs.run_documents import DocumentedRuns

    return DocumentedRuns(connected_client(plan.setting.tracking_uri))


def _with_both(whole: Trajectories | None) -> Trajectories:
    """Return the table where it has ranks and scores.

    Raises:
        UsageError: it lacks either.
    """
    if whole is None or not whole.predictors:
        raise UsageError(
            "nothing was measured",
            got="no ranks",
            expected="measurements of the checkpoints",
            remedy="measure and pilot each with `mlflow-rank assess`, or name them with --checkpoints",
        )
    if not any(each.scores for each in whole.observations):
        raise UsageError(
            "nothing was piloted",
            got="ranks without any pilot score",
            expected="pilots of the same checkpoints",
            remedy="pilot each with `mlflow-rank assess`, or name them with --checkpoints and --labels",
        )
    return whole


def write_table(table: Trajectories, path: Path) -> None:
    """Write a table to a file, with the directories on the way.

    Raises:
        MeasurementError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(table.document(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise MeasurementError(
            "the table cannot be written", got=f"{path}: {error.strerror or error}", expected="a file in a directory"
        ) from error
