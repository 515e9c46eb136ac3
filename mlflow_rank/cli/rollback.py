"""`mlflow-rank rollback`: back to a version that was approved before, in one command."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from mlflow_rank.cli.at_the_gate import JSON, SERVER, TARGET, end_with, key_of
from mlflow_rank.cli.options import OPTIONAL_TEXT
from mlflow_rank.cli.signing import KEY


@click.command("rollback", short_help="Back to a version that was approved before.")
@click.argument("model")
@TARGET
@click.option("--version", type=OPTIONAL_TEXT, default=None, help="Back to this one.  [default: the one before]")
@click.option("--reason", required=True, help="Why.")
@KEY
@SERVER
@JSON
def rollback_command(model: str, **options: Any) -> None:
    """Point a target of MODEL (models:/NAME) back at a version that a recorded decision once placed there.

    No new evidence is needed; the gate hashes the files again, and refuses a version that is flagged. Who may do this,
    the policy says (rollback.signed_by). Exit codes: 0 done, 1 the gate refused.

    \b
    Examples:
      mlflow-rank rollback models:/encoder --reason "far-field words got worse" --key bob.key
      mlflow-rank rollback models:/encoder --to stage:Production --version 4 --reason "as above" --key bob.key
    """
    from mlflow_rank.reports.why_words import placed_words
    from mlflow_rank.workflow.acting import GatedRegistry
    from mlflow_rank.workflow.addresses import named_model
    from mlflow_rank.workflow.undoing import former, roll_back

    name, key = named_model(model), key_of(options)
    registry = GatedRegistry.reached(options["tracking_uri"])
    aimed = former(registry, name, options["target"], options["version"])
    then = aimed.outlook.at(aimed.target)
    outcome = roll_back(aimed, reason=options["reason"], key=key, now=datetime.now(UTC))
    came_from = "nothing" if then is None else f"version {then.version}"
    now = placed_words(outcome.after.outlook.at(aimed.target))
    end_with(outcome, options, [f"{aimed.target} of {name} went back from {came_from}: it is {now}."])
