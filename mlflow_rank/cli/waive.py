"""`mlflow-rank waive`: a rule put aside for one version's files for a while, signed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from mlflow_rank.cli.at_the_gate import key_of
from mlflow_rank.cli.consent import WHERE, hand_in, seen_by_the_gate, worked_out_here, write
from mlflow_rank.cli.options import OPTIONAL_TEXT
from mlflow_rank.cli.signing import KEY


@click.command("waive", short_help="Put a rule aside for one version for a while, signed.")
@click.option("--rule", required=True, help="Which rule; the policy must name it under waivers.")
@click.option("--reason", required=True, help="Why it may be put aside.")
@click.option("--ticket", required=True, help="Where this is followed up.")
@click.option("--valid-for", default="7d", show_default=True, help="12h, 7d, 2w; the policy has a limit.")
@click.option("--until", type=OPTIONAL_TEXT, default=None, help="Instead: 2026-12-31 (its end, in UTC), or a time.")
@KEY
@WHERE
def waive_command(version: str | None, **options: Any) -> None:
    """Put a rule aside for VERSION (models:/NAME/NUMBER). A pilot rule can never be waived.

    With --output it is written to a file instead, and what it is about is worked out here, as `mlflow-rank decide`
    does. Exit codes: 0 it is taken, 1 the gate refuses it, or it puts nothing aside.

    \b
    Examples:
      mlflow-rank waive models:/encoder/7 --rule evidence-fresh --reason "the lab is closed" --ticket OPS-7 \\
        --until 2026-12-31 --key dora.key
      mlflow-rank waive --output age.dsse.json --policy policies/ --evidence evidence/ --rule evidence-fresh \\
        --reason "the lab is closed" --ticket OPS-7 --key dora.key
    """
    from mlflow_rank.workflow.consenting import PuttingAside, waivable, waivable_at_gate, waiver
    from mlflow_rank.workflow.durations import ending
    from mlflow_rank.workflow.evidencing import sealed

    now = datetime.now(UTC)
    until = ending(options["valid_for"], options["until"], now)
    aside = PuttingAside(options["rule"], options["reason"], options["ticket"], until)
    key = key_of(options)
    if options["output"] is not None:
        promotion, policies = worked_out_here(version, options)
        statement = waiver(promotion, waivable(policies, aside, now=now), aside, now=now)
        write(options["output"], sealed(statement, key))
        return
    aimed, promotion = seen_by_the_gate(version, options)
    statement = waiver(promotion, waivable_at_gate(aimed, aside.rule), aside, now=now)
    done = f"{aside.rule} is put aside until {until:%Y-%m-%d %H:%M} UTC."
    hand_in(aimed, "waiver", statement, key, options, done=done)
