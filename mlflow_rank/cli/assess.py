"""`mlflow-rank assess`: ranks and pilots together, in one pass over shared audio."""

from __future__ import annotations

from typing import Any

import click

from mlflow_rank.cli import measure, pilot
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
    pilot_requests_of,
    rank_request_of,
    say,
    setting_of,
)
from mlflow_rank.cli.progress import TerminalProgress


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
def assess_command(**options: Any) -> None:
    """Measure the rank of every layer without labels, and pilot every layer with few labels.

    Audio that is both measured and labelled is heard once. The two results stand side by side in one MLflow run: rank
    is the early warning, the pilot the evidence. With --labels none only ranks are measured.

    \b
    Examples:
      mlflow-rank assess
      mlflow-rank assess --model my_checkpoint --audio dev.jsonl --task keyword,speaker --labels dev.jsonl
    """
    from mlflow_rank import workflow

    check_register(options)
    check_places(options)
    pilots = pilot_requests_of(options)
    if not pilots:
        measure.run_measure(options)
        return
    setting = setting_of(options)
    with TerminalProgress() as progress:
        assessment = workflow.assess(setting, rank_request_of(options), pilots, progress)
    if str(options["json_to"]) == "-":
        click.echo(workflow.as_json(workflow.both(assessment)), nl=False)
    else:
        measure.show(assessment.measurement, None)
        pilot.show(assessment.pilot, {"json_to": None})
        if options["json_to"] is not None:
            options["json_to"].write_text(workflow.as_json(workflow.both(assessment)), encoding="utf-8")
            say(f"written to {options['json_to']}")
    if options["output"]:
        workflow.write_assessment(assessment, options["output"])
        say(f"written to {options['output']}")
    if not options["use_mlflow"]:
        return
    try:
        recorded = workflow.record_assessment(
            assessment, destination_of(options), register=options["register"], kept_at=setting.output
        )
    except BaseException:  # Ctrl-C too: the blocks are gone by now, so --resume would start anew
        workflow.write_assessment(assessment, setting.output)
        say(f"the results are kept at {setting.output}")
        raise
    say(f"MLflow run {recorded.run.run_id} (to see it: {recorded.run.where})")
    if recorded.registered:
        say(f"registered as models:/{recorded.registered.name}/{recorded.registered.version}")
