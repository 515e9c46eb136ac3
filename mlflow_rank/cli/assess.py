"""`mlflow-rank assess`: ranks and pilots together, in one pass over shared audio."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from mlflow_rank.cli import measure, pilot
from mlflow_rank.cli.leaving import Left, leave_evidence
from mlflow_rank.cli.options import (
    AUDIO,
    ENCODER,
    OPTIONAL_TEXT,
    PILOT,
    RUN,
    SWITCH,
    TASK,
    check_places,
    check_register,
    destination_of,
    paths,
    pilot_requests_of,
    rank_request_of,
    say,
    setting_of,
)
from mlflow_rank.cli.progress import Spoken, TerminalProgress
from mlflow_rank.cli.signing import KEY, TRUST, signing_key
from mlflow_rank.cli.verdict import UNDECIDED, present_verdict

if TYPE_CHECKING:
    from mlflow_rank.evidence.keys import PrivateKey
    from mlflow_rank.evidence.trust import TrustStore
    from mlflow_rank.workflow import Assessment
    from mlflow_rank.workflow.policies import PolicyFile


@click.command("assess", short_help="Ranks and pilots together: what `mlflow run .` does.")
@ENCODER
@AUDIO
@TASK
@PILOT
@click.option(
    "--control",
    **SWITCH,
    default=True,
    show_default=True,
    help="Also hear the same architecture with random weights.",
)
@click.option("--register", type=OPTIONAL_TEXT, default=None, help="Log the encoder as a model, registered as NAME.")
@RUN
@KEY
@paths("--policy", help="Policy files, or directories of them: the run ends with their decision.")
@TRUST
@click.option("--to", "target", default="alias:champion", show_default=True, help="The promotion to decide on.")
@click.option(
    "--first-promotion", **SWITCH, default=False, show_default=True, help="Say that there is no champion yet."
)
@click.option("--enforce", **SWITCH, default=False, show_default=True, help="Exit with the decision's code.")
def assess_command(**options: Any) -> None:
    """Measure the rank of every layer without labels, pilot every layer with few labels, and decide by --policy.

    Audio that is both measured and labelled is heard once. The two results stand side by side in one MLflow run: rank
    is the early warning, the pilot the evidence. With --labels none only ranks are measured. With --policy the run ends
    with the decision: exit code 0, or, with --enforce, 1 where it is refused and 3 where something is missing.

    \b
    Examples:
      mlflow-rank assess
      mlflow-rank assess --model my_checkpoint --audio dev.jsonl --task keyword,speaker --labels dev.jsonl
      mlflow-rank assess --model my_checkpoint --register encoder --key ci.key --policy policies/ --enforce
    """
    from mlflow_rank.errors import UsageError
    from mlflow_rank.workflow.deciding import asked_target
    from mlflow_rank.workflow.policies import read_policies, read_trust_file

    check_register(options)
    check_places(options)
    key = signing_key(options)
    asked_target(options["target"])  # as all that follows: before hours are spent
    files, trust = read_policies(options["policy"]), read_trust_file(options["trust"])
    if options["enforce"] and not files:
        raise UsageError("there is no policy to enforce", got="--enforce", expected="--policy FILE")
    left = assess(options, key)
    if not files:
        return
    code = decide_on(left, files, trust, options)
    if options["enforce"]:
        sys.exit(code)


def assess(options: Mapping[str, Any], key: PrivateKey | None) -> Left:
    """Measure, pilot, show and record what the options ask for."""
    from mlflow_rank import workflow

    pilots = pilot_requests_of(options)
    if not pilots:
        return measure.run_measure(options, key)
    setting = setting_of(options)
    with TerminalProgress() as progress:
        assessment = workflow.assess(setting, rank_request_of(options), pilots, progress)
    measurement, piloted = assessment.measurement.document, assessment.pilot
    show(assessment, options)
    if options["output"]:
        workflow.write_assessment(assessment, options["output"])
        say(f"written to {options['output']}")
    if not options["use_mlflow"]:
        return leave_evidence(options, key=key, measurement=measurement, pilot=piloted)
    try:
        recorded = workflow.record_assessment(
            assessment, destination_of(options), register=options["register"], kept_at=setting.output
        )
    except BaseException:  # Ctrl-C too: the blocks are gone by now, so --resume would start anew
        workflow.write_assessment(assessment, setting.output)
        say(f"the results are kept at {setting.output}")
        raise
    return leave_evidence(options, key=key, measurement=measurement, pilot=piloted, recorded=recorded)


def show(assessment: Assessment, options: Mapping[str, Any]) -> None:
    """Print the tables, or the documents where stdout is asked for; write them where a file is."""
    from mlflow_rank import workflow

    json_to = options["json_to"]
    if str(json_to) == "-":
        click.echo(workflow.as_json(workflow.both(assessment)), nl=False)
        return
    measure.show(assessment.measurement, None)
    pilot.show(assessment.pilot, {"json_to": None})
    if json_to is not None:
        json_to.write_text(workflow.as_json(workflow.both(assessment)), encoding="utf-8")
        say(f"written to {json_to}")


def decide_on(left: Left, files: Sequence[PolicyFile], trust: TrustStore, options: Mapping[str, Any]) -> int:
    """Decide on what was assessed, print the decision, and return its exit code.

    Whom the pilot was taken against is champion, if it is files; where it is not, nobody knows who is.
    """
    from mlflow_rank.policy import decide
    from mlflow_rank.workflow import deciding
    from mlflow_rank.workflow.policies import promotion_policies, watch_policies

    if not left.evidence:
        say("nothing to decide: log-mel features are no model that could be promoted")
        return UNDECIDED
    against = options["against"]
    question = deciding.PromotionQuestion(
        given=() if left.version else tuple(left.evidence.values()),
        version=left.version,
        target=options["target"],
        champion=against if against and not left.version and deciding.has_files(against) else None,
        first_promotion=options["first_promotion"],
        tracking_uri=options["tracking_uri"],
    )
    case = deciding.case_of(question, trust, Spoken())
    now = datetime.now(UTC).replace(microsecond=0)
    promotions = promotion_policies(files)
    watched = deciding.watch_all(watch_policies(files), case, now)
    decision = decide(promotions, case, now) if promotions or not watched else None
    forms = dict.fromkeys(("json_to", "markdown_to", "sarif_to", "junit_to"))
    quiet = str(options["json_to"]) == "-"  # stdout holds the documents and nothing else
    return present_verdict(decision, watched, files, forms, on_stderr=quiet)
