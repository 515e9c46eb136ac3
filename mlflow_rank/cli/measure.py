"""`mlflow-rank measure`: ranks of every layer, as a table, a JSON document and an MLflow run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlflow_rank.cli.leaving import Left, leave_evidence
from mlflow_rank.cli.options import (
    AUDIO,
    ENCODER,
    OPTIONAL_TEXT,
    RUN,
    SWITCH,
    check_places,
    check_register,
    destination_of,
    rank_request_of,
    say,
    setting_of,
)
from mlflow_rank.cli.progress import TerminalProgress
from mlflow_rank.cli.signing import KEY, signing_key

if TYPE_CHECKING:
    from mlflow_rank.evidence.keys import PrivateKey


@click.command("measure", short_help="Rank of every layer of an encoder, without labels.")
@ENCODER
@AUDIO
@click.option(
    "--control",
    **SWITCH,
    default=False,
    show_default=True,
    help="Also measure the same architecture with random weights: a reference, not a bar to beat.",
)
@click.option("--register", type=OPTIONAL_TEXT, default=None, help="Log the encoder as a model, registered as NAME.")
@RUN
@KEY
def measure_command(**options: Any) -> None:
    """Measure how many dimensions each layer of an encoder really uses, on unlabelled audio.

    One forward pass feeds every layer: effective rank of frames and of utterance means, centred and not, with 95 %
    intervals by a jackknife over speakers (or utterances) and the bias of small samples corrected. Rank is an early
    warning: it follows training within a layer, it does not pick the best layer and does not approve a model.

    \b
    Examples:
      mlflow-rank measure
      mlflow-rank measure --model facebook/hubert-base-ls960 --audio recordings/ --control
      mlflow-rank measure --model ckpt/step_20000 --audio dev.jsonl --hours 2 --workers 2 --json ranks.json
      mlflow-rank measure --model models:/encoder@champion --audio dev.tsv --layers 0,6,12
    """
    check_register(options)
    check_places(options)
    run_measure(options, signing_key(options))


def run_measure(options: Mapping[str, Any], key: PrivateKey | None) -> Left:
    """Measure, show and record what the options ask for."""
    from mlflow_rank import workflow

    setting = setting_of(options)
    request = rank_request_of(options)
    with TerminalProgress() as progress:
        measurement = workflow.measure(setting, request, progress)
    show(measurement, options["json_to"])
    if options["output"]:
        workflow.write_results(measurement, options["output"])
        say(f"written to {options['output']}")
    if not options["use_mlflow"]:
        return leave_evidence(options, key=key, measurement=measurement.document)
    try:
        recorded = workflow.record(
            measurement, destination_of(options), register=options["register"], kept_at=setting.output
        )
    except BaseException:  # Ctrl-C too: the blocks are gone by now, so --resume would start anew
        workflow.write_results(measurement, setting.output)
        say(f"the results are kept at {setting.output}")
        raise
    return leave_evidence(options, key=key, measurement=measurement.document, recorded=recorded)


def show(measurement: Any, json_to: Path | None) -> None:
    """Print the table, or the document where stdout is asked for; write it where a file is."""
    from mlflow_rank.reports.table import print_table
    from mlflow_rank.workflow import as_json

    if json_to is not None and str(json_to) == "-":
        click.echo(as_json(measurement.document), nl=False)
        return
    if json_to is not None:
        json_to.write_text(as_json(measurement.document), encoding="utf-8")
        say(f"written to {json_to}")
    print_table(measurement.document, control=measurement.control)
