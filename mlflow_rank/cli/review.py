"""`mlflow-rank review`: somebody looks at a break-glass afterwards, and says what they think of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from mlflow_rank.cli.at_the_gate import JSON, SERVER, end_with, key_of
from mlflow_rank.cli.signing import KEY


@click.command("review", short_help="Review a break-glass afterwards.")
@click.argument("model")
@click.option("--number", type=int, default=None, help="Of the ledger's entry.  [default: the only one that is open]")
@click.option("--accept/--reject", "accept", default=None, help="Whether it was right.")
@click.option("--comment", required=True, help="What was found.")
@KEY
@SERVER
@JSON
def review_command(model: str, **options: Any) -> None:
    """Say of a break-glass of MODEL (models:/NAME) whether it was right; `mlflow-rank status` names those that wait.

    Who may review, the policy says (break_glass.reviewed_by). Whatever is said, the version is not approved by it.
    Exit codes: 0 taken, 1 the gate refused.

    \b
    Example:
      mlflow-rank review models:/encoder --accept --comment "it did crash; 9 is on its way" --key bob.key
    """
    from mlflow_rank.errors import UsageError
    from mlflow_rank.workflow.acting import GatedRegistry
    from mlflow_rank.workflow.addresses import named_model
    from mlflow_rank.workflow.emergencies import broken_glass, review

    name = named_model(model)
    if options["accept"] is None:
        raise UsageError("a review says yes or no", expected="--accept or --reject")
    key = key_of(options)
    aimed, matter = broken_glass(GatedRegistry.reached(options["tracking_uri"]), name, options["number"])
    verdict = "accept" if options["accept"] else "reject"
    outcome = review(
        aimed, matter, verdict=verdict, comment=options["comment"], key=key, now=datetime.now(UTC)
    )  # fmt: skip
    said = f"The break-glass of version {matter.version} at {matter.target} is reviewed: {verdict}ed."
    end_with(outcome, options, [said])
