"""A study of prediction as people see it."""

from __future__ import annotations

from functools import partial

from mlflow_rank.reports.studies.prediction.figures import errors_by_model, leaned_on, predicted_against_measured
from mlflow_rank.reports.studies.prediction.tables import tables
from mlflow_rank.reports.studies.prediction.words import about, verdicts
from mlflow_rank.reports.studies.report import ReportFigure, StudyReport
from mlflow_rank.studies.prediction.over_runs import OverRuns
from mlflow_rank.studies.prediction.rivals import CANDIDATE
from mlflow_rank.studies.prediction.study import Prediction, PredictionStudy


def report(study: PredictionStudy) -> StudyReport:
    """Return what was found; figures are there where a prediction could be made."""
    made = tuple(each for each in study.predictions if isinstance(each, Prediction))
    figures = (
        ReportFigure("errors_by_model", "Error of each model on held-out runs", partial(errors_by_model, made)),
        ReportFigure("predicted", "Predicted against measured, by run", partial(predicted_against_measured, made)),
        ReportFigure("importances", "What the prediction leans on", partial(leaned_on, made)),
    )
    return StudyReport(
        study="predict",
        title=f"Pilot scores predicted from ranks, over {len(study.runs)} training runs",
        verdicts=verdicts(study),
        about=about(study),
        tables=tables(study),
        figures=figures if made else (),
        document=study.document(),
        metrics=_metrics(made),
    )


def _metrics(made: tuple[Prediction, ...]) -> dict[str, float]:
    """Return for each pilot score the error, by which share it is smaller than by step only, and the share in order."""
    answers = {
        f"{what}/{each.outcome.name}": answer
        for each in made
        for what, answer in (
            ("prediction_error", each.scores[CANDIDATE].error),
            ("prediction_error_less_than_step", each.gains["step"]),
            ("prediction_ordered", each.triage.ordered),
        )
    }
    return {name: answer.value for name, answer in answers.items() if isinstance(answer, OverRuns)}
