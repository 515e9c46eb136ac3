"""`mlflow-rank audit`: read the ledger, verify it, and prove what it says."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlflow_rank.cli.options import OPTIONAL_PATH, OPTIONAL_TEXT, all_of, check_file, paths, say
from mlflow_rank.cli.signing import KEY, TRUST, signing_key

if TYPE_CHECKING:
    from mlflow_rank.evidence.trust import TrustStore

DATABASE = click.option(
    "--database",
    type=OPTIONAL_TEXT,
    default=None,
    envvar=["MLFLOW_RANK_DATABASE", "MLFLOW_REGISTRY_URI"],
    help="Database of the gated registry, with or without rank+ in front.  [default: MLFLOW_RANK_DATABASE, else "
    "MLFLOW_REGISTRY_URI]",
)
SOURCE = all_of(
    DATABASE, click.option("--file", type=OPTIONAL_PATH, default=None, help="Read this export instead of a database.")
)
CHECKPOINTS = paths("--checkpoint", help="Checkpoints that were kept elsewhere; what they commit to must still hold.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
OUTPUT = click.option("--output", type=OPTIONAL_PATH, default=None, help="Write to FILE.  [default: stdout]")


@click.group("audit", short_help="Read the ledger, verify it, and prove what it says.")
def audit_group() -> None:
    """Read the ledger of a gated registry, verify it, and prove what it says.

    The database may be in use meanwhile. Only `erase` and `reconcile` write to it.
    """


@audit_group.command("verify", short_help="Whether the ledger is whole.")
@SOURCE
@CHECKPOINTS
@TRUST
@JSON
def verify_command(**options: Any) -> None:
    """Find any entry that was changed, lost, moved or slipped in, and hold the ledger against checkpoints of it.

    Checkpoints within decisions are compared as well; signatures, where --trust has keys. Exit codes: 0 it holds,
    1 it does not.

    \b
    Examples:
      mlflow-rank audit verify --database sqlite:///mlflow.db --checkpoint kept/2026-11.txt --trust trust.yaml
      mlflow-rank audit verify --file ledger.jsonl
    """
    from mlflow_rank.reports.ledger_table import verified_lines
    from mlflow_rank.workflow.auditing import ledger_at, read_checkpoints

    kept = read_checkpoints(options["checkpoint"])
    with ledger_at(options["database"], options["file"]) as ledger:
        found = ledger.verify(kept, _trust(options["trust"]))
    if options["as_json"]:
        click.echo(json.dumps(found.document(), indent=1))
    else:
        click.echo("\n".join(verified_lines(found, kept=len(kept))))
    say("the ledger holds" if found.holds else f"{len(found.problems)} problems")
    sys.exit(0 if found.holds else 1)


@audit_group.command("history", short_help="What was champion when, who did it, on which evidence.")
@click.argument("model")
@SOURCE
@click.option("--workspace", type=OPTIONAL_TEXT, default=None, help="Of the model.  [default: any]")
@JSON
def history_command(model: str, **options: Any) -> None:
    """Print every move of the aliases and stages of MODEL: when, by whom, by which decision, on which evidence."""
    from mlflow_rank.audit.history import history
    from mlflow_rank.reports.ledger_table import print_history
    from mlflow_rank.workflow.auditing import ledger_at

    with ledger_at(options["database"], options["file"]) as ledger:
        rows = history(ledger.concerning(model, options["workspace"]), model, options["workspace"])
    if options["as_json"]:
        click.echo(json.dumps([row.document() for row in rows], indent=1))
    else:
        print_history(rows)
    say(f"{len(rows)} {'move' if len(rows) == 1 else 'moves'}")


@audit_group.command("as-of", short_help="What lay where on a day.")
@click.argument("moment", metavar="DATE")
@SOURCE
@JSON
def as_of_command(moment: str, **options: Any) -> None:
    """Print which version every alias and stage had at DATE: a day (its end, in UTC), or 2026-11-25T09:30Z."""
    from mlflow_rank.audit.history import as_of
    from mlflow_rank.reports.ledger_table import print_placements
    from mlflow_rank.workflow.auditing import ledger_at, moment_of

    asked = moment_of(moment)
    with ledger_at(options["database"], options["file"]) as ledger:
        placements = as_of(ledger.entries(), asked)
    if options["as_json"]:
        click.echo(json.dumps([each.document() for each in placements], indent=1))
    else:
        print_placements(placements)
    say(f"{len(placements)} aliases and stages as of {asked.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC")


@audit_group.command("export", short_help="Write the ledger to a file of lines.")
@DATABASE
@OUTPUT
@KEY
def export_command(**options: Any) -> None:
    """Write all entries as JSON, one on a line, to be verified without the database; the first line is a checkpoint."""
    from mlflow_rank.workflow.auditing import ledger_at, write_export

    check_file("--output", options["output"])
    key = signing_key(options)
    with ledger_at(options["database"], None) as ledger:
        lines = write_export(ledger, key)
        if options["output"] is None or str(options["output"]) == "-":
            for line in lines:
                click.echo(line, nl=False)
        else:
            with options["output"].open("wb") as file:
                file.writelines(lines)
            say(f"written to {options['output']}")


@audit_group.command("checkpoint", short_help="Write down how large the ledger is, and its root.")
@SOURCE
@OUTPUT
@KEY
def checkpoint_command(**options: Any) -> None:
    """Write a checkpoint (a C2SP signed note), to be kept where nobody who can write to the database can.

    `audit verify --checkpoint` finds out by it whether the ledger was cut short or written anew.
    """
    from mlflow_rank.audit.checkpoint import signed
    from mlflow_rank.workflow.auditing import ledger_at

    check_file("--output", options["output"])
    key = signing_key(options)
    with ledger_at(options["database"], options["file"]) as ledger:
        _write(options["output"], signed(ledger.checkpoint(), key).text)


@audit_group.command("prove", short_help="Prove that one entry is in the ledger, or check such a proof.")
@click.argument("number", type=int, required=False)
@SOURCE
@CHECKPOINTS
@TRUST
@OUTPUT
@KEY
@click.option("--check", type=OPTIONAL_PATH, default=None, help="Check this proof, without a ledger.")
def prove_command(number: int | None, **options: Any) -> None:
    """Write a proof that entry NUMBER is in the ledger, by one --checkpoint of it or by a new one.

    With --check FILE, say whether such a proof holds, and against --checkpoint where one is given. Exit codes: 0 it
    holds, 1 it does not.
    """
    from mlflow_rank.errors import UsageError
    from mlflow_rank.workflow.auditing import check_proof, ledger_at, prove, read_checkpoints

    if (number is None) == (options["check"] is None):
        raise UsageError("nothing to prove", expected="the NUMBER of an entry, or --check FILE")
    kept = read_checkpoints(options["checkpoint"])
    if number is None:
        said, problems = check_proof(options["check"], kept, _trust(options["trust"]))
        click.echo("\n".join([*(f"FAILS  {problem}" for problem in problems), said]))
        sys.exit(1 if problems else 0)
    if len(kept) > 1:
        raise UsageError("a proof is by one checkpoint", got=f"{len(kept)} of them")
    check_file("--output", options["output"])
    key = signing_key(options)
    with ledger_at(options["database"], options["file"]) as ledger:
        _write(options["output"], prove(ledger, number, next(iter(kept.values()), None), key) + "\n")


@audit_group.command("reconcile", short_help="What the registry says and the ledger cannot explain.")
@DATABASE
@paths("--policy", help="Policies in force; what they leave alone is not compared.  [default: MLFLOW_RANK_POLICIES]")
@click.option("--dry-run", is_flag=True, help="Record nothing.")
@JSON
def reconcile_command(**options: Any) -> None:
    """Find aliases and stages that the ledger cannot explain: set by a plain database client, or without the gate.

    New findings are appended to the ledger. Without policies, all aliases and stages are compared. Exit codes: 0 the
    ledger explains everything, 1 it does not.
    """
    from mlflow_rank.audit.database import opened
    from mlflow_rank.reports.ledger_table import finding_lines
    from mlflow_rank.workflow.auditing import find_deviations, named_database

    record = not options["dry_run"]
    protected = _protected(options["policy"])
    with opened(named_database(options["database"]), writes=record) as engine:
        findings, new = find_deviations(engine, protected, record=record, now=datetime.now(UTC))
    if options["as_json"]:
        click.echo(json.dumps([each.document() for each in findings], indent=1))
    else:
        for line in finding_lines(findings):
            click.echo(line)
    say(f"{len(findings)} findings" + (f", {new} of them new and recorded" if record else ", none recorded"))
    sys.exit(1 if findings else 0)


@audit_group.command("erase", short_help="Erase what people wrote in entries; that they were there stays proved.")
@click.argument("numbers", nargs=-1, type=int, required=True)
@DATABASE
@click.option("--reason", required=True, help="Why; recorded.")
@click.option("--actor", type=OPTIONAL_TEXT, default=None, help="Who erases; recorded.  [default: the user here]")
@click.option("--yes", is_flag=True, help="Do not ask.")
def erase_command(numbers: tuple[int, ...], **options: Any) -> None:
    """Erase the bodies of the entries NUMBERS, and the evidence that they accepted, for good.

    The entries themselves stay, and every proof with them. Copies (exports, backups) are yours to erase.
    """
    import getpass

    from mlflow_rank.audit.database import opened
    from mlflow_rank.audit.erasing import erase
    from mlflow_rank.errors import UsageError
    from mlflow_rank.workflow.auditing import named_database

    if not options["yes"]:
        if not sys.stdin.isatty():
            raise UsageError("there is nobody here to ask", expected="--yes", remedy="erasing cannot be taken back")
        click.confirm(f"Erase the bodies of {len(numbers)} entries for good?", abort=True, err=True)
    with opened(named_database(options["database"]), writes=True) as engine, engine.begin() as connection:
        actor = options["actor"] or getpass.getuser()
        entry = erase(connection, numbers, options["reason"], actor, at=datetime.now(UTC))
    say(f"erased {len(set(numbers))} bodies; entry {entry.number} says so")


def _trust(path: Path | None) -> TrustStore | None:
    """Return whose keys are believed; None where nobody's are, so that no signature is looked at."""
    from mlflow_rank.workflow.policies import read_trust_file

    trust = read_trust_file(path)
    return trust if trust.keys or path is not None else None


def _protected(named: tuple[Path, ...]) -> Callable[[str, str, str], bool]:
    from mlflow_rank.policy.scope import standing
    from mlflow_rank.workflow.policies import read_policies

    directory = os.environ.get("MLFLOW_RANK_POLICIES")
    places = named or ((Path(directory),) if directory else ())
    if not places:
        return lambda workspace, model, target: True
    policies = [each.policy for each in read_policies(places)]
    return lambda workspace, model, target: not standing(policies, model, target).left_alone


def _write(place: Path | None, text: str) -> None:
    from mlflow_rank.errors import UsageError

    if place is None or str(place) == "-":
        click.echo(text, nl=False)
        return
    try:
        place.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError("this cannot be written there", got=f"{place}: {error.strerror}") from error
    say(f"written to {place}")
