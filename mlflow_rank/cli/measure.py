"""`mlflow-rank measure`: ranks of every layer, as a table, a JSON document and an MLflow run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mlflow_rank.cli.optional import Optional
from mlflow_rank.cli.progress import TerminalProgress

OPTIONAL_PATH = Optional(click.Path(path_type=Path))
OPTIONAL_TEXT = Optional(click.STRING)
# `--control` and `--control false` both work: an MLproject can only pass values
SWITCH: dict[str, Any] = {"is_flag": False, "flag_value": True, "type": click.BOOL, "metavar": "[true|false]"}


@click.command("measure", short_help="Rank of every layer of an encoder, without labels.")
@click.option(
    "--model",
    default="starter",
    show_default=True,
    help="A Hugging Face directory or id; torchaudio:BUNDLE[@STATE]; module:PACKAGE.MODULE:FACTORY; "
    "models:/NAME/VERSION, models:/NAME@ALIAS or runs:/ID/PATH; starter. With random: in front: the same architecture "
    "with random weights.",
)
@click.option(
    "--audio",
    default="starter",
    show_default=True,
    help="A directory of audio; a manifest (.jsonl .csv .tsv .parquet); a Hugging Face dataset saved to disk; starter.",
)
@click.option(
    "--layers",
    type=OPTIONAL_TEXT,
    default="all",
    show_default=True,
    help='"all", "last" or "0,3,6-12"; for module: encoders, name patterns.',
)
@click.option(
    "--preset",
    default="robust",
    show_default=True,
    help="robust: all metrics and levels. rankme_t: RankMe of summed frames only (reconstructed, see the README).",
)
@click.option("--hours", type=Optional(click.FLOAT), default=1.0, show_default=True, help="Budget of audio; none: all.")
@click.option("--utterances", type=Optional(click.INT), default=None, help="Budget of utterances.  [default: none]")
@click.option("--frame-stride", type=int, default=1, show_default=True, help="Count every n-th frame.")
@click.option("--min-duration", type=float, default=0.05, show_default=True, help="Leave out shorter utterances (s).")
@click.option("--max-duration", type=float, default=30.0, show_default=True, help="Leave out longer utterances (s).")
@click.option("--channel", default="mix", show_default=True, help="mix, or a channel's number from 0.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the sample and of random weights.")
@click.option("--blocks", type=int, default=10, show_default=True, help="Groups for the jackknife interval.")
@click.option("--intervals", **SWITCH, default=True, show_default=True, help="Estimate uncertainty and bias.")
@click.option(
    "--control",
    **SWITCH,
    default=False,
    show_default=True,
    help="Also measure the same architecture with random weights: a reference, not a bar to beat.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--dtype", default="float32", show_default=True, help="float32, or bfloat16 (recorded).")
@click.option(
    "--workers",
    default="auto",
    show_default=True,
    help="Processes that listen. auto: one for each 20 minutes of audio, at most the cores and 4; one on a GPU.",
)
@click.option("--max-skipped", type=float, default=0.05, show_default=True, help="Share of bad audio to put up with.")
@click.option("--trust-remote-code", is_flag=True, help="Run code that comes with a Hugging Face checkpoint.")
@click.option(
    "--json",
    "json_to",
    type=OPTIONAL_PATH,
    default=None,
    help="Write the document to FILE; - for stdout, which then holds nothing else.",
)
@click.option("--output", type=OPTIONAL_PATH, default=None, help="Also write document, layer table and figures here.")
@click.option("--mlflow/--no-mlflow", "use_mlflow", default=True, show_default=True, help="Record a run in MLflow.")
@click.option(
    "--tracking-uri", type=OPTIONAL_TEXT, default=None, help="MLflow's store.  [default: MLflow's own choice]"
)
@click.option("--experiment", type=OPTIONAL_TEXT, default=None, help="MLflow experiment.  [default: mlflow_rank]")
@click.option("--run-name", type=OPTIONAL_TEXT, default=None, help="Name of the MLflow run.")
@click.option("--register", type=OPTIONAL_TEXT, default=None, help="Log the encoder as a model, registered as NAME.")
@click.option("--resume", is_flag=True, help="Go on where an interrupted run of the same measurement stopped.")
@click.option("--cache", type=OPTIONAL_PATH, default=None, help="Place of the starter corpus and of finished blocks.")
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
    from mlflow_rank import workflow
    from mlflow_rank.errors import UsageError
    from mlflow_rank.registry.flavor import check_model_name
    from mlflow_rank.registry.tracking import Destination
    from mlflow_rank.speech.sampling import Sampling

    if options["register"] and not options["use_mlflow"]:
        raise UsageError("--register needs MLflow", got="--no-mlflow", remedy="leave out one of the two")
    check_model_name(options["register"])
    _check_places(options["json_to"], options["output"])
    setting = workflow.Setting(
        model=options["model"],
        layers=options["layers"],
        channel=options["channel"],
        device=options["device"],
        dtype=options["dtype"],
        trust_remote_code=options["trust_remote_code"],
        seed=options["seed"],
        workers=_workers(options["workers"]),
        control=options["control"],
        max_skipped=options["max_skipped"],
        resume=options["resume"],
        cache=options["cache"],
        tracking_uri=options["tracking_uri"],
        output=options["output"] or workflow.DEFAULT_OUTPUT,
    )
    request = workflow.RankRequest(
        audio=options["audio"],
        preset=options["preset"],
        sampling=Sampling(
            hours=options["hours"],
            utterances=options["utterances"],
            frame_stride=options["frame_stride"],
            min_duration=options["min_duration"],
            max_duration=options["max_duration"],
            seed=options["seed"],
            blocks=options["blocks"],
        ),
        intervals=options["intervals"],
    )
    with TerminalProgress() as progress:
        measurement = workflow.measure(setting, request, progress)
    show(measurement, options["json_to"])
    if options["output"]:
        workflow.write_results(measurement, options["output"])
        _say(f"written to {options['output']}")
    if not options["use_mlflow"]:
        return
    try:
        recorded = workflow.record(
            measurement,
            Destination(options["tracking_uri"], options["experiment"], options["run_name"]),
            register=options["register"],
            kept_at=setting.output,
        )
    except BaseException:  # Ctrl-C too: the blocks are gone by now, so --resume would start anew
        workflow.write_results(measurement, setting.output)
        _say(f"the results are kept at {setting.output}")
        raise
    _say(f"MLflow run {recorded.run.run_id} (to see it: {recorded.run.where})")
    if recorded.registered:
        _say(f"registered as models:/{recorded.registered.name}/{recorded.registered.version}")


def show(measurement: Any, json_to: Path | None) -> None:
    """Print the table, or the document where stdout is asked for; write it where a file is."""
    from mlflow_rank.reports.table import print_table
    from mlflow_rank.workflow import as_json

    if json_to is not None and str(json_to) == "-":
        click.echo(as_json(measurement.document), nl=False)
        return
    if json_to is not None:
        json_to.write_text(as_json(measurement.document), encoding="utf-8")
        _say(f"written to {json_to}")
    print_table(measurement.document, control=measurement.control)


def _workers(text: str) -> int | None:
    """Return how many processes are asked for, None for auto."""
    from mlflow_rank.errors import UsageError

    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UsageError("bad number of processes", got=f"--workers {text}", expected="auto, or a number from 1")
    return int(text)


def _check_places(json_to: Path | None, output: Path | None) -> None:
    """Refuse places that nothing can be written to before hours are spent on what should be."""
    from mlflow_rank.errors import UsageError

    if json_to is not None and str(json_to) != "-" and (json_to.is_dir() or not json_to.parent.is_dir()):
        raise UsageError(
            "the document cannot be written there", got=f"--json {json_to}", expected="a file in an existing directory"
        )
    if output is not None and output.exists() and not output.is_dir():
        raise UsageError("the results cannot be written there", got=f"--output {output}", expected="a directory")


def _say(text: str) -> None:
    click.echo(text, err=True)
