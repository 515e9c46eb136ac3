"""What a study leaves: files in a directory, and a run in MLflow."""

from __future__ import annotations

import shutil
from pathlib import Path

from mlflow_rank.registry.runs.run_claim import Destination, RecordedRun
from mlflow_rank.registry.runs.study_run import StudyRecord, record_study
from mlflow_rank.reports.studies.files import write_study
from mlflow_rank.reports.studies.report import StudyReport
from mlflow_rank.reports.untrusted_text import in_markdown
from mlflow_rank.workflow.setting import DEFAULT_OUTPUT

__all__ = ["keep", "kept_place", "record_study_report", "write_study"]


def kept_place(report: StudyReport) -> Path:
    """Return where a study is kept when there is nowhere else for it; each sort of study has a place of its own."""
    return DEFAULT_OUTPUT / f"study_{report.study}"


def keep(files: Path, place: Path) -> Path:
    """Copy what `write_study` wrote to a place, made if need be, and return the place; what else lies there stays."""
    return Path(shutil.copytree(files, place, dirs_exist_ok=True))


def record_study_report(
    report: StudyReport, files: Path, destination: Destination, *, kept_at: Path | None = None
) -> RecordedRun:
    """Record a study in MLflow with its files; what it found is the description of a run made for it.

    Args:
        report: the study.
        files: the directory that `write_study` wrote to.
        destination: where in MLflow.
        kept_at: where the results are kept should this fail, for the error to name.

    Raises:
        MeasurementError: the store cannot be reached; the error names where the results are kept.
    """
    found = (f"**{in_markdown(report.title)}**", *(f"- {in_markdown(verdict)}" for verdict in report.verdicts))
    record = StudyRecord(
        report.study, report.document, report.metrics, description="\n".join((found[0], "", *found[1:]))
    )
    return record_study(record, files, destination=destination, kept_at=kept_at)
