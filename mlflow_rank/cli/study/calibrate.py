"""`mlflow-rank study calibrate`: thresholds from past versions with a known outcome, as a policy file to commit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from mlflow_rank.cli.optional import Optional
from mlflow_rank.cli.options import OPTIONAL_PATH, all_of, check_places, say
from mlflow_rank.cli.progress import TerminalProgress
from mlflow_rank.cli.study.options import PRESENTATION
from mlflow_rank.cli.study.sources import SOURCES, names, trajectories_of, window_of

if TYPE_CHECKING:
    from mlflow_rank.reports.studies.calibration.proposed_policy import PolicyTerms
    from mlflow_rank.studies.calibration.cases import Layer
    from mlflow_rank.workflow.studies.calibrating import CalibrationRequest

OUTCOMES = all_of(
    click.option(
        "--outcomes",
        type=OPTIONAL_PATH,
        default=None,
        help="What became of past versions: .csv, .jsonl or .json with run and step (or name, or version), and outcome "
        "(good, bad) or full_score.  [default: the tag outcome of --versions]",
    ),
    click.option(
        "--good-from", type=Optional(click.FLOAT), default=None, help="Least full_score of a good version, as in 0.85."
    ),
    names("--repeats", help="Training runs that repeat one recipe with other seeds; all: every run."),
)

LIMITS = all_of(
    click.option(
        "--false-promotion-rate",
        type=float,
        default=0.05,
        show_default=True,
        help="How often a new bad training may pass a limit.",
    ),
    names("--ranks", help="Ranks to look at, as MLflow names them.  [default: rank_frame,rank_utterance]"),
    names("--scores", help="Pilot scores to look at.  [default: all in domain]"),
    click.option(
        "--pilot-layer", default="best", show_default=True, help="Whose score is read: best, or a layer's number."
    ),
    click.option(
        "--rank-bound",
        type=click.Choice(["corrected", "point"]),
        default="corrected",
        show_default=True,
        help="What the table's ranks are: less their bias (four rows per dimension or more), or as they were read.",
    ),
)

POLICY = all_of(
    click.option("--policy-out", type=OPTIONAL_PATH, default=None, help="Write a policy with these limits here."),
    click.option("--force", is_flag=True, help="Replace the file of --policy-out."),
    names("--model-name", help='Registered models that the policy is about, as in "encoder*".  [default: *]'),
    click.option("--to", "target", default="alias:champion", show_default=True, help="alias:NAME or stage:Production."),
    click.option("--name", default="calibrated", show_default=True, help="The policy's name."),
    names("--owner", help="Who answers for the policy; --policy-out needs one."),
)


@click.command("calibrate", short_help="Thresholds from past versions, as a policy to commit.")
@OUTCOMES
@LIMITS
@POLICY
@SOURCES
@PRESENTATION
def calibrate_command(**options: Any) -> None:
    """Find limits for ranks and pilots from past versions of which you know whether they were good.

    A limit is such that a new bad training passes it at most as often as --false-promotion-rate, guaranteed where there
    are enough bad trainings (19 at 5 %), else as near as they allow, and it says which. Errors are about trainings that
    the limits had not seen. Ranks that do not tell good from bad give no limit; a policy is written only where a pilot
    proves. With --repeats it also says how far two trainings of one recipe differ, for the rules that compare with the
    champion.

    The policy has mode: warn and says in a comment where each number comes from. Nothing is approved here.

    \b
    Exit codes: 0 done, 2 usage, 3 no policy can be proposed that --policy-out asks for, or MLflow cannot be reached.

    \b
    Examples:
      mlflow-rank study calibrate --table past.json --outcomes outcomes.csv
      mlflow-rank study calibrate --table past.json --outcomes outcomes.csv --good-from 0.85 --repeats seed_0,seed_1 \\
        --policy-out policies/calibrated.yaml --model-name 'encoder*' --owner speech-platform
      mlflow-rank study calibrate --versions models:/encoder --policy-out policies/calibrated.yaml --owner ann
    """
    from mlflow_rank.cli.study.presenting import present
    from mlflow_rank.workflow.studies.calibrating import calibrate_table, refuse_existing, write_policy
    from mlflow_rank.workflow.studies.past_versions import outcomes_of

    check_places(options)
    request, terms = request_of(options), terms_of(options)
    place = options["policy_out"]
    if place is not None:
        refuse_existing(place, force=options["force"])
    with TerminalProgress() as progress:
        table, window = trajectories_of(options, progress), window_of(options)
        outcomes, nobodys = outcomes_of(
            table,
            options["outcomes"],
            options["versions"],
            good_from=options["good_from"],
            tracking_uri=options["tracking_uri"],
        )
        found = calibrate_table(
            table,
            outcomes,
            request,
            progress,
            about=(window.sentence(),),
            window=window.document(),
            nobodys=nobodys,
        )
    present(found.report, options)
    if place is not None and terms is not None:
        policy = write_policy(found, terms, place, force=options["force"])
        say(f"policy {policy.metadata.name} with {len(policy.rules)} rules, mode {policy.mode}, written to {place}")


def request_of(options: Mapping[str, Any]) -> CalibrationRequest:
    """Return what is calibrated.

    Raises:
        UsageError: no such layer.
    """
    from mlflow_rank.workflow.studies.calibrating import CalibrationRequest

    return CalibrationRequest(
        alpha=options["false_promotion_rate"],
        ranks=options["ranks"],
        scores=options["scores"],
        layer=_layer(options["pilot_layer"]),
        repeats=options["repeats"],
        rank_bound=options["rank_bound"],
    )


def terms_of(options: Mapping[str, Any]) -> PolicyTerms | None:
    """Return whose policy it is and whom it is for; None where none is to be written.

    Raises:
        UsageError: nobody answers for it, or the target is none.
    """
    from mlflow_rank.errors import UsageError
    from mlflow_rank.reports.studies.calibration.proposed_policy import PolicyTerms
    from mlflow_rank.workflow.deciding import asked_target
    from mlflow_rank.workflow.studies.calibrating import check_terms

    if options["policy_out"] is None:
        return None
    if not options["owner"]:
        raise UsageError("nobody answers for the policy", expected="--owner NAME, a person or a team")
    terms = PolicyTerms(
        name=options["name"],
        owners=options["owner"],
        models=options["model_name"] or ("*",),
        target=asked_target(options["target"]),
        rank_bound=options["rank_bound"],
    )
    check_terms(terms)
    return terms


def _layer(text: str) -> Layer:
    from mlflow_rank.errors import UsageError
    from mlflow_rank.studies.calibration.cases import BEST

    if text == BEST:
        return BEST
    if not text.isdecimal():
        raise UsageError("no such layer", got=f"--pilot-layer {text}", expected="best, or a layer's number")
    return int(text)
