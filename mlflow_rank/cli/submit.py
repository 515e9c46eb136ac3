"""`mlflow-rank submit`: hand evidence of a version in at a registry behind the gate."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from mlflow_rank.cli.options import OPTIONAL_TEXT, paths, say


@click.command("submit", short_help="Hand evidence of a registered version in.")
@click.argument("version")
@paths("--evidence", help="Evidence files, or directories of them.  [default: what the version's run holds]")
@click.option("--tracking-uri", type=OPTIONAL_TEXT, default=None, help="MLflow server.  [default: as MLflow is set]")
@click.option("--json", "as_json", is_flag=True, help="Print what became of each as JSON.")
def submit_command(version: str, evidence: tuple[Path, ...], tracking_uri: str | None, as_json: bool) -> None:
    """Hand signed evidence of VERSION (models:/NAME/NUMBER) in, where the gate verifies and keeps it.

    It travels as tags, by the call that every MLflow client has; large evidence in parts. The gate checks who signed
    it, in which role, and that it is about the very files of this version, and leaves a short tag that people see.
    Handing in what is there already changes nothing. Exit codes: 0 all of it is taken, 1 the gate refused some.

    \b
    Examples:
      mlflow-rank submit models:/encoder/7
      mlflow-rank submit models:/encoder/7 --evidence approvals/ --tracking-uri http://mlflow:5000
    """
    from mlflow_rank.cli.progress import Spoken
    from mlflow_rank.reports.untrusted_text import plain
    from mlflow_rank.workflow.submitting import submit

    answers = submit(version, evidence, tracking_uri=tracking_uri, progress=Spoken())
    if as_json:
        listed = [{"kind": each.kind, "digest": each.digest, "refused": each.refused} for each in answers]
        click.echo(json.dumps(listed, sort_keys=True))
    else:
        for each in answers:
            click.echo(plain(each.sentence))
    refused = sum(each.refused is not None for each in answers)
    say(f"{len(answers) - refused} of {len(answers)} taken")
    sys.exit(1 if refused else 0)
