"""`mlflow-rank pilot`: how well each layer serves a task with few labels."""

from __future__ import annotations

from typing import Any

import click

from mlflow_rank.cli.leaving import leave_evidence
from mlflow_rank.cli.options import (
    ENCODER,
    PILOT,
    RUN,
    SWITCH,
    TASK,
    check_places,
    destination_of,
    pilot_requests_of,
    say,
    setting_of,
)
from mlflow_rank.cli.progress import TerminalProgress
from mlflow_rank.cli.signing import KEY, signing_key


@click.command("pilot", short_help="How well each layer serves a task, with few labels.")
@ENCODER
@TASK
@PILOT
@click.option(
    "--control",
    **SWITCH,
    default=True,
    show_default=True,
    help="Also pilot the same architecture with random weights: a pilot that it passes proves nothing.",
)
@RUN
@KEY
def pilot_command(**options: Any) -> None:
    """Train small probes on every layer with few labels, and test them on speakers that they have not heard.

    One forward pass serves all layers. Every score comes with a 95 % interval over speakers, with chance, log-mel
    features and the same architecture with random weights beside it, and with the smallest difference that this test
    set can resolve. Layers are chosen by the pilot inside its training labels, never by rank.

    \b
    Examples:
      mlflow-rank pilot
      mlflow-rank pilot --task phone,keyword,speaker
      mlflow-rank pilot --model my_checkpoint --task label:alarm --labels alarms.jsonl --shots 5,all
      mlflow-rank pilot --model models:/encoder/7 --against models:/encoder@champion --task speaker --labels dev.csv
    """
    from mlflow_rank import workflow
    from mlflow_rank.errors import UsageError

    check_places(options)
    key = signing_key(options)
    setting = setting_of(options)
    requests = pilot_requests_of(options)
    if not requests:
        raise UsageError("there is nothing to pilot", got="--labels none", expected="labelled audio, and a task")
    with TerminalProgress() as progress:
        document = workflow.pilot(setting, requests, progress)
    show(document, options)
    if options["output"]:
        workflow.write_pilot(document, options["output"])
        say(f"written to {options['output']}")
    if not options["use_mlflow"]:
        leave_evidence(options, key=key, pilot=document)
        return
    try:
        run = workflow.record_pilots(document, destination_of(options), kept_at=setting.output)
    except BaseException:  # Ctrl-C too: the blocks are gone by now, so --resume would start anew
        workflow.write_pilot(document, setting.output)
        say(f"the results are kept at {setting.output}")
        raise
    leave_evidence(options, key=key, pilot=document, recorded=workflow.Recorded(run, None))


def show(document: Any, options: Any) -> None:
    """Print the tables, or the document where stdout is asked for; write it where a file is."""
    from mlflow_rank.reports.pilot_table import print_pilot
    from mlflow_rank.workflow import as_json

    json_to = options["json_to"]
    if json_to is not None and str(json_to) == "-":
        click.echo(as_json(document), nl=False)
        return
    if json_to is not None:
        json_to.write_text(as_json(document), encoding="utf-8")
        say(f"written to {json_to}")
    print_pilot(document)
