"""`mlflow-rank study plan`: how many utterances, labels and speakers it takes, and what that costs."""

from __future__ import annotations

from typing import Any

import click

from mlflow_rank.cli.optional import Optional
from mlflow_rank.cli.options import DEVICE, OPTIONAL_PATH, OPTIONAL_TEXT, REMOTE_CODE, all_of, check_places
from mlflow_rank.cli.progress import TerminalProgress
from mlflow_rank.cli.study.options import PRESENTATION
from mlflow_rank.cli.study.presenting import present

_SHARE, _WHOLE = Optional(click.FLOAT), Optional(click.INT)


def _number(*names: str, help: str, whole: bool = False) -> Any:  # noqa: A002 -- click's own word
    return click.option(*names, type=_WHOLE if whole else _SHARE, default=None, help=help)


ASKED = all_of(
    click.option("--task", default="keyword", show_default=True, help="keyword, speaker, phone or label:FIELD."),
    click.option(
        "--resolution", type=float, default=0.05, show_default=True, help="Smallest difference of scores to be seen."
    ),
    _number("--margin", help="Also: show not to be worse than the champion by this, as pilot_not_worse asks."),
    click.option("--power", type=float, default=0.8, show_default=True, help="How surely it must be seen."),
    click.option(
        "--alpha",
        type=float,
        default=0.05,
        show_default=True,
        help="Level: two-sided for --resolution, half of it one-sided for --margin.",
    ),
)

EXPECTED = all_of(
    click.option("--pilot", type=OPTIONAL_PATH, default=None, help="A pilot's JSON, for what options do not say."),
    _number("--accuracy", help="Expected score.  [default: the pilot's, else 0.8]"),
    click.option(
        "--paired/--unpaired", default=True, show_default=True, help="Both encoders on the same test items, or not."
    ),
    _number(
        "--discordant",
        "discordance",
        help="Share of items that one of the two encoders alone gets right.  [default: the pilot's, else as if errors "
        "were independent]",
    ),
    _number("--icc", "intraclass", help="How alike a speaker's items are.  [default: the pilot's, else 0.1]"),
    _number(
        "--design-effect", "effect", help="In place of --icc: the factor by which a speaker's items are worth less."
    ),
    _number("--speakers", whole=True, help="Test speakers there are.  [default: as many as needed]"),
    _number("--items-per-speaker", "per_speaker", whole=True, help="[default: the pilot's, else 20]"),
)

LABELS = all_of(
    _number("--classes", whole=True, help="[default: the pilot's, else 10]"),
    _number("--labels-per-class", "per_class", whole=True, help="To train on.  [default: by the pilot, else 20]"),
    _number("--item-seconds", help="Sound of a labelled item.  [default: the pilot's, else a guess by task]"),
    _number("--full-labels", "full", whole=True, help="What labelling everything would take."),
    _number("--price-per-label", "price", help="In any currency."),
)

RANK = all_of(
    click.option(
        "--measurement", type=OPTIONAL_PATH, default=None, help="A measurement's JSON: how precise ranks are."
    ),
    _number("--dim", whole=True, help="Dimensions of a layer.  [default: 768; with --measurement its own]"),
    click.option(
        "--rank-precision",
        type=float,
        default=0.03,
        show_default=True,
        help="Half the 95 % interval of a rank, as a share of it.",
    ),
    _number("--utterance-seconds", help="Length of an utterance.  [default: 4]"),
)

COMPUTING = all_of(
    _number("--pace", help="Seconds of audio heard per second of one core.  [default: 4.5, HuBERT base]"),
    click.option(
        "--model", type=OPTIONAL_TEXT, default=None, help="Measure the pace of this encoder on 10 s of noise."
    ),
    click.option("--checkpoints", type=int, default=1, show_default=True, help="How many are measured and piloted."),
    DEVICE,
    REMOTE_CODE,
)


@click.command("plan", short_help="Utterances, labels and speakers that it takes, and what they cost.")
@ASKED
@EXPECTED
@LABELS
@RANK
@COMPUTING
@PRESENTATION
def plan_command(**options: Any) -> None:
    """Say how many test items, speakers, labels and minutes of audio show what you need to see, and what that costs.

    The plan is of the interval that pilots have, so what it promises is what the gate will read. Whatever nobody says
    is read from a pilot and a measurement of the past, else guessed, and named as a guess.

    \b
    Examples:
      mlflow-rank study plan --resolution 0.05 --pilot pilot.json --full-labels 10000 --price-per-label 0.1
      mlflow-rank study plan --task label:alarm --classes 6 --speakers 12 --margin 0.05 --unpaired
      mlflow-rank study plan --model my_checkpoint --measurement ranks.json --checkpoints 40
    """
    from mlflow_rank.reports.studies.planning.report import report
    from mlflow_rank.workflow.setting import Setting
    from mlflow_rank.workflow.studies.planning import PlanRequest, plan

    check_places(options)
    request = PlanRequest(**{name: options[name] for name in PlanRequest.__dataclass_fields__})
    setting = None
    if request.model is not None:
        setting = Setting(
            model=request.model,
            device=options["device"],
            trust_remote_code=options["trust_remote_code"],
            tracking_uri=options["tracking_uri"],
        )
    with TerminalProgress() as progress:
        planned = plan(request, progress, setting=setting)
    present(report(planned), options)
