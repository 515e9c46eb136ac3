"""`mlflow-rank study`: what ranks and pilots are worth here, and where thresholds should be."""

from __future__ import annotations

import click

from mlflow_rank.cli.study.calibrate import calibrate_command
from mlflow_rank.cli.study.compare import compare_command
from mlflow_rank.cli.study.correlate import correlate_command
from mlflow_rank.cli.study.plan import plan_command
from mlflow_rank.cli.study.predict import predict_command
from mlflow_rank.cli.study.protocol import protocol_command
from mlflow_rank.cli.study.short_sounds import short_sounds_command


class InOrderOfUse(click.Group):
    """Lists its studies in the order in which a team comes to them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the studies as they were added."""
        return list(self.commands)


@click.group("study", cls=InOrderOfUse, short_help="Does rank predict the pilot here, and where should thresholds be?")
def study_group() -> None:
    """Say, on your own data, what ranks and pilots are worth, and where thresholds should be.

    Each study prints what it found, and is kept in MLflow as a run with tables, figures and one page. None of them
    approves anything: what is promoted is decided by a policy on signed evidence.

    Begin with plan, before anything is labelled. The examples of each study are in its own --help.
    """


for command in (
    plan_command,
    correlate_command,
    predict_command,
    short_sounds_command,
    calibrate_command,
    protocol_command,
    compare_command,
):
    study_group.add_command(command)
