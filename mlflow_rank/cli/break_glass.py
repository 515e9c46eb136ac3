"""`mlflow-rank break-glass`: a version without approval, in an emergency, for a while, and loudly."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from mlflow_rank.cli.at_the_gate import JSON, SERVER, TARGET, aimed_at, end_with, key_of
from mlflow_rank.cli.options import say
from mlflow_rank.cli.signing import KEY

if TYPE_CHECKING:
    from mlflow_rank.workflow.acting import Aimed, Outcome


@click.command("break-glass", short_help="In an emergency: place a version without approval.")
@click.argument("version")
@TARGET
@click.option("--reason", required=True, help="What the emergency is.")
@click.option("--ticket", required=True, help="Where this is followed up.")
@click.option("--for", "lasts", default="24h", show_default=True, help="How long it holds: 90m, 12h, 2d.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@KEY
@SERVER
@JSON
def break_glass_command(version: str, **options: Any) -> None:
    """Place VERSION (models:/NAME/NUMBER) WITHOUT APPROVAL, for a while. Everybody will see who did it, and why.

    It needs a key with the role emergency, and a policy that says break_glass. It stands in the ledger, on every status
    and history until somebody has reviewed it, and consumers refuse the version once it has expired. Exit codes: 0
    done, 1 the gate refused.

    \b
    Example:
      mlflow-rank break-glass models:/encoder/8 --reason "the champion crashes on 8 kHz audio" --ticket OPS-7 \\
        --key cid.key --for 12h
    """
    from mlflow_rank.errors import UsageError
    from mlflow_rank.workflow.durations import lasting
    from mlflow_rank.workflow.emergencies import Emergency, break_glass

    key, emergency = key_of(options), Emergency(options["reason"], options["ticket"], lasting(options["lasts"]))
    aimed = aimed_at(version, options)
    until = datetime.now(UTC) + emergency.lasts
    say(f"THIS PLACES {aimed.named} AT {aimed.target} WITHOUT APPROVAL, UNTIL {until:%Y-%m-%d %H:%M} UTC.")
    say("IT IS RECORDED WITH YOUR NAME, IS SHOWN EVERYWHERE, AND MUST BE REVIEWED BY SOMEBODY.")
    if not options["yes"]:
        if not sys.stdin.isatty():
            raise UsageError("there is nobody here to ask", expected="--yes", remedy="say --yes if you mean it")
        click.confirm("Break the glass?", abort=True, err=True)
    outcome = break_glass(aimed, emergency, key=key, now=datetime.now(UTC))
    end_with(outcome, options, _done(aimed, outcome))


def _done(aimed: Aimed, outcome: Outcome) -> Iterator[str]:
    from mlflow_rank.reports.why_words import when

    opened = aimed.registry.outlook(aimed.outlook.model) if outcome.refused is None else aimed.outlook
    yield f"THE GLASS IS BROKEN: {aimed.named} IS AT {aimed.target} WITHOUT APPROVAL."
    for each in opened.open("break_glass", target=aimed.target, version=aimed.version.number):
        yield f"IT HOLDS UNTIL {when(each.expires_at)} UTC. IT MUST BE REVIEWED BY {when(each.review_by)} UTC:"
        model = f"models:/{aimed.outlook.model} --number {each.number}"
        yield f'  mlflow-rank review {model} --accept --comment "…" --key FILE   (or --reject)'
