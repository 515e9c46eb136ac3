"""`mlflow-rank approve` and `reject`: a person's word on a promotion, bound to files, policies and evidence."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from mlflow_rank.cli.at_the_gate import key_of
from mlflow_rank.cli.consent import WHERE, hand_in, seen_by_the_gate, worked_out_here, write
from mlflow_rank.cli.options import all_of
from mlflow_rank.cli.signing import KEY

if TYPE_CHECKING:
    from mlflow_rank.workflow.acting import Aimed
    from mlflow_rank.workflow.consenting import Opinion

WORD = all_of(
    click.option("--comment", required=True, help="Why."),
    click.option("--valid-for", default="14d", show_default=True, help="12h, 14d, 2w: then it must be given anew."),
    click.option(
        "--witnessed",
        is_flag=True,
        help="Without a key: the server vouches for you by your name and password; the policy must allow it.",
    ),
    KEY,
    WHERE,
)
_DONE = {"approve": "You approved it.", "reject": "You rejected it."}


@click.command("approve", short_help="Approve a promotion, signed.")
@WORD
def approve_command(version: str | None, **options: Any) -> None:
    """Approve that VERSION (models:/NAME/NUMBER) goes to a target; it is shown what you sign, then signed, handed in.

    It holds for these files, these policies and this evidence only: when any of them changes, it is void. With --output
    it is written to a file instead, and what it is about is worked out here, as `mlflow-rank decide` does. Exit codes:
    0 it is taken, 1 the gate refuses it, or it does not count.

    \b
    Examples:
      mlflow-rank approve models:/encoder/7 --key bob.key --comment "heard twenty clips" --policy my-policies/
      mlflow-rank approve models:/encoder/7 --witnessed --comment "heard twenty clips"
      mlflow-rank approve --output bob.dsse.json --policy policies/ --evidence evidence/ --model my_checkpoint \\
        --name encoder --key bob.key --comment "heard twenty clips"
    """
    _give("approve", version, options)


@click.command("reject", short_help="Reject a promotion, signed: a veto until it expires.")
@WORD
def reject_command(version: str | None, **options: Any) -> None:
    """Reject that VERSION (models:/NAME/NUMBER) goes to a target: a veto until it expires, whatever the evidence.

    Options and exit codes are those of `mlflow-rank approve`.

    \b
    Example:
      mlflow-rank reject models:/encoder/7 --key bob.key --comment "clicks in every third clip"
    """
    _give("reject", version, options)


def _give(verdict: str, version: str | None, options: Mapping[str, Any]) -> None:
    from mlflow_rank.workflow.consenting import Opinion, approval
    from mlflow_rank.workflow.durations import lasting
    from mlflow_rank.workflow.evidencing import sealed

    opinion, now = Opinion(verdict, options["comment"], lasting(options["valid_for"])), datetime.now(UTC)
    if options["witnessed"]:
        _give_witnessed(version, opinion, options)
    key = key_of(options, instead="--witnessed on a server with basic-auth")
    if options["output"] is not None:
        promotion, _ = worked_out_here(version, options)
        write(options["output"], sealed(approval(promotion, opinion, now=now), key))
        return
    aimed, promotion = seen_by_the_gate(version, options)
    hand_in(aimed, "approval", approval(promotion, opinion, now=now), key, options, done=_DONE[verdict])


def _give_witnessed(version: str | None, opinion: Opinion, options: Mapping[str, Any]) -> None:
    from mlflow_rank.cli.options import say
    from mlflow_rank.errors import UsageError
    from mlflow_rank.workflow.consenting import approval

    source = click.get_current_context().get_parameter_source("key")
    if source is click.core.ParameterSource.COMMANDLINE or options["output"] is not None:
        got = "--output" if options["output"] is not None else "--key"
        raise UsageError("what the server witnesses is handed in without a key", got=got, expected="--witnessed alone")
    aimed, promotion = seen_by_the_gate(version, options)
    user = _user(aimed)
    say(f"handed in as {user}, without a key: it counts where the policy says approvals.witnessed: true")
    statement = approval(promotion, opinion, now=datetime.now(UTC), witnessed=user)
    hand_in(aimed, "approval", statement, None, options, done=_DONE[opinion.verdict])


def _user(aimed: Aimed) -> str:
    from mlflow_rank.errors import UsageError

    user = aimed.registry.user
    if user is None:
        raise UsageError(
            "the server does not know you",
            got="no user name",
            expected="MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, and a server with --basic-auth",
        )
    return user
