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


@click.group("study", short_help="Does rank predict the pilot here, and where should thresholds be?")
def study_group() -> None:
    """Say, on your own data, what ranks and pilots are worth, and where thresholds should be.

    Each study prints what it found, and is kept in MLflow as a run with tables, figures and one page. None of them
    approves anything: what is promoted is decided by a policy on signed evidence.

    \b
    plan          labels, speakers and minutes that a stated resolution takes, before anything is labelled
    correlate     how well rank tracked the pilot within layers, and whether it picked the layer
    predict       whether ranks foretell the pilot of a run not seen, better than its step does
    short-sounds  what length, number and gaps of your short sounds do to rank and pilot
    calibrate     floors, envelopes and margins from versions with a known outcome, as a policy file
    protocol      one page that says how this organisation measures
    compare       two results side by side, if they were measured alike
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
