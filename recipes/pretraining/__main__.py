"""Pre-train under a monitor: `python -m recipes.pretraining`, which `mlflow run . -e pretrain` runs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import torch
from transformers.utils import logging as transformers_logging

from mlflow_rank.cli.main import INTERRUPTED
from mlflow_rank.cli.optional import Optional
from mlflow_rank.cli.options import OPTIONAL_PATH, OPTIONAL_TEXT, check_register, say
from mlflow_rank.cli.signing import KEY, signing_key
from mlflow_rank.errors import MlflowRankError
from mlflow_rank.monitoring.alarm import KINDS
from mlflow_rank.speech.starter.corpus import starter_corpus
from recipes.pretraining.carrying_out import carry_out
from recipes.pretraining.fault_injection import FAULTS, objective_of
from recipes.pretraining.plan import OBJECTIVES, PACE, Plan
from recipes.pretraining.pretraining import Pretraining
from recipes.pretraining.registering import chosen_steps, register
from recipes.pretraining.run_directory import RunDirectory
from recipes.pretraining.watching import mlflow_run_of, monitor_of
from recipes.starter_encoder.audio import read_stream

if TYPE_CHECKING:
    from mlflow_rank import RankMonitor
    from mlflow_rank.evidence.keys import PrivateKey

RUNS = Path("build/pretraining")
USUAL = Plan()


def kinds(ctx: click.Context, param: click.Parameter, text: str | None) -> tuple[str, ...]:
    """Return the kinds of alarms in a text with commas."""
    names = tuple(part.strip() for part in (text or "").split(",") if part.strip())
    unknown = [name for name in names if name not in KINDS]
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)}: not one of {', '.join(KINDS)}", ctx, param)
    return names


@click.command("pretrain")
@click.option(
    "--minutes", default=USUAL.minutes, show_default=True,
    help=f"Length: {PACE} steps each, on any machine. 60 for real.",
)  # fmt: skip
@click.option(
    "--objective", type=Optional(click.Choice(OBJECTIVES)), default=None,
    help=f"What is learnt: {' or '.join(OBJECTIVES)}.  [default: what the fault belongs to, else {USUAL.objective}]",
)  # fmt: skip
@click.option(
    "--fault", type=click.Choice(FAULTS), default=USUAL.fault, show_default=True,
    help="What goes wrong: the learning rate times 30; or the targets: one for all frames, or noise; or, of "
    "self_distillation, the encoder is its own teacher: no slow copy, no normalised targets, no stopped gradient.",
)  # fmt: skip
@click.option(
    "--fault-at", default=USUAL.fault_at, show_default=True, help="Share of the run after which it goes wrong."
)
@click.option("--seed", default=USUAL.seed, show_default=True)
@click.option("--threads", default=1, show_default=True, help="CPU threads; the weights depend on it in the last bits.")
@click.option(
    "--audio-minutes", type=Optional(click.FLOAT), default=None, help="Hear only so much of the corpus.  [default: all]"
)
@click.option(
    "--per-doubling", default=USUAL.per_doubling, show_default=True, help="Checkpoints in each doubling of the steps."
)
@click.option("--every", default=10, show_default=True, help="Steps between points of the monitor.")
@click.option(
    "--stop-on", type=OPTIONAL_TEXT, callback=kinds, default=None,
    help=f"Stop at an alarm of these kinds, comma separated: {', '.join(KINDS)}.",
)  # fmt: skip
@click.option(
    "--stop-after", type=Optional(click.INT), default=None, help="Interrupt the run after this step; --resume goes on."
)
@click.option(
    "--register", "register_as", type=OPTIONAL_TEXT, default=None,
    help="Register a few checkpoints as versions of NAME, with evidence.",
)  # fmt: skip
@click.option(
    "--output", type=OPTIONAL_PATH, default=None, help=f"Directory of a new run.  [default: the next in {RUNS}]"
)
@click.option(
    "--resume", type=OPTIONAL_PATH, default=None, help="Directory of a run to go on with, under the same settings."
)
@click.option("--mlflow/--no-mlflow", "use_mlflow", default=True, show_default=True, help="Draw the run in MLflow.")
@KEY
def main(**options: Any) -> None:
    """Pre-train the starter recipe's encoder for a few minutes under a monitor, with a fault if one is asked for.

    Ranks of every layer, charts and alarms are drawn in MLflow while it trains. The run is reproduced by its seed, and
    one that is interrupted goes on as if it had not been.

    \b
    Examples:
      python -m recipes.pretraining
      python -m recipes.pretraining --fault constant_targets --stop-on constant_collapse
      python -m recipes.pretraining --fault no_stop_gradient
    """
    try:
        pretrain(options)
    except MlflowRankError as error:
        say(f"{error.heading}{error}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        say("stopped; --resume with the run's directory goes on from its last checkpoint")
        sys.exit(INTERRUPTED)


def pretrain(options: Mapping[str, Any]) -> None:
    """Do what the options ask for."""
    objective = options["objective"] or objective_of(options["fault"])
    plan = Plan(**{field.name: options[field.name] for field in fields(Plan)} | {"objective": objective})
    check_register({"register": options["register_as"], **options})
    key = signing_key(options)
    transformers_logging.disable_progress_bar()
    torch.set_num_threads(options["threads"])
    directory = directory_of(options)
    corpus = starter_corpus(say=say)
    stream = read_stream(corpus, minutes=plan.audio_minutes)
    say(f"{len(stream) / 16_000 / 60:.0f} min of unlabelled speech, {plan.steps} steps, kept at {directory.path}")
    run = Pretraining.resumed(plan, stream, directory.state()) if options["resume"] else Pretraining(plan, stream)
    with monitor_of(
        run, directory, audio=str(corpus.manifest()), every=options["every"], stop_on=options["stop_on"], key=key,
        use_mlflow=options["use_mlflow"],
    ) as monitor:  # fmt: skip
        carry_out(run, directory, monitor, stop_after=options["stop_after"], say=say)
        directory.note({"step": run.step, "overhead": round(monitor.overhead, 4)})
    tell(monitor, run, directory)
    if options["register_as"] and (run.is_over or monitor.should_stop):
        versions(monitor, run, directory, options["register_as"], key)


def directory_of(options: Mapping[str, Any]) -> RunDirectory:
    """Return where the run lies or will lie.

    Raises:
        UsageError: there is a run where a new one is to begin, or none where one is to go on.
    """
    if options["resume"]:
        directory = RunDirectory(options["resume"])
        directory.state()
        return directory
    return RunDirectory.new(options["output"]) if options["output"] else RunDirectory.numbered(RUNS)


def tell(monitor: RankMonitor, run: Pretraining, directory: RunDirectory) -> None:
    """Print what became of the run."""
    say(f"the monitor took {100 * monitor.overhead:.1f} % on top of the training's own time")
    say(f"MLflow run {mlflow_run_of(directory) or '(none)'}")
    for alarm in monitor.alarms:
        click.echo(f"{'open' if alarm.is_open else 'over'}  {alarm.kind}: {alarm.message}")
    if not monitor.alarms:
        click.echo("no alarm")
    if not run.is_over:
        say(f"stopped after step {run.step} of {run.plan.steps}; to go on: --resume {directory.path}")


def versions(
    monitor: RankMonitor, run: Pretraining, directory: RunDirectory, name: str, key: PrivateKey | None
) -> None:
    """Register a few of the run's checkpoints, up to its last step."""
    saved = [step for step in {*run.plan.checkpoints, run.step} if step <= run.step]
    for version in register(directory, chosen_steps(saved), name, alarms=monitor.alarms, key=key, say=say):
        click.echo(version)


if __name__ == "__main__":
    main()
