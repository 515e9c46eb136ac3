"""`mlflow-rank study compare`: two sets of numbers side by side, or why they cannot be compared."""

from __future__ import annotations

from typing import Any

import click

from mlflow_rank.cli.options import check_places
from mlflow_rank.cli.progress import TerminalProgress
from mlflow_rank.cli.study.options import PRESENTATION
from mlflow_rank.cli.study.presenting import present


@click.command("compare", short_help="Two sets of numbers side by side, or which settings differ.")
@click.argument("left", metavar="A")
@click.argument("right", metavar="B")
@PRESENTATION
def compare_command(left: str, right: str, **options: Any) -> None:
    """Compare A with B, if their numbers mean the same; else name every setting that differs.

    A and B are JSON files (a measurement, a pilot, an assessment, a table of trajectories, a study.json, a protocol),
    directories that --output wrote, registered versions (models:/NAME/VERSION, models:/NAME@ALIAS) or MLflow runs
    (runs:/ID, or runs:/ID/STEP of a run with several steps).

    Where they mean the same, every number stands beside its counterpart with the difference, whether intervals
    overlap, and the paired difference where one was piloted --against the other. Exit code 2: not comparable.

    \b
    Examples:
      mlflow-rank study compare ours.json theirs.json
      mlflow-rank study compare models:/encoder@champion models:/encoder/7
      mlflow-rank study compare site_a/protocol.json site_b/protocol.json
    """
    from mlflow_rank.reports.studies.comparison_report import report
    from mlflow_rank.workflow.studies.comparing import compare

    check_places(options)
    with TerminalProgress() as progress:
        found = compare(left, right, progress, tracking_uri=options["tracking_uri"])
    present(report(found), options)
