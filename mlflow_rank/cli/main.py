"""`mlflow-rank`: one command, few verbs, and exit codes that differ."""

from __future__ import annotations

import sys
import traceback
from typing import NoReturn

import click

import mlflow_rank
from mlflow_rank.cli.approve import approve_command, reject_command
from mlflow_rank.cli.assess import assess_command
from mlflow_rank.cli.audit import audit_group
from mlflow_rank.cli.break_glass import break_glass_command
from mlflow_rank.cli.db import db_group
from mlflow_rank.cli.decide import decide_command
from mlflow_rank.cli.doctor import doctor_command
from mlflow_rank.cli.evidence import evidence_group
from mlflow_rank.cli.keys import keys_group
from mlflow_rank.cli.measure import measure_command
from mlflow_rank.cli.options import say
from mlflow_rank.cli.pilot import pilot_command
from mlflow_rank.cli.policy import policy_group
from mlflow_rank.cli.promote import promote_command
from mlflow_rank.cli.request import request_group
from mlflow_rank.cli.review import review_command
from mlflow_rank.cli.rollback import rollback_command
from mlflow_rank.cli.server import server_command
from mlflow_rank.cli.status import status_command
from mlflow_rank.cli.study.group import study_group
from mlflow_rank.cli.submit import submit_command
from mlflow_rank.cli.waive import waive_command
from mlflow_rank.cli.watch import watch_command
from mlflow_rank.cli.webhooks import webhooks_group
from mlflow_rank.cli.why import why_command
from mlflow_rank.errors import MlflowRankError

FAULT = 3  # nothing could be decided
INTERRUPTED = 130  # 128 + SIGINT, as shells have it
_STOPPED = dict.fromkeys(
    ("measure", "pilot", "assess"),
    "what was heard so far is kept; the same command with --resume goes on from there",
) | {
    "watch": "what was judged is kept; the same command goes on from there",
    "study": "what was assessed is kept; the same command goes on from there",
}
_STOPPED_ELSE = "what was not said to be done was not done; the same command may be given again"


class Verbs(click.Group):
    """Turns our errors into a message for people and an exit code for pipelines."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the verb; a `MlflowRankError` ends with its own exit code, Ctrl-C with 130, a fault of ours with 3."""
        try:
            return super().invoke(ctx)
        except MlflowRankError as error:
            _end(f"{error.heading}{error}", error.exit_code)
        except KeyboardInterrupt:
            _end(f"stopped: {_STOPPED.get(str(ctx.invoked_subcommand), _STOPPED_ELSE)}", INTERRUPTED)
        except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
            raise  # click knows what to do
        except Exception:
            # Python's own exit code for this is 1, which pipelines read as "refused by policy".
            traceback.print_exc()
            _end("error: this is a fault in mlflow-rank; please report it with the lines above", FAULT)


def _end(message: str, exit_code: int) -> NoReturn:
    say(message)
    sys.exit(exit_code)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(mlflow_rank.__version__, prog_name="mlflow-rank")
def main() -> None:
    """Governance for self-supervised speech encoders in MLflow.

    \b
    measure      how many dimensions each layer of an encoder really uses, without labels
    pilot        how well each layer serves a task, with few labels and honest error bars
    assess       both together, in one pass over shared audio, and a decision
    watch        charts and alarms of checkpoints as they are written, or versions as they come
    study        what rank and pilot are worth on your data, and thresholds with their error rates
    decide       whether signed evidence is enough to promote a model, rule by rule
    policy       check, explain and try out policies
    evidence     look into evidence, and verify it years later
    audit        read the ledger of a gated registry, verify it, and prove what it says
    db           a second wall: triggers in the database of a gated registry
    server       MLflow's server with the gate in its registry
    doctor       whether the gate in front of you is shut, and what goes round it
    submit       hand evidence of a version in at a gated registry, and ask for its promotion
    request      requests that are open, and how to withdraw one
    status       what is placed where, and what is open
    why          what a version lacks, and who can supply it
    approve      a person's signed word for a promotion; reject: against it; waive: to put a rule aside
    promote      point a target at a version, if the policies approve
    rollback     back to a version that was approved before
    break-glass  in an emergency: a version without approval; review: looking at that afterwards
    webhooks     who outside is told what happens at the gate, and what did not reach them
    keys         make and show the keys that evidence is signed with

    Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 refused by policy, 2 wrong call or input,
    3 nothing trustworthy could be said, 130 stopped by Ctrl-C.
    """


for command in (
    measure_command,
    pilot_command,
    assess_command,
    watch_command,
    study_group,
    decide_command,
    policy_group,
    evidence_group,
    audit_group,
    db_group,
    server_command,
    doctor_command,
    submit_command,
    request_group,
    status_command,
    why_command,
    approve_command,
    reject_command,
    waive_command,
    promote_command,
    rollback_command,
    break_glass_command,
    review_command,
    webhooks_group,
    keys_group,
):
    main.add_command(command)
