"""`mlflow-rank webhooks`: who outside is told what happens at the gate, and what did not reach them."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from typing import Any

import click

from mlflow_rank.cli.audit import DATABASE, JSON
from mlflow_rank.cli.options import OPTIONAL_PATH, say

HOOKS = click.option(
    "--webhooks",
    type=OPTIONAL_PATH,
    default=None,
    envvar="MLFLOW_RANK_WEBHOOKS",
    help="File that names the receivers.  [default: MLFLOW_RANK_WEBHOOKS]",
)


@click.group("webhooks", short_help="Who outside is told what happens at the gate.")
def webhooks_group() -> None:
    """Say who outside is told what happens at the gate, try it out, and see to what did not reach them.

    `mlflow-rank server --webhooks FILE` posts a message of each request, approval, refusal, promotion, demotion and
    break-glass in the transaction that records it, and delivers it right afterwards, signed after the Standard Webhooks
    specification. What fails is tried again for about two and a half hours, and is a dead letter then. A receiver may
    get a message twice: the header webhook-id tells.

    \b
    The file:
      apiVersion: mlflow-rank/v1
      kind: Webhooks
      hooks:
        - name: release-chat
          url: https://hooks.lab.example/mlflow-rank
          secret_env: RELEASE_CHAT_SECRET      # or secret_file: chat.secret; 16 bytes or more
          events: [promoted, demoted, break-glass]       # or any
          models: ["hubert-*"]                           # default: all
    """


@webhooks_group.command("list", short_help="The receivers, and whether messages to them can be signed.")
@HOOKS
@DATABASE
@JSON
def list_command(**options: Any) -> None:
    """Print the receivers, and with --database how many messages wait for them. Exit code 2: a secret is missing."""
    from mlflow_rank.reports.untrusted_text import plain
    from mlflow_rank.workflow.webhooks import named_hooks, receivers

    found = receivers(named_hooks(options["webhooks"]), options["database"], os.environ)
    if options["as_json"]:
        click.echo(json.dumps([each.document() for each in found], indent=1))
    else:
        for each in found:
            hook = each.hook
            events = "any event" if hook.events == "any" else ", ".join(hook.events)
            counted = "".join(f"; {count} {state}" for state, count in sorted(each.messages.items()))
            click.echo(plain(f"{hook.name}: {events} of {', '.join(hook.models)} to {hook.shown}{counted}"))
    problems = [each.problem for each in found if each.problem is not None]
    for problem in problems:
        say(f"error: {problem}")
    sys.exit(2 if problems else 0)


@webhooks_group.command("test", short_help="Send receivers a message that says it is a test.")
@click.argument("names", nargs=-1)
@HOOKS
def test_command(names: tuple[str, ...], **options: Any) -> None:
    """Send the receivers NAMES, or all, a signed message of the event `test`. Exit code 1: one did not take it."""
    from mlflow_rank.workflow.webhooks import chosen, named_hooks, try_out

    failures = 0
    for hook in chosen(named_hooks(options["webhooks"]), names):
        why = try_out(hook, os.environ, now=datetime.now(UTC))
        failures += why is not None
        click.echo(f"{hook.name}: {'taken' if why is None else f'not taken: {why}'}")
    sys.exit(1 if failures else 0)


@webhooks_group.command("deliver", short_help="Deliver what waits, once.")
@HOOKS
@DATABASE
def deliver_command(**options: Any) -> None:
    """Deliver what is due, once: for a registry whose server is not `mlflow-rank server`, as from cron.

    Exit code 1: something was not taken.
    """
    from mlflow_rank.workflow.auditing import named_database
    from mlflow_rank.workflow.webhooks import deliver_once, named_hooks

    done = deliver_once(named_hooks(options["webhooks"]), named_database(options["database"]))
    say(f"{done.delivered} delivered, {done.failed} to be tried again, {done.dead} dead")
    sys.exit(1 if done.failed or done.dead else 0)


@webhooks_group.command("dead", short_help="Messages that nobody took for too long.")
@DATABASE
@JSON
def dead_command(**options: Any) -> None:
    """Print the messages that nobody took for too long, and why. Exit codes: 0 there are none, 1 there are."""
    from mlflow_rank.reports.untrusted_text import plain
    from mlflow_rank.workflow.auditing import named_database
    from mlflow_rank.workflow.webhooks import dead_letters

    letters = dead_letters(named_database(options["database"]))
    if options["as_json"]:
        click.echo(json.dumps([each.document() for each in letters], indent=1))
    else:
        for each in letters:
            tried = f"attempt {each.attempts} since {each.made_at[:19]}Z"
            click.echo(plain(f"{each.id} to {each.hook}: {each.event}, entry {each.number}; {tried}: {each.error}"))
    say(f"{len(letters)} dead messages")
    sys.exit(1 if letters else 0)


@webhooks_group.command("retry", short_help="Have dead messages delivered again.")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@DATABASE
@click.option("--all", "every", is_flag=True, help="All dead messages.")
def retry_command(ids: tuple[str, ...], **options: Any) -> None:
    """Have the dead messages IDS, or --all, delivered again as if they were new: by the server, or by `deliver`."""
    from mlflow_rank.errors import UsageError
    from mlflow_rank.workflow.auditing import named_database
    from mlflow_rank.workflow.webhooks import retry_dead

    if bool(ids) == options["every"]:
        raise UsageError("which messages?", expected="ids as `mlflow-rank webhooks dead` prints them, or --all")
    again = retry_dead(named_database(options["database"]), ids or None, now=datetime.now(UTC))
    say(f"{again} messages are delivered again")
