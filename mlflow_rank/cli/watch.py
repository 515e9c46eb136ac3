"""`mlflow-rank watch`: charts and alarms of checkpoints as they are written, or of versions as they are registered."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlflow_rank.cli.optional import Optional
from mlflow_rank.cli.options import (
    CACHE,
    CHECKPOINT_FORM,
    DEVICE,
    LAYERS,
    OPTIONAL_PATH,
    OPTIONAL_TEXT,
    RECORDING,
    REMOTE_CODE,
    SOUND,
    SWITCH,
    all_of,
    check_places,
    destination_of,
    paths,
    say,
)
from mlflow_rank.cli.progress import TerminalProgress
from mlflow_rank.cli.signing import KEY, signing_key

if TYPE_CHECKING:
    from mlflow_rank.workflow.watch_loop import Until
    from mlflow_rank.workflow.watching import Watched, WatchRequest

WHICH = all_of(
    CHECKPOINT_FORM,
    click.option("--every", type=int, default=1, show_default=True, help="At least so many steps between points."),
    click.option(
        "--settle",
        type=float,
        default=5.0,
        show_default=True,
        help="Seconds for which files must lie still. What cannot be loaded is tried again for twelve times as long.",
    ),
)

PROBE = all_of(
    SOUND,
    click.option("--utterances", type=int, default=64, show_default=True, help="How many are heard at each point."),
    click.option("--seconds", type=float, default=4.0, show_default=True, help="Of each, from its beginning."),
    click.option("--seed", type=int, default=0, show_default=True, help="What they are drawn with."),
)

JUDGING = all_of(
    click.option(
        "--false-alarms",
        type=float,
        default=0.001,
        show_default=True,
        help="Alarms that a healthy run may raise per point.",
    ),
    paths("--baseline", help="Past healthy runs to calibrate on: points.jsonl, or the directory that holds it."),
)

ENDING = all_of(
    click.option("--once", is_flag=True, help="Judge what is there, then end."),
    click.option("--until-step", type=Optional(click.INT), default=None, help="End at a point of this step or later."),
    click.option("--idle", type=OPTIONAL_TEXT, default=None, help="End after so long without a new point: 30m, 2h."),
    click.option(
        "--stop-on",
        type=OPTIONAL_TEXT,
        default=None,
        help="End with 1 as soon as such an alarm is open: constant_collapse, dimensional_collapse, divergence, "
        "disagreement, several separated by commas; or any.",
    ),
)

LEAVING = all_of(
    click.option(
        "--output",
        type=OPTIONAL_PATH,
        default=None,
        help="Where points, alarms and evidence are kept, and found again.  [default: below mlflow_rank_monitor]",
    ),
    click.option(
        "--json",
        "json_to",
        type=OPTIONAL_PATH,
        is_flag=False,
        flag_value=Path("-"),
        default=None,
        help="Print the result as JSON, or write it to FILE.",
    ),
    click.option("--submit", **SWITCH, default=False, show_default=True, help="Hand it in at the gate, for versions."),
    click.option(
        "--deliver",
        type=OPTIONAL_PATH,
        default=None,
        help="Watch nothing: bring to MLflow what a monitor kept in this directory and could not deliver.",
    ),
)


@click.command("watch", short_help="Charts and alarms of checkpoints as they are written.")
@click.argument("source", required=False)
@WHICH
@PROBE
@LAYERS
@DEVICE
@REMOTE_CODE
@JUDGING
@ENDING
@LEAVING
@RECORDING
@CACHE
@KEY
def watch_command(source: str | None, **options: Any) -> None:
    """Watch SOURCE, a directory of checkpoints or models:/NAME, and warn of collapse.

    Each checkpoint is heard once, on a few utterances, always the same; every layer's rank is charted in MLflow and
    held against the run's own history. A checkpoint is a directory that measure can load, such as checkpoint-500 or
    step_000500; --as says how others are loaded. Those still being written are waited for; broken ones are tried again
    for a minute, then passed over with their cause. Steps are judged in order: one that comes too late is passed over.
    A version's step is its tag training_step, or its run's tag or parameter of that name, else its number; a tag may be
    set up to a minute after registering. Versions of one model must come of one training to be charted together.

    It goes on until Ctrl-C, --until-step or --idle, and the same command goes on from there. What it says of alarms is
    left as evidence about each checkpoint, which a policy's no_open_alarm rule reads. Exit codes: 0 no alarm is open,
    1 one is, or the gate refused evidence, 3 nothing could be judged, 130 stopped by Ctrl-C.

    \b
    Examples:
      mlflow-rank watch runs/pretrain --audio dev.jsonl
      mlflow-rank watch runs/pretrain --audio dev.jsonl --stop-on any; test $? = 1 && kill $TRAINING
      mlflow-rank watch runs/pretrain --once --json alarms.json
      mlflow-rank watch ckpt --as 'torchaudio:HUBERT_BASE@{path}' --step-pattern 'update_([0-9]+)'
      mlflow-rank watch models:/encoder --idle 2h --key monitor.key --submit
      mlflow-rank watch --deliver mlflow_rank_monitor/pretrain-1f0c2a
    """
    from mlflow_rank import workflow
    from mlflow_rank.errors import UsageError

    if options["deliver"] is not None:
        if source is not None:
            raise UsageError("nothing is watched while something is delivered", got=f"{source} and --deliver")
        _deliver(options)
        return
    if source is None:
        raise UsageError("nothing to watch", expected="a directory of checkpoints, or models:/NAME")
    check_places(options)
    from mlflow_rank.workflow.watching import watch

    request = request_of(source, options)
    shared = ("layers", "device", "trust_remote_code", "cache", "tracking_uri")
    setting = workflow.Setting(model=source, **{name: options[name] for name in shared})
    destination = destination_of(options) if options["use_mlflow"] else None
    key = signing_key(options)
    with TerminalProgress() as progress:
        watched = watch(request, setting, progress, destination=destination, key=key)
    _show(watched, options["json_to"])
    if not watched.loop.verdicts:
        raise watched.nothing_judged()
    sys.exit(1 if watched.open_alarms or watched.refused else 0)


def request_of(source: str, options: Mapping[str, Any]) -> WatchRequest:
    """Return the watch that the options ask for."""
    from mlflow_rank.monitoring.checkpoint_form import CheckpointForm
    from mlflow_rank.monitoring.limits import Limits
    from mlflow_rank.workflow.watch_loop import Probed
    from mlflow_rank.workflow.watching import WatchRequest

    return WatchRequest(
        source=source,
        probed=Probed(*(options[name] for name in ("audio", "utterances", "seconds", "seed"))),
        until=_until(options),
        form=CheckpointForm(options["loaded_as"], options["step_pattern"]),
        limits=Limits(false_alarms=options["false_alarms"]),
        directory=options["output"],
        **{name: options[name] for name in ("every", "settle", "baseline", "submit")},
    )


def _until(options: Mapping[str, Any]) -> Until:
    from mlflow_rank.errors import UsageError
    from mlflow_rank.monitoring.alarm import KINDS
    from mlflow_rank.workflow.durations import lasting
    from mlflow_rank.workflow.watch_loop import Until

    wanted = [part.strip().replace("-", "_") for part in (options["stop_on"] or "").split(",") if part.strip()]
    unknown = [kind for kind in wanted if kind not in (*KINDS, "any")]
    if unknown:
        raise UsageError("no such alarm", got=f"--stop-on {', '.join(unknown)}", expected=f"any, or {', '.join(KINDS)}")
    stop_on = tuple(kind for kind in KINDS if kind in wanted or "any" in wanted)
    idle = None if options["idle"] is None else lasting(options["idle"]).total_seconds()
    return Until(options["once"], options["until_step"], idle, stop_on)


def _deliver(options: Mapping[str, Any]) -> None:
    from mlflow_rank.registry.runs.late_delivery import deliver

    delivered = deliver(options["deliver"], tracking_uri=options["tracking_uri"])
    say(f"delivered: {delivered.points} points to run {delivered.run.run_id} (to see it: {delivered.run.where})")


def _show(watched: Watched, json_to: Path | None) -> None:
    """Print the alarms, or the document where stdout is asked for; write it where a file is."""
    from mlflow_rank.reports.alarms_table import print_alarms
    from mlflow_rank.workflow import as_json

    if watched.run is not None:
        say(f"MLflow run {watched.run.run_id} (to see it: {watched.run.where})")
    if json_to is not None and str(json_to) == "-":
        click.echo(as_json(watched.document()), nl=False)
        return
    if json_to is not None:
        json_to.write_text(as_json(watched.document()), encoding="utf-8")
        say(f"written to {json_to}")
    if watched.loop.verdicts:
        print_alarms(watched.alarms)
