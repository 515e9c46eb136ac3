"""`mlflow-rank decide`: whether a model may be promoted, rule by rule."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlflow_rank.cli.options import OPTIONAL_PATH, OPTIONAL_TEXT, SWITCH, all_of, check_directory, paths, say
from mlflow_rank.cli.progress import Spoken
from mlflow_rank.cli.signing import KEY, TRUST, signing_key
from mlflow_rank.cli.verdict import FORMS, check_forms, present_verdict

if TYPE_CHECKING:
    from mlflow_rank.workflow.deciding import PromotionQuestion

BESIDE_A_VERSION = all_of(
    paths("--evidence", help="Evidence files (.dsse.json), or directories of them."),
    click.option(
        "--model",
        "files",
        type=OPTIONAL_PATH,
        default=None,
        help="The model's directory, to be hashed.  [default: the digest that the evidence names]",
    ),
    click.option(
        "--name", type=OPTIONAL_TEXT, default=None, help="Registered name.  [default: as --version or evidence say]"
    ),
    click.option(
        "--champion",
        type=OPTIONAL_TEXT,
        default=None,
        help="Who is champion now: a directory, or models:/NAME@ALIAS.  [default: with --version, whom MLflow names]",
    ),
    paths("--champion-evidence", help="Evidence of the version that is champion now."),
    click.option(
        "--first-promotion", **SWITCH, default=False, show_default=True, help="Say that there is no champion yet."
    ),
    paths("--approval", help="Approvals that `mlflow-rank approve` wrote."),
    paths("--waiver", help="Waivers that `mlflow-rank waive` wrote."),
    click.option("--requester", type=OPTIONAL_TEXT, default=None, help="Who asks; whose approval does not count."),
    TRUST,
)
"""What a decision is about, but for the version, the target and MLflow's store."""
QUESTION = all_of(
    click.option(
        "--version", type=OPTIONAL_TEXT, default=None, help="A registered version, models:/NAME/7, and what MLflow has."
    ),
    click.option(
        "--to", "target", default="alias:champion", show_default=True, help="alias:NAME, stage:Production, …."
    ),
    BESIDE_A_VERSION,
    click.option(
        "--tracking-uri", type=OPTIONAL_TEXT, default=None, help="MLflow's store.  [default: MLflow's choice]"
    ),
)


@click.command("decide", short_help="Whether a model may be promoted, rule by rule.")
@paths("--policy", help="Policy files, or directories of them.  [required]")
@QUESTION
@FORMS
@click.option("--output", type=OPTIONAL_PATH, default=None, help="Write the decision here, as statements; see --key.")
@KEY
def decide_command(policy: tuple[Path, ...], **options: Any) -> None:
    """Check signed evidence about a model against policies, and say rule by rule what was seen, the bound, and why.

    Every policy that matches the model and the target must pass, each on a pilot that passed; where none matches, or
    evidence is missing, nothing is approved. Nothing is changed in MLflow.

    Exit codes: 0 approved, 1 refused, 3 could not decide: nothing speaks against the model, but something is missing.
    For a WatchPolicy: 0 clear, 1 warn, 3 nothing is known.

    \b
    Examples:
      mlflow-rank decide --policy policies/speech-encoder.yaml --evidence evidence/ --model my_checkpoint
      mlflow-rank decide --policy policies/ --version models:/encoder/7 --to alias:champion --markdown comment.md
    """
    from mlflow_rank.errors import UsageError
    from mlflow_rank.policy import decide
    from mlflow_rank.workflow import deciding
    from mlflow_rank.workflow.policies import (
        exemptions,
        promotion_policies,
        read_policies,
        read_trust_file,
        watch_policies,
    )

    check_forms(options)
    check_directory("--output", options["output"])
    if not policy:
        raise UsageError("there is no policy to decide by", expected="--policy FILE", remedy="see policies/")
    key = signing_key(options)
    files, trust = read_policies(policy), read_trust_file(options["trust"])
    case = deciding.case_of(question_of(options), trust, Spoken())
    now = datetime.now(UTC).replace(microsecond=0)  # what the decision records, and all that it may depend on
    for each in exemptions(files):
        if each.names(case.request.model):
            say(f"the exemption {each.metadata.name} plays no part in a decision")
    promotions = promotion_policies(files)
    watched = deciding.watch_all(watch_policies(files), case, now)
    decision = decide(promotions, case, now) if promotions or not watched else None
    code = present_verdict(decision, watched, files, options)
    if options["output"] is not None and decision is not None:
        for path in deciding.write_decision(decision, options["output"], key, now):
            say(f"written to {path}")
    sys.exit(code)


def question_of(options: Mapping[str, Any]) -> PromotionQuestion:
    """Return what the options of QUESTION ask, or of BESIDE_A_VERSION with `version`, `target` and `tracking_uri`."""
    from mlflow_rank.workflow.deciding import PromotionQuestion

    return PromotionQuestion(
        evidence=options["evidence"],
        target=options["target"],
        version=options["version"],
        model=options["name"],
        files=options["files"],
        champion=options["champion"],
        champion_evidence=options["champion_evidence"],
        first_promotion=options["first_promotion"],
        approvals=options["approval"],
        waivers=options["waiver"],
        requester=options["requester"],
        tracking_uri=options["tracking_uri"],
    )
