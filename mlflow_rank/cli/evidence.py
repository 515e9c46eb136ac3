"""`mlflow-rank evidence`: look into evidence files, and verify them years later."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from mlflow_rank.cli.options import OPTIONAL_PATH, OPTIONAL_TEXT, paths, say
from mlflow_rank.cli.signing import TRUST

FILES = click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))


@click.group("evidence", short_help="Look into evidence, and verify it.")
def evidence_group() -> None:
    """Look into evidence files (in-toto statements in DSSE envelopes), and verify them, offline."""


@evidence_group.command("show", short_help="What an evidence file says, and who signed it.")
@FILES
@TRUST
@click.option("--json", "as_json", is_flag=True, help="Print the statements as JSON, one on a line.")
def show(files: tuple[Path, ...], trust: Path | None, as_json: bool) -> None:
    """Print what evidence files (or directories of them) say, about which files, made when, and signed by whom.

    Nothing is refused here: what does not hold is said. `evidence verify` refuses.
    """
    from mlflow_rank.reports.evidence_words import evidence_words
    from mlflow_rank.reports.untrusted_text import in_lines
    from mlflow_rank.workflow.deciding import evidence_paths, present_file
    from mlflow_rank.workflow.policies import read_trust_file

    believed = read_trust_file(trust)
    for path in evidence_paths(files):
        each = present_file(path, believed)
        if as_json:
            shown = {
                "file": str(path),
                "digest": each.digest,
                "kind": each.kind,
                "signed_by": [signer.name for signer in each.signers],
                "problems": [{"cause": cause, "detail": detail} for cause, detail in each.problems],
                "statement": json.loads(each.statement.to_bytes()) if each.statement else None,
            }
            click.echo(json.dumps(shown, sort_keys=True))
        else:
            click.echo(in_lines("\n".join([f"{path}:", *evidence_words(each)])))


@evidence_group.command("verify", short_help="Whether evidence holds: signatures, keys, files, decisions.")
@FILES
@TRUST
@click.option("--model", "model", type=OPTIONAL_PATH, default=None, help="The model's directory: hashed and compared.")
@paths("--policy", help="Policies in force then: decisions among FILES are decided again by them.")
@click.option("--role", type=OPTIONAL_TEXT, default=None, help="Ask for a signer with this role.")
def verify(files: tuple[Path, ...], **options: Any) -> None:
    """Check that evidence files are what was signed, by keys that were in force, about the model at hand.

    Decisions are decided again from the other FILES where --policy gives the policies: the same bytes must come out.
    Exit codes: 0 all of it holds, 1 something does not, 3 a decision's evidence is not all at hand.

    \b
    Examples:
      mlflow-rank evidence verify evidence/ --trust trust.yaml --model my_checkpoint
      mlflow-rank evidence verify decision.dsse.json evidence/ --policy policies/ --trust trust.yaml
    """
    from mlflow_rank.reports.untrusted_text import plain
    from mlflow_rank.workflow.policies import promotion_policies, read_policies, read_trust_file
    from mlflow_rank.workflow.verifying import verify_files

    policies = promotion_policies(read_policies(options["policy"])) if options["policy"] else None
    checks = verify_files(
        files, read_trust_file(options["trust"]), model=options["model"], policies=policies, role=options["role"]
    )
    for check in checks:
        click.echo(f"{check.state:<8}  {plain(check.name)}: {plain(check.said)}")
    failed, unknown = (sum(check.state == state for check in checks) for state in ("FAILS", "unknown"))
    say(f"{len(checks) - failed - unknown} of {len(checks)} hold")
    sys.exit(1 if failed else 3 if unknown else 0)
