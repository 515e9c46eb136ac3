"""Where the numbers of a study come from: the options that say it, and the table that they lead to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlflow_rank.cli.optional import Optional
from mlflow_rank.cli.options import (
    AUDIO,
    CACHE,
    CHECKPOINT_FORM,
    DEVICE,
    LAYERS,
    OPTIONAL_PATH,
    REMOTE_CODE,
    SWITCH,
    TASK,
    all_of,
    check_file,
    paths,
)

if TYPE_CHECKING:
    from mlflow_rank.studies.trajectories import Trajectories
    from mlflow_rank.workflow.progress import Progress
    from mlflow_rank.workflow.studies.gathering.assessing_checkpoints import AssessmentPlan
    from mlflow_rank.workflow.studies.gathering.gathered import Sources
    from mlflow_rank.workflow.studies.gathering.window import Window


STARTER = "starter"  # the labels that are taken where none are given


class Names(click.ParamType[tuple[str, ...]]):
    """Names separated by commas; `none` and nothing are no name."""

    name = "name[,name]"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the names."""
        parts = [part.strip() for part in str(value).split(",")]
        return tuple(part for part in parts if part and part.lower() != "none")


def names(*options: str, help: str, **more: Any) -> Any:  # noqa: A002 -- click's own word
    """Return an option that takes names, several times or separated by commas."""
    return click.option(*options, type=Names(), multiple=True, default=(), callback=_joined, help=help, **more)


def _joined(ctx: click.Context, param: click.Parameter, values: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for value in values or () for name in value))


WHENCE = all_of(
    paths("--checkpoints", help="Directories of checkpoints, each of one training run; or a directory of such."),
    names("--runs", help="MLflow runs that hold measurements and pilots: ids, or experiment:NAME."),
    names("--versions", help="Registered models, as models:/NAME: what is known of each version."),
    paths("--table", help="Tables as --save-table writes them."),
)

WHICH = all_of(
    click.option(
        "--from-step",
        type=Optional(click.INT),
        default=None,
        help="First step that is studied.  [default: 1, which leaves out random weights]",
    ),
    click.option("--to-step", type=Optional(click.INT), default=None, help="Last step that is studied."),
    click.option(
        "--at-most",
        type=Optional(click.INT),
        default=None,
        help="Assess so many checkpoints of each run, evenly by the logarithm of the step: a first answer.",
    ),
    CHECKPOINT_FORM,
    click.option(
        "--loss",
        type=OPTIONAL_PATH,
        default=None,
        help='Lines {"step", "loss"} of the training, in each run\'s directory.  [default: training.jsonl, or what a '
        "Hugging Face Trainer left]",
    ),
)

HOW = all_of(
    LAYERS,
    AUDIO,
    TASK,
    click.option("--shots", default="all", show_default=True, help="Training labels per class; the most is studied."),
    click.option("--draws", type=int, default=10, show_default=True, help="Seeded choices of the training labels."),
    click.option("--heads", default="ridge", show_default=True, help="ridge, logistic or centroid; the first counts."),
    click.option(
        "--pooling", default="mean", show_default=True, help="One vector per utterance: mean, mean_std or segments."
    ),
    click.option("--test-share", type=float, default=0.5, show_default=True, help="Share of the speakers to test on."),
    click.option("--log-mel", **SWITCH, default=False, show_default=True, help="Also pilot log-mel features."),
    click.option("--pilot-seed", type=int, default=0, show_default=True, help="Of samples and draws of labels."),
    click.option("--channel", default="mix", show_default=True, help="mix, or a channel's number from 0."),
    DEVICE,
    click.option("--dtype", default="float32", show_default=True, help="float32, or bfloat16 (recorded)."),
    click.option("--workers", default="auto", show_default=True, help="Processes that listen."),
    click.option(
        "--max-skipped", type=float, default=0.05, show_default=True, help="Share of bad audio to put up with."
    ),
    click.option(
        "--max-failed", type=float, default=0.2, show_default=True, help="Share of broken checkpoints to put up with."
    ),
    REMOTE_CODE,
    CACHE,
)

KEPT = all_of(
    click.option(
        "--keep",
        type=OPTIONAL_PATH,
        default=Path("mlflow_rank_study"),
        show_default=True,
        help="Where what was assessed is kept, and found again.",
    ),
    click.option(
        "--save-table",
        type=OPTIONAL_PATH,
        default=None,
        help="Write the table of all checkpoints, whatever the window, for --table.",
    ),
)

SOURCES = all_of(WHENCE, WHICH, HOW, KEPT)


def trajectories_of(options: Mapping[str, Any], progress: Progress) -> Trajectories:
    """Return the table that the options of SOURCES lead to, within the window.

    Raises:
        UsageError: no source, no checkpoint, nothing measured or piloted, different conventions, ….
        MeasurementError: too many checkpoints could not be assessed; MLflow cannot be reached.
    """
    return window_of(options).of(whole_table_of(options, progress))


def whole_table_of(options: Mapping[str, Any], progress: Progress) -> Trajectories:
    """Return the table with what is known outside of the window too, such as random weights; else as above."""
    from mlflow_rank.workflow.studies.gathering.gathered import gathered

    save_table = options["save_table"]
    check_file("--save-table", save_table)
    return gathered(sources_of(options), plan_of(options), progress, window=window_of(options), save_table=save_table)


def window_of(options: Mapping[str, Any]) -> Window:
    """Return which steps are studied: `sentence()` says it for `about`, `document()` for a study's document."""
    from mlflow_rank.workflow.studies.gathering.window import AFTER_RANDOM, Window

    first, last = options["from_step"], options["to_step"]
    return Window(AFTER_RANDOM if first is None else first, last, chosen=(first, last) != (None, None))


def sources_of(options: Mapping[str, Any]) -> Sources:
    """Return where the numbers are."""
    from mlflow_rank.monitoring.checkpoint_form import CheckpointForm
    from mlflow_rank.workflow.studies.gathering.gathered import Sources

    return Sources(
        tables=options["table"],
        form=CheckpointForm(options["loaded_as"], options["step_pattern"]),
        assess_versions=options["labels"] not in (None, STARTER),  # labels of one's own: meant to be used
        **{name: options[name] for name in ("checkpoints", "runs", "versions", "loss", "at_most")},
    )


def plan_of(options: Mapping[str, Any]) -> AssessmentPlan:
    """Return how checkpoints are assessed of which nothing is known yet."""
    from mlflow_rank.cli.options import pilot_requests_of, rank_request_of, setting_of
    from mlflow_rank.workflow.studies.gathering.assessing_checkpoints import AssessmentPlan
    from mlflow_rank.workflow.studies.gathering.kept_assessments import KEEP

    keep = options["keep"] or KEEP
    # the study's own --seed is of its resampling: another one must not have everything heard again
    asked = {**options, "seed": options["pilot_seed"], "against": None}
    asked |= {"model": "", "control": False, "resume": True, "output": keep}
    return AssessmentPlan(
        setting=setting_of(asked),
        rank=rank_request_of(asked),
        pilots=tuple(pilot_requests_of(asked)),
        keep=keep,
        loaded_as=options["loaded_as"],
        max_failed=options["max_failed"],
    )
