"""`mlflow-rank study short-sounds`: what rank can say about sounds of less than a second."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlflow_rank.cli.optional import Optional
from mlflow_rank.cli.options import (
    CACHE,
    DEVICE,
    ENCODER,
    OPTIONAL_PATH,
    OPTIONAL_TEXT,
    REMOTE_CODE,
    STARTER_SETS,
    SWITCH,
    all_of,
    check_places,
    say,
)
from mlflow_rank.cli.progress import TerminalProgress
from mlflow_rank.cli.study.options import PRESENTATION, STUDY_SEED
from mlflow_rank.cli.study.presenting import present

if TYPE_CHECKING:
    from mlflow_rank.workflow.studies.short_sounds.studying import SoundsAsked

QUICK = {"lengths": "0.1,0.4", "counts": "50,100,200", "strides": "5", "duties": "0.25,1", "bursts": "", "snr": "10"}
QUICK_CLIPS = 400
QUICK_EACH = 200

SOUNDS = all_of(
    click.option(
        "--labels",
        "--audio",
        "labels",
        default="starter",
        show_default=True,
        help="Labelled clips: a manifest, with the label of --task, and speaker or session for the device.",
    ),
    click.option("--task", default="label:kind", show_default=True, help="keyword, or label:FIELD."),
    click.option("--clips", type=Optional(click.INT), default=None, help="Use so many clips, evenly from the classes."),
    click.option(
        "--noise", type=OPTIONAL_TEXT, default=None, help="Audio of machine noise.  [default: motor hum by formula]"
    ),
)

CONDITIONS = all_of(
    click.option("--lengths", default="0.1,0.2,0.4,0.8", show_default=True, help="Clips cut to at most so many s."),
    click.option("--counts", default="50,100,200,400", show_default=True, help="Fewer clips."),
    click.option("--strides", default="2,5", show_default=True, help="Ranks of every n-th frame."),
    click.option("--window", type=float, default=1.0, show_default=True, help="Window that bursts come in (s)."),
    click.option("--duties", default="0.1,0.25,0.5,1", show_default=True, help="Share of the window that is sound."),
    click.option("--bursts", default="4", show_default=True, help="Further numbers of bursts in the window."),
    click.option("--snr", default="10,0", show_default=True, help="Bursts in noise: ratios of sound to noise (dB)."),
    click.option("--duty", type=float, default=0.25, show_default=True, help="Duty of --bursts and --snr."),
    click.option(
        "--each",
        type=Optional(click.INT),
        default=400,
        show_default=True,
        help="Most clips of the conditions that are not whole clips; none: all.",
    ),
    click.option("--quick", is_flag=True, help="A first answer: fewer conditions and clips, no random weights."),
)

PRECISION = all_of(
    click.option(
        "--precision",
        type=float,
        default=0.05,
        show_default=True,
        help="Half width wanted of a rank's 95 % interval, as a share of the rank.",
    ),
    click.option(
        "--pilot-precision",
        type=float,
        default=0.05,
        show_default=True,
        help="Half width wanted of the pilot's 95 % interval: 0.05 is ±5 points.",
    ),
)


@click.command("short-sounds", short_help="Rank and pilot on short sounds, against a shuffled copy.")
@ENCODER
@SOUNDS
@CONDITIONS
@PRECISION
@click.option("--layer", type=Optional(click.INT), default=None, help="Layer of the tables.  [default: the pilot's]")
@click.option("--random", **SWITCH, default=True, show_default=True, help="Also hear random weights, whole clips only.")
@click.option("--test-share", type=float, default=0.5, show_default=True, help="Share of the devices to test on.")
@click.option("--channel", default="mix", show_default=True, help="mix, or a channel's number from 0.")
@click.option("--dtype", default="float32", show_default=True, help="float32, or bfloat16 (recorded).")
@click.option("--max-skipped", type=float, default=0.05, show_default=True, help="Share of bad audio to put up with.")
@click.option(
    "--keep",
    type=OPTIONAL_PATH,
    default=Path("mlflow_rank_study"),
    show_default=True,
    help="Where what was heard is kept, so that the same command goes on; none: nowhere.",
)
@DEVICE
@REMOTE_CODE
@CACHE
@STUDY_SEED
@PRESENTATION
def short_sounds_command(**options: Any) -> None:
    """Compare an encoder with its shuffled copy on short sounds, by rank and by pilot.

    The shuffled copy has the same weights with the entries of each tensor in another order: it has learnt nothing.
    Where its rank is higher while the pilot says that it is worse, rank puts the two in the wrong order, and cannot be
    relied on for such sounds. Clips are heard whole, cut, fewer, every n-th frame, and in bursts in silence and in
    noise; at every count the study measures how wide intervals are, and so how many clips a precision takes.

    \b
    Examples:
      mlflow-rank study short-sounds
      mlflow-rank study short-sounds --quick --no-mlflow
      mlflow-rank study short-sounds --model my_checkpoint --labels alarms.jsonl --task label:alarm --noise hall/
    """
    from mlflow_rank.reports.studies.short_sounds.report import report
    from mlflow_rank.workflow.setting import Setting
    from mlflow_rank.workflow.studies.short_sounds.studying import study_short_sounds

    check_places(options)
    options = _quick(options) if options["quick"] else options
    shared = ("model", "layers", "channel", "device", "dtype", "trust_remote_code", "seed", "max_skipped", "cache")
    setting = Setting(
        **{name: options[name] for name in shared}, tracking_uri=options["tracking_uri"], control=options["random"]
    )
    asked = _asked(options)
    try:
        with TerminalProgress() as progress:
            study = study_short_sounds(setting, asked, progress)
    except KeyboardInterrupt:
        if asked.keep is not None:
            say(f"what was heard is kept at {asked.keep}; the same command goes on from there")
        raise
    present(report(study), options)


def _quick(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with what `--quick` means, but for those that were given."""
    from click.core import ParameterSource

    context = click.get_current_context()
    fast = {**QUICK, "clips": QUICK_CLIPS, "each": QUICK_EACH, "random": False}
    left = {name for name in fast if context.get_parameter_source(name) is ParameterSource.DEFAULT}
    return {**options, **{name: value for name, value in fast.items() if name in left}}


