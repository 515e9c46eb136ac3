"""What the verbs share that speak with a gated registry: their options, and how they say what became of an act."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import click

from mlflow_rank.cli.options import OPTIONAL_PATH, OPTIONAL_TEXT, all_of
from mlflow_rank.cli.signing import PASSPHRASE, signing_key
from mlflow_rank.cli.verdict import APPROVED, REFUSED, UNDECIDED

if TYPE_CHECKING:
    from mlflow_rank.evidence.keys import PrivateKey
    from mlflow_rank.workflow.acting import Aimed, Outcome

TARGET = click.option(
    "--to", "target", default="alias:champion", show_default=True, help="alias:NAME, or stage:Staging or Production."
)
SERVER = click.option(
    "--tracking-uri", type=OPTIONAL_TEXT, default=None, help="MLflow server.  [default: as MLflow is set]"
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
OWN_KEY = all_of(
    click.option("--key", type=OPTIONAL_PATH, default=None, help="Sign it with this key.  [default: it is not signed]"),
    click.option(
        "--passphrase-file",
        type=OPTIONAL_PATH,
        default=None,
        help=f"File with the key's passphrase on its first line.  [default: {PASSPHRASE}, else a prompt]",
    ),
)
"""For what need not be signed: a key that only the environment names belongs to evidence, not to a request."""
_EXIT = {
    "free": APPROVED, "approved": APPROVED, "uncovered": REFUSED, "refused": REFUSED, "missing": UNDECIDED,
    "shut": UNDECIDED,
}  # fmt: skip


def key_of(options: Mapping[str, Any], *, instead: str | None = None) -> PrivateKey:
    """Return the key to sign with.

    Raises:
        UsageError: none is given, or it cannot be read.
    """
    from mlflow_rank.errors import UsageError

    key = signing_key(options)
    if key is None:
        expected = "--key FILE" + (f", or {instead}" if instead else "")
        raise UsageError("this must be signed", expected=expected, remedy="make one with mlflow-rank keys generate")
    return key


def aimed_at(version: str, options: Mapping[str, Any]) -> Aimed:
    """Look at the version and the target that the options name.

    Raises:
        UsageError: there is no such version or target, or no gate before the registry.
        MlflowRankError: the server does not answer.
    """
    from mlflow_rank.workflow.acting import GatedRegistry
    from mlflow_rank.workflow.addresses import named_version

    named = named_version(version)
    return GatedRegistry.reached(options["tracking_uri"]).aimed(named, options["target"])


def exit_code(aimed: Aimed) -> int:
    """Return 0 where the version is there or would be approved, 1 where it is refused, 3 where something lacks."""
    return APPROVED if aimed.is_there else _EXIT[aimed.outlook.answer]


def end_with(outcome: Outcome, options: Mapping[str, Any], done: Iterable[str]) -> NoReturn:
    """Say what became of an act, and end: 0 where it was taken and counts, 1 where not.

    Args:
        outcome: of the act.
        options: `as_json`: whether to print it as JSON.
        done: what to say where it was taken, line by line.
    """
    from mlflow_rank.reports.why_words import shown

    idle = outcome.does_not_count
    if options["as_json"]:
        click.echo(json.dumps(outcome.document(), sort_keys=True))
    elif outcome.refused is not None:
        click.echo(shown(outcome.refused))
    else:
        for line in done:
            click.echo(shown(line))
        if idle is not None:
            click.echo(shown(f"It was taken, but it does not count: {idle}."))
    sys.exit(REFUSED if outcome.refused is not None or idle is not None else APPROVED)


def aftermath(outcome: Outcome) -> list[str]:
    """Return how things stand after an act: whether the gate promoted the version in that call, else what lacks."""
    from mlflow_rank.reports.why_words import FIRST, need_lines, next_step, since_words, verdict_line

    outlook, target = outcome.after.outlook, outcome.after.target
    moved = outcome.moved
    if moved is not None and moved.version == outcome.after.version.number:
        return [f"{outcome.after.named} was promoted in that very call: it is at {target}{since_words(moved)}."]
    step = next_step(outlook, target)
    return [
        verdict_line(outlook, target),
        *need_lines(outlook, target, most=FIRST),
        *([f"Next: {step}"] if step else []),
    ]
