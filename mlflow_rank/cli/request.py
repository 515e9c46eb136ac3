"""`mlflow-rank request`: requests that are open, and how to withdraw one; `submit --to` opens them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import click

from mlflow_rank.cli.at_the_gate import JSON, OWN_KEY, SERVER, TARGET, aimed_at, end_with
from mlflow_rank.cli.signing import signing_key


@click.group("request", short_help="Requests for promotion: list them, withdraw one.")
def request_group() -> None:
    """Look at requests for promotion, and withdraw one; `mlflow-rank submit VERSION --to TARGET` opens them."""


@request_group.command("withdraw", short_help="Ask no more for a promotion.")
@click.argument("version")
@TARGET
@click.option("--comment", default="", help="Why.")
@OWN_KEY
@SERVER
@JSON
def withdraw_command(version: str, **options: Any) -> None:
    """Withdraw the request that VERSION (models:/NAME/NUMBER) go to a target.

    Exit codes: 0 it is withdrawn, 1 the gate refused.

    \b
    Example:
      mlflow-rank request withdraw models:/encoder/7 --to alias:champion --comment "a better one is coming"
    """
    from mlflow_rank.workflow.asking import withdraw

    key = signing_key(options)
    aimed = aimed_at(version, options)
    outcome = withdraw(aimed, comment=options["comment"], key=key, now=datetime.now(UTC))
    end_with(outcome, options, [f"The request is withdrawn: {aimed.named} to {aimed.target}."])


@request_group.command("list", short_help="Which requests are open.")
@click.argument("model", required=False)
@SERVER
@JSON
def list_command(model: str | None, **options: Any) -> None:
    """List the open requests of MODEL (models:/NAME), or of all models.

    \b
    Examples:
      mlflow-rank request list
      mlflow-rank request list models:/encoder --json
    """
    from mlflow_rank.reports.why_words import matter_words, shown
    from mlflow_rank.workflow.acting import GatedRegistry
    from mlflow_rank.workflow.addresses import named_model

    name = None if model is None else named_model(model)
    registry = GatedRegistry.reached(options["tracking_uri"])
    outlooks = registry.every_outlook() if name is None else [registry.outlook(name)]
    found = [(each.model, one) for each in outlooks for one in each.open("request")]
    if options["as_json"]:
        click.echo(json.dumps([{"model": name, **one.model_dump(mode="json")} for name, one in found], sort_keys=True))
        return
    for about, one in found:
        click.echo(shown(matter_words(about, one)))
    if not found:
        click.echo("no request is open")