def _asked(options: Mapping[str, Any]) -> SoundsAsked:
    from mlflow_rank.studies.short_sounds.study import Targets
    from mlflow_rank.workflow.studies.short_sounds.hearing import PilotPlan
    from mlflow_rank.workflow.studies.short_sounds.studying import STARTER_SOUNDS, SoundsAsked
    from mlflow_rank.workflow.studies.short_sounds.variants import SoundRequest

    conditions = SoundRequest(
        lengths=_numbers("--lengths", options["lengths"]),
        counts=_whole("--counts", options["counts"]),
        strides=_whole("--strides", options["strides"]),
        duties=_numbers("--duties", options["duties"]),
        bursts=_whole("--bursts", options["bursts"]),
        ratios=_numbers("--snr", options["snr"]),
        busy=options["duty"],
        window=options["window"],
        each=options["each"],
    )
    labels = options["labels"]
    if labels == "starter":
        words = STARTER_SETS.get(options["task"])
        labels = STARTER_SOUNDS if words is None else f"starter:in_domain/{words}"
    return SoundsAsked(
        labels=labels,
        task=options["task"],
        conditions=conditions,
        most=options["clips"],
        noise=options["noise"],
        layer=options["layer"],
        targets=Targets(options["precision"], options["pilot_precision"]),
        plan=PilotPlan(options["seed"], options["test_share"]),
        keep=options["keep"],
    )


def _numbers(option: str, text: str) -> tuple[float, ...]:
    """Return the numbers of a text such as "0.1,0.4"; none of an empty one or of `none`."""
    from mlflow_rank.errors import UsageError

    parts = [part.strip() for part in text.split(",") if part.strip() and part.strip().lower() != "none"]
    try:
        return tuple(float(part) for part in parts)
    except ValueError as error:
        raise UsageError(
            "bad numbers", got=f"{option} {text}", expected="numbers separated by commas, or none"
        ) from error


def _whole(option: str, text: str) -> tuple[int, ...]:
    from mlflow_rank.errors import UsageError

    numbers = _numbers(option, text)
    if not all(number.is_integer() for number in numbers):
        raise UsageError("bad numbers", got=f"{option} {text}", expected="whole numbers separated by commas")
    return tuple(int(number) for number in numbers)
