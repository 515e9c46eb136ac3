"""`mlflow-rank db`: the triggers in the database that refuse what does not come through the gate."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from mlflow_rank.cli.options import OPTIONAL_TEXT, all_of, say

if TYPE_CHECKING:
    from mlflow_rank.audit.triggers import TriggerState, Wall

REGISTRY = click.option(
    "--registry-uri",
    "--database",
    "registry_uri",
    type=OPTIONAL_TEXT,
    default=None,
    envvar=["MLFLOW_RANK_DATABASE", "MLFLOW_REGISTRY_URI"],
    help="Database of the gated registry, SQLite or PostgreSQL, with or without rank+ in front.  [default: "
    "MLFLOW_RANK_DATABASE, else MLFLOW_REGISTRY_URI]",
)
CHANGE = all_of(
    REGISTRY,
    click.option("--actor", type=OPTIONAL_TEXT, default=None, help="Who does it; recorded.  [default: the user here]"),
    click.option("--json", "as_json", is_flag=True, help="Print JSON."),
)


@click.group("db", short_help="A second wall: triggers in the registry's database.")
def db_group() -> None:
    """Triggers in the registry's database that refuse what does not come through the gate.

    With them a plain MLflow server or a script that opens the database directly can move no alias and no stage, and
    write nothing into the ledger. They do not stop who holds the database's password and means it: whoever may drop
    tables may drop triggers.
    """


@db_group.command("install", short_help="Put the triggers up.")
@CHANGE
def install_command(**options: Any) -> None:
    """Install the triggers, or those that are missing; the ledger records who did.

    They stay until `db remove`: what `mlflow db upgrade` loses of them, the gated server puts up again when it starts.

    \b
    Examples:
      mlflow-rank db install --registry-uri sqlite:///mlflow.db
    """
    from mlflow_rank.workflow.second_wall import put_up

    before, after = put_up(options["registry_uri"], _actor(options["actor"]), now=datetime.now(UTC))
    _print(after, as_json=options["as_json"])
    new = len(after.triggers) - _count(before, "there")
    say(f"{new} triggers installed, {len(after.triggers) - new} were there")


@db_group.command("check", short_help="Whether the triggers are there.")
@REGISTRY
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check_command(**options: Any) -> None:
    """Print each trigger, and whether it is there as this version writes it.

    Exit codes: 0 all of them are, 1 one is missing or another, or the gate stands open, 3 nobody can say.
    """
    from mlflow_rank.workflow.second_wall import wall_of

    wall = wall_of(options["registry_uri"])
    _print(wall, as_json=options["as_json"])
    say("; ".join(_verdict(wall)))
    sys.exit(0 if wall.stands else 1)


@db_group.command("remove", short_help="Take the triggers down.")
@CHANGE
def remove_command(**options: Any) -> None:
    """Remove the triggers for good; the ledger records who did. The gate itself goes on as before."""
    from mlflow_rank.workflow.second_wall import take_down

    before, after = take_down(options["registry_uri"], _actor(options["actor"]), now=datetime.now(UTC))
    _print(after, as_json=options["as_json"])
    say(f"{len(before) - _count(before, 'missing')} triggers removed")


def _print(wall: Wall, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(wall.document(), indent=1))
        return
    words = {"there": "there", "missing": "MISSING", "other": "OTHER"}
    for each in wall.triggers:
        click.echo(f"{words[each.state]:<8} {each.name} on {each.table}")


def _verdict(wall: Wall) -> Sequence[str]:
    said = [f"{_count(wall.triggers, 'there')} of {len(wall.triggers)} triggers are there"]
    if _count(wall.triggers, "other"):
        said.append(f"{_count(wall.triggers, 'other')} were changed, or are of another version")
    if wall.gate_open:
        said.append("the gate stands open, so that they let everything through: audit reconcile says what came in")
    if not wall.stands:
        said.append("mlflow-rank db install puts them up" + (" again" if wall.wanted else ""))
    return said


def _count(triggers: Sequence[TriggerState], state: str) -> int:
    return sum(each.state == state for each in triggers)


def _actor(named: str | None) -> str:
    import getpass

    return named or getpass.getuser()
