"""`mlflow-rank approve` and `waive`: a person's signed word, bound to files, policies and evidence."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from mlflow_rank.cli.decide import QUESTION, question_of
from mlflow_rank.cli.options import paths, say
from mlflow_rank.cli.progress import Spoken
from mlflow_rank.cli.signing import KEY, signing_key

POLICY = paths("--policy", help="Policy files, or directories of them.  [required]")
WRITE_TO = click.argument("file", type=click.Path(path_type=Path))


@click.command("approve", short_help="Approve or reject a promotion, signed.")
@WRITE_TO
@POLICY
@QUESTION
@click.option("--reject", is_flag=True, help="Reject it: a veto until it expires.")
@click.option("--comment", required=True, help="Why.")
@click.option("--valid-for", default="14d", show_default=True, help="12h, 14d, 2w: then it must be given anew.")
@KEY
def approve_command(file: Path, policy: tuple[Path, ...], reject: bool, comment: str, **options: Any) -> None:
    """Write a signed approval of a promotion to FILE.

    It holds for these files, these policies and this evidence only: when any of them changes, it is void. Decide first
    (`mlflow-rank decide` with the same options), then approve what you saw.

    \b
    Example:
      mlflow-rank approve ann.dsse.json --policy policies/ --evidence evidence/ --key ann.key --comment "heard 20 clips"
    """
    from mlflow_rank.workflow.consenting import approval
    from mlflow_rank.workflow.policies import read_policies, read_trust_file

    key = _key_of(options)
    envelope = approval(
        question_of(options),
        read_policies(policy),
        read_trust_file(options["trust"]),
        verdict="reject" if reject else "approve",
        comment=comment,
        valid_for=options["valid_for"],
        key=key,
        now=datetime.now(UTC),
        progress=Spoken(),
    )
    _write(file, envelope)


@click.command("waive", short_help="Put a rule aside for one model for a while, signed.")
@WRITE_TO
@POLICY
@QUESTION
@click.option("--rule", required=True, help="Which rule; the policy must name it under waivers.")
@click.option("--reason", required=True, help="Why it may be put aside.")
@click.option("--ticket", required=True, help="Where this is followed up.")
@click.option("--valid-for", default="7d", show_default=True, help="12h, 7d, 2w; the policy has a limit.")
@KEY
def waive_command(file: Path, policy: tuple[Path, ...], **options: Any) -> None:
    """Write a signed waiver of a rule to FILE. A pilot rule can never be waived.

    \b
    Example:
      mlflow-rank waive age.dsse.json --policy policies/ --evidence evidence/ --key bob.key \
        --rule evidence-fresh --reason "the lab is closed" --ticket OPS-7
    """
    from mlflow_rank.workflow.consenting import waiver
    from mlflow_rank.workflow.policies import read_policies, read_trust_file

    key = _key_of(options)
    envelope = waiver(
        question_of(options),
        read_policies(policy),
        read_trust_file(options["trust"]),
        rule=options["rule"],
        reason=options["reason"],
        ticket=options["ticket"],
        valid_for=options["valid_for"],
        key=key,
        now=datetime.now(UTC),
        progress=Spoken(),
    )
    _write(file, envelope)


def _key_of(options: Any) -> Any:
    from mlflow_rank.errors import UsageError

    key = signing_key(options)
    if key is None:
        raise UsageError("this must be signed", expected="--key FILE", remedy="make one with mlflow-rank keys generate")
    return key


def _write(file: Path, envelope: bytes) -> None:
    from mlflow_rank.errors import UsageError

    try:
        with file.open("xb") as new:  # nobody's word is written over
            new.write(envelope)
    except OSError as error:
        raise UsageError("this cannot be written", got=f"{file}: {error.strerror}", expected="a new file") from error
    say(f"written to {file}")
