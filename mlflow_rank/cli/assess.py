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
    check_places,
    destination_of,
    pilot_settings_of,
    rank_request_of,
    say,
    setting_of,
)
from mlflow_rank.cli.progress import TerminalProgress

STARTER_LABELS = {"keyword": "keywords", "speaker": "speakers", "phone": "phones"}


@click.command("assess", short_help="Ranks and pilots together: what `mlflow run .` does.")
@ENCODER
@AUDIO
@click.option(
    "--task",
    default="keyword",
    show_default=True,
    help="keyword, speaker, phone or label:FIELD; several separated by commas.",
)
@click.option(
    "--labels",
    default="starter",
    show_default=True,
    help="Labelled audio to train and test on; starter: the starter corpus's own set for each task.",
)
@click.option(
    "--labels-ood",
    type=OPTIONAL_TEXT,
    default=None,
    help="Labelled audio of another domain, only tested on.  [default: with --labels starter its own, else none]",
)
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
    is the early warning, the pilot the evidence.

    \b
    Examples:
      mlflow-rank assess
      mlflow-rank assess --model my_checkpoint --audio dev.jsonl --task keyword,speaker --labels dev.jsonl
    """
    from mlflow_rank import workflow
    from mlflow_rank.errors import UsageError
    from mlflow_rank.registry.flavor import check_model_name

    if options["register"] and not options["use_mlflow"]:
        raise UsageError("--register needs MLflow", got="--no-mlflow", remedy="leave out one of the two")
    check_model_name(options["register"])
    check_places(options)
    setting = setting_of(options)
    tasks = [name.strip() for name in options["task"].split(",") if name.strip()]
    pilots = [_request(task, options) for task in tasks]
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


def _request(task: str, options: Any) -> Any:
    from mlflow_rank.errors import UsageError
    from mlflow_rank.workflow import PilotRequest

    labels, outside = options["labels"], options["labels_ood"]
    if labels == "starter":
        name = STARTER_LABELS.get(task)
        if name is None and not task.startswith("label:"):
            raise UsageError("no such task", got=task, expected="phone, keyword, speaker or label:FIELD")
        labels = f"starter:in_domain/{name}" if name else "starter:sounds"
        outside = outside or (f"starter:out_of_domain/{name}" if name else None)
    return PilotRequest(task=task, labels=labels, labels_ood=outside, **pilot_settings_of(options))
