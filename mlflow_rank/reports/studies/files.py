"""A study as files: its document, its page, every table with all digits, and every figure."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path

from mlflow_rank.errors import UsageError
from mlflow_rank.reports.drawing import save_figure
from mlflow_rank.reports.studies.page import study_page
from mlflow_rank.reports.studies.report import Cell, ReportTable, StudyReport

DOCUMENT, PAGE, TABLES, FIGURES = "study.json", "study.html", "tables", "figures"


def write_study(report: StudyReport, directory: Path) -> None:
    """Write `study.json`, `tables/<name>.csv`, `figures/<name>.svg` and `.png`, and `study.html`, in this order.

    Args:
        report: the study; names of its tables, and of its figures, are distinct and fit for files.
        directory: where to, made if need be.

    Raises:
        UsageError: the document holds something that JSON has no form for.
    """
    for folder, there in (
        (directory, True),
        (directory / TABLES, report.tables),
        (directory / FIGURES, report.figures),
    ):
        if there:
            folder.mkdir(parents=True, exist_ok=True)
    (directory / DOCUMENT).write_bytes(document_bytes(report.document))
    for table in report.tables:
        (directory / TABLES / f"{table.name}.csv").write_bytes(csv_bytes(table))
    drawn: dict[str, str] = {}
    for figure in report.figures:
        svg, _ = save_figure(figure.draw(), directory / FIGURES / figure.name)
        drawn[figure.name] = svg.read_text(encoding="utf-8")
    (directory / PAGE).write_text(study_page(report, drawn), encoding="utf-8")


def document_bytes(document: Mapping[str, object]) -> bytes:
    """Return a document as JSON, in UTF-8; names that are no UTF-8 have JSON's escapes in them.

    Raises:
        UsageError: it holds something that JSON has no form for, such as NaN.
    """
    try:
        text = json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise UsageError(
            "this study cannot be written as JSON",
            got=str(error),
            expected="finite numbers, text, lists and mappings; an absent number is null",
        ) from error
    return f"{text}\n".encode("utf-8", "backslashreplace")  # of a lone surrogate: what JSON too writes it as


def csv_bytes(table: ReportTable) -> bytes:
    """Return a table as CSV (RFC 4180) in UTF-8: all digits, and nothing where a cell is absent or not a number."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(table.columns)
    writer.writerows([_written(cell) for cell in row] for row in table.rows)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _written(cell: Cell) -> str | int | float:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    return float(cell) if isinstance(cell, float) else cell  # numpy's own would write its type
