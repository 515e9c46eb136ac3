"""`mlflow-rank status`: what is placed where, what is asked for, and what nobody may overlook."""

from __future__ import annotations

import json
from typing import Any

import click

from mlflow_rank.cli.at_the_gate import JSON, SERVER


@click.command("status", short_help="What is placed where, and what is open.")
@click.argument("model", required=False)
@SERVER
@JSON
def status_command(model: str | None, **options: Any) -> None:
    """Show what is placed where, since when, by whom and on which decision, and which requests are open.

    MODEL is models:/NAME, or models:/NAME/NUMBER for one version; without it, all models of which something is placed
    or open. Break-glasses that nobody has reviewed and flags of versions that evidence speaks against come first.

    \b
    Examples:
      mlflow-rank status
      mlflow-rank status models:/encoder
      mlflow-rank status models:/encoder/7 --json
    """
    from mlflow_rank.reports.standing_table import print_standing
    from mlflow_rank.workflow.acting import GatedRegistry
    from mlflow_rank.workflow.addresses import named_either

    name, version = (None, None) if model is None else named_either(model)
    registry = GatedRegistry.reached(options["tracking_uri"])
    outlooks = registry.every_outlook() if name is None else [registry.outlook(name)]
    if options["as_json"]:
        click.echo(json.dumps([each.document(version=version) for each in outlooks], sort_keys=True))
    else:
        print_standing(outlooks, version=version)
