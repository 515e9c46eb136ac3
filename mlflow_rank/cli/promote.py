"""`mlflow-rank promote`: point a target at a version, at once or as soon as nothing lacks any more."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from mlflow_rank.cli.at_the_gate import JSON, SERVER, TARGET, aimed_at
from mlflow_rank.cli.options import OPTIONAL_TEXT, say
from mlflow_rank.cli.verdict import APPROVED, REFUSED, UNDECIDED

if TYPE_CHECKING:
    from mlflow_rank.workflow.acting import Aimed
    from mlflow_rank.workflow.promoting import Promoted

_INTERRUPTED = 130  # 128 + SIGINT, as shells have it
_EXIT = {"there": APPROVED, "promoted": APPROVED, "refused": REFUSED, "missing": UNDECIDED}


@click.command("promote", short_help="Point a target at a version, if the policies approve.")
@click.argument("version")
@TARGET
@click.option(
    "--wait", type=OPTIONAL_TEXT, default=None, help="Until nothing lacks, for 30m, 2h, 1d.  [default: do not]"
)
@SERVER
@JSON
def promote_command(version: str, **options: Any) -> None:
    """Point a target at VERSION (models:/NAME/NUMBER), by MLflow's own call; the gate decides.

    Where it is there already, nothing happens. With --wait, what lacks is said whenever it changes, and the version is
    promoted as soon as nothing does; it may also be promoted by the gate itself, or by somebody else. Exit codes: 0 it
    is there, 1 it is refused or was rejected, 3 something is missing still.

    \b
    Examples:
      mlflow-rank promote models:/encoder/7
      mlflow-rank promote models:/encoder/7 --to stage:Production --wait 2h
    """
    from mlflow_rank.workflow.durations import lasting
    from mlflow_rank.workflow.promoting import Patience, promote, wait_and_promote

    wait = None if options["wait"] is None else lasting(options["wait"])
    aimed = aimed_at(version, options)
    if wait is None:
        ended = promote(aimed)
    else:
        patience = Patience(_now() + wait, _now, time.sleep, _tell)
        try:
            ended = wait_and_promote(aimed, patience)
        except KeyboardInterrupt:
            say("stopped waiting; nothing is lost. Go on with:")
            say(f"  mlflow-rank promote {aimed.named} --to {aimed.target} --wait {options['wait']}")
            sys.exit(_INTERRUPTED)
    _show(ended, options)
    sys.exit(_EXIT[ended.end])


def _show(ended: Promoted, options: Mapping[str, Any]) -> None:
    from mlflow_rank.reports.why_words import need_lines, shown, since_words

    if options["as_json"]:
        click.echo(json.dumps(ended.document(), sort_keys=True))
        return
    after = ended.after
    placed = after.outlook.at(after.target)
    since = "" if placed is None else since_words(placed)
    if ended.end == "there":
        click.echo(shown(f"{after.named} is at {after.target} already{since}. Nothing was changed."))
    elif ended.end == "promoted":
        click.echo(shown(f"{after.named} is at {after.target} now{since}."))
    else:
        still = "the time is up, and it still lacks:" if options["wait"] else "something is missing."
        click.echo(shown(ended.sentence or f"{after.named} to {after.target}: {still}"))
        for line in need_lines(after.outlook, after.target):
            click.echo(line)


def _tell(aimed: Aimed) -> None:
    from mlflow_rank.reports.why_words import shown

    lacking = "; ".join(each.sentence for each in aimed.version.missing) or "the gate's answer"
    say(shown(f"{_now():%H:%M:%S} waiting for: {lacking}"))


def _now() -> datetime:
    return datetime.now(UTC)
