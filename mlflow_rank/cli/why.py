"""`mlflow-rank why`: what a version still lacks, who can supply it, and by which command."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from mlflow_rank.cli.at_the_gate import JSON, SERVER, TARGET, aimed_at, exit_code


@click.command("why", short_help="Why a version is promoted or not, and what it lacks.")
@click.argument("version")
@TARGET
@SERVER
@JSON
def why_command(version: str, **options: Any) -> None:
    """Say whether VERSION (models:/NAME/NUMBER) would be approved now, what lacks, and who can supply it.

    Exit codes: 0 it is there, or would be approved now; 1 it is refused; 3 something is missing.

    \b
    Examples:
      mlflow-rank why models:/encoder/7
      mlflow-rank why models:/encoder/7 --to stage:Production --json
    """
    from mlflow_rank.reports.why_words import why_lines

    aimed = aimed_at(version, options)
    code = exit_code(aimed)
    if options["as_json"]:
        click.echo(json.dumps({"exit_code": code, **aimed.outlook.document()}, sort_keys=True))
    else:
        for line in why_lines(aimed.outlook, aimed.target):
            click.echo(line)
    sys.exit(code)
