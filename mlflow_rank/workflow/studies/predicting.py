"""Whether ranks foretell the pilot: a table studied score by score, and made ready for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from mlflow_rank.reports.studies.prediction.report import report
from mlflow_rank.reports.studies.report import StudyReport
from mlflow_rank.studies.prediction.study import Manner, PredictionStudy, ensure_ranks, predict
from mlflow_rank.studies.trajectories import Trajectories
from mlflow_rank.workflow.progress import Progress
from mlflow_rank.workflow.studies.gathering.window import Window


@dataclass(frozen=True, slots=True)
class PredictionRequest:
    """Which scores are predicted from which ranks, all where none is named, and how."""

    manner: Manner = field(default_factory=Manner)
    predictors: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()


def predicted(table: Trajectories, request: PredictionRequest, window: Window, progress: Progress) -> StudyReport:
    """Return the study of a table that lies within a window.

    Raises:
        UsageError: a rank or score that is asked for is not in the table, or there is no rank to predict from.
    """
    ranks = ensure_ranks(table, request.predictors)
    outcomes = _outcomes(table, request.outcomes)
    progress.begin("predicting", len(outcomes))
    found = []
    for name in outcomes:
        found.append(predict(table, name, ranks, request.manner))
        progress.advance(1)
    steps = [each.step for each in table.observations]
    study = PredictionStudy(
        predictions=tuple(found),
        manner=request.manner,
        predictors=ranks,
        conventions=table.conventions,
        runs=table.runs,
        steps=(min(steps), max(steps)),
        window=window.document(),
    )
    shown = report(study)
    return replace(shown, about=(*shown.about, window.sentence()))


def _outcomes(table: Trajectories, asked: Sequence[str]) -> tuple[str, ...]:
    return tuple(table.outcome(name).name for name in asked) or tuple(each.name for each in table.outcomes)
