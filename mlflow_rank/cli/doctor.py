"""`mlflow-rank doctor`: whether the gate in front of somebody really is shut, and what goes round it."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from mlflow_rank.cli.at_the_gate import JSON, SERVER
from mlflow_rank.cli.options import OPTIONAL_TEXT, say


@click.command("doctor", short_help="Whether the gate is shut, and what goes round it.")
@SERVER
@click.option(
    "--registry-uri",
    type=OPTIONAL_TEXT,
    default=None,
    help="The registry, where it is not the tracking server, such as rank+sqlite:///mlflow.db.  [default: as MLflow is "
    "set]",
)
@click.option(
    "--scan",
    "scanned",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="DIR",
    help="Look through code for models:/NAME/latest and models:/NAME/NUMBER; again for more.",
)
@click.option("--no-canary", is_flag=True, help="Try nothing: only ask and look.")
@JSON
def doctor_command(**options: Any) -> None:
    """Find out whether the gate of an MLflow registry is shut, and what goes round it from here.

    A canary is sent: a model of a name that is nobody's is registered, with a version, and calls are made that the
    gate must refuse: the alias champion, one that only looks like it, the stage Production, a tag of the gate's. What
    goes through is taken back, and the model is deleted. The refusals stay in the ledger, and webhooks tell of them;
    MLflow keeps the run in its trash until `mlflow gc`. It asks with MLflow's own credentials.

    Then the gate tells of itself (plugin, policies, trust, keys, clock, ledger, triggers, seal, webhooks), and this
    environment is looked through for what passes it by.

    Exit codes: 0 the gate is shut, warnings allowed; 1 it is open somewhere, or of no use; 3 nobody can say.

    \b
    Examples:
      mlflow-rank doctor
      mlflow-rank doctor --tracking-uri https://mlflow.lab.example --scan deploy/
      mlflow-rank doctor --registry-uri rank+sqlite:///mlflow.db --json
    """
    from mlflow_rank.reports.doctor_table import print_checkup
    from mlflow_rank.workflow.doctoring import DoctorRequest, look_at

    request = DoctorRequest(
        options["tracking_uri"], options["registry_uri"], options["scanned"], canary=not options["no_canary"]
    )
    checkup = look_at(request, os.environ, clock=lambda: datetime.now(UTC), say=say)
    if options["as_json"]:
        click.echo(json.dumps(checkup.document(), indent=1))
    else:
        print_checkup(checkup)
    sys.exit(checkup.exit_code)
