"""What every study leaves at its end: words on the terminal, files where asked for, and a run in MLflow."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlflow_rank.cli.options import destination_of, say

if TYPE_CHECKING:
    from mlflow_rank.reports.studies.report import StudyReport


def present(report: StudyReport, options: Mapping[str, Any], *, instead: str | None = None) -> None:
    """Print a study, write it to `--output`, and record it in MLflow.

    Where the recording fails or is stopped, the results are kept in a directory, and that is said.

    Args:
        report: the study.
        options: what PRESENTATION gives. Their places are looked at by `check_places` before the study is made.
        instead: text that is printed in place of the report, None for the report.

    Raises:
        MeasurementError: MLflow cannot be reached; the error names where the results are kept.
    """
    if options["json_to"] is not None:
        _give_document(report, options["json_to"])
    is_taken = str(options["json_to"]) == "-"  # stdout, by the document
    if instead is not None and not is_taken:
        click.echo(instead, nl=False)
    elif not is_taken:
        from mlflow_rank.reports.studies.terminal import print_study

        print_study(report)
    if options["output"] is not None or options["use_mlflow"]:
        _leave(report, options)


def _give_document(report: StudyReport, place: Path) -> None:
    from mlflow_rank.reports.studies.files import document_bytes

    if str(place) == "-":
        click.echo(document_bytes(report.document), nl=False)  # JSON is UTF-8, whatever the terminal's encoding
        return
    place.write_bytes(document_bytes(report.document))
    say(f"written to {place}")


def _leave(report: StudyReport, options: Mapping[str, Any]) -> None:
    from mlflow_rank.workflow.studies.recording import keep, kept_place, record_study_report, write_study

    written: Path | None = None
    with tempfile.TemporaryDirectory(prefix="mlflow_rank-") as folder:
        files = Path(folder)
        try:
            write_study(report, files)
            if options["output"] is not None:
                written = keep(files, options["output"])
                say(f"written to {written}")
            if options["use_mlflow"]:
                kept_at = written or kept_place(report)
                run = record_study_report(report, files, destination_of(options), kept_at=kept_at)
                say(f"MLflow run {run.run_id} (to see it: {run.where})")
        except BaseException:  # Ctrl-C too: a study may have taken hours
            say(f"the results are kept at {written or keep(files, kept_place(report))}")
            raise
