"""`mlflow-rank submit`: hand evidence of a version in at a registry behind the gate, and ask for its promotion."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlflow_rank.cli.at_the_gate import JSON, OWN_KEY, SERVER, aftermath
from mlflow_rank.cli.options import OPTIONAL_TEXT, paths, say
from mlflow_rank.cli.progress import Spoken
from mlflow_rank.cli.signing import signing_key

if TYPE_CHECKING:
    from mlflow_rank.evidence.keys import PrivateKey
    from mlflow_rank.workflow.acting import Aimed


@click.command("submit", short_help="Hand evidence of a version in, and ask for its promotion.")
@click.argument("version")
@paths("--evidence", help="Evidence files, or directories of them.  [default: what the version's run holds]")
@click.option("--to", "target", type=OPTIONAL_TEXT, default=None, help="Ask for promotion to alias:NAME or stage:NAME.")
@click.option("--comment", type=OPTIONAL_TEXT, default=None, help="With --to: why.")
@OWN_KEY
@SERVER
@JSON
def submit_command(version: str, evidence: tuple[Path, ...], **options: Any) -> None:
    """Hand signed evidence of VERSION (models:/NAME/NUMBER) in, where the gate verifies and keeps it.

    It travels as tags, by the call that every MLflow client has; large evidence in parts. The gate checks who signed
    it, in which role, and that it is about the very files of this version, and leaves a short tag that people see.
    With --to, a request is opened as well: it stands until the version is promoted, or the request withdrawn, and where
    the policies promote automatically, the gate does it as soon as nothing lacks. Doing it again changes nothing.
    Exit codes: 0 all of it is taken, 1 the gate refused some.

    \b
    Examples:
      mlflow-rank submit models:/encoder/7
      mlflow-rank submit models:/encoder/7 --to alias:champion --comment "two points better on far-field words"
      mlflow-rank submit models:/encoder/7 --evidence approvals/ --tracking-uri http://mlflow:5000
    """
    from mlflow_rank.errors import UsageError
    from mlflow_rank.workflow.acting import GatedRegistry
    from mlflow_rank.workflow.addresses import named_version
    from mlflow_rank.workflow.deciding import asked_target
    from mlflow_rank.workflow.submitting import nothing_to_submit, submit

    named, target = named_version(version), options["target"]
    if target is None and (options["comment"] or options["key"]):
        raise UsageError("a comment and a key are the request's", got="no --to", expected="--to alias:NAME")
    key = signing_key(options)
    registry = GatedRegistry.reached(options["tracking_uri"])
    before = None if target is None else registry.aimed(named, asked_target(target))
    answers = submit(registry, named, evidence, progress=Spoken())
    if not answers and (before is None or not before.version.evidence):
        raise nothing_to_submit(named)
    refused = sum(each.refused is not None for each in answers)
    document: dict[str, Any] = {"evidence": [each.document() for each in answers], "request": None}
    lines = [each.sentence for each in answers]
    if before is not None and not refused:
        document["request"], more = _ask(before, key, options["comment"] or "")
        lines += more
    _show(document, lines, options)
    say(f"{len(answers) - refused} of {len(answers)} taken" + ("; nothing was asked for" if refused and target else ""))
    sys.exit(1 if refused or (document["request"] or {}).get("refused") else 0)


def _ask(before: Aimed, key: PrivateKey | None, comment: str) -> tuple[dict[str, Any], list[str]]:
    """Open the request unless it is there, or open already; return it, and how things stand then."""
    from mlflow_rank.reports.why_words import verdict_line
    from mlflow_rank.workflow.acting import Outcome
    from mlflow_rank.workflow.asking import ask, asked_already, is_asked_already

    now = before.again()  # the evidence may have completed a request of before
    open_request = asked_already(now)
    if now.is_there:
        known = Outcome("request", "", None, before, now)
        lines = aftermath(known) if known.moved else [verdict_line(now.outlook, now.target)]
        return known.document() | {"statement": None}, lines
    outcome = None if open_request else ask(now, comment=comment, key=key, now=datetime.now(UTC))
    if outcome is None or is_asked_already(outcome):
        known = Outcome("request", (open_request and open_request.statement) or "", None, before, now)
        return known.document() | {"statement": known.digest or None}, ["It is asked for already.", *aftermath(known)]
    if outcome.refused is not None:
        return outcome.document(), [outcome.refused]
    return outcome.document(), [f"The request is open: {now.named} to {now.target}.", *aftermath(outcome)]


def _show(document: dict[str, Any], lines: list[str], options: Any) -> None:
    from mlflow_rank.reports.why_words import shown

    if options["as_json"]:
        click.echo(json.dumps(document, sort_keys=True))
        return
    for line in lines:
        click.echo(shown(line))
