"""How well rank tracked the pilot: a table studied, and made ready for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from mlflow_rank.errors import UsageError
from mlflow_rank.reports.studies.correlation.report import report
from mlflow_rank.reports.studies.report import StudyReport
from mlflow_rank.studies.correlation.settings import StudySettings
from mlflow_rank.studies.correlation.study import correlate
from mlflow_rank.studies.trajectories import Trajectories
from mlflow_rank.workflow.progress import Progress
from mlflow_rank.workflow.studies.gathering.window import Window


@dataclass(frozen=True, slots=True)
class CorrelationRequest:
    """What is looked at, and with which seed chance is asked."""

    settings: StudySettings = field(default_factory=StudySettings)
    seed: int = 0


def correlated(whole: Trajectories, request: CorrelationRequest, window: Window, progress: Progress) -> StudyReport:
    """Return the study of what lies within a window of a table; what lies outside is drawn beside it.

    Raises:
        UsageError: nothing lies in the window; a rank or score that is asked for is not in the table.
    """
    table, settings = window.of(whole), request.settings
    refuse_unknown("rank", settings.predictors, table.predictors)
    refuse_unknown("pilot score", settings.outcomes, [each.name for each in table.outcomes])
    progress.say(f"correlating {len(table.observations)} layers of checkpoints of {len(table.runs)} training runs")
    study = correlate(table, seed=request.seed, settings=settings)
    shown = report(study, whole)
    return replace(
        shown,
        about=(*shown.about, window.sentence()),
        document={**shown.document, "asked_window": window.document()},
    )


def refuse_unknown(what: str, asked: Sequence[str] | None, there: Sequence[str]) -> None:
    """Refuse names that are in no table.

    Raises:
        UsageError: there are some.
    """
    unknown = [name for name in asked or () if name not in there]
    if unknown:
        raise UsageError(f"no such {what}", got=", ".join(unknown), expected=", ".join(there) or "none was taken")
