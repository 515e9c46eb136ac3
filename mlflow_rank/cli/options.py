"""The options that several verbs share, each defined once, and what they mean together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mlflow_rank.cli.optional import Optional, Paths, joined

if TYPE_CHECKING:
    from mlflow_rank.registry.runs.run_claim import Destination
    from mlflow_rank.workflow import PilotRequest, RankRequest, Setting

Command = TypeVar("Command", bound=Callable[..., Any])
OPTIONAL_PATH = Optional(click.Path(path_type=Path))
OPTIONAL_TEXT = Optional(click.STRING)
STARTER_SETS = {"keyword": "keywords", "speaker": "speakers", "phone": "phones"}  # by task; sounds for any other
PATHS = Paths()
# `--control` and `--control false` both work: an MLproject can only pass values
SWITCH: dict[str, Any] = {"is_flag": False, "flag_value": True, "type": click.BOOL, "metavar": "[true|false]"}


def all_of(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return one decorator for several, shown in the order given."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def paths(*names: str, help: str, **more: Any) -> Callable[[Command], Command]:  # noqa: A002 -- click's own word
    """Return an option that takes files or directories, several times or separated by commas."""
    return click.option(*names, type=PATHS, multiple=True, default=(), callback=joined, help=help, **more)


LAYERS = click.option(
    "--layers",
    type=OPTIONAL_TEXT,
    default="all",
    show_default=True,
    help='"all", "last" or "0,3,6-12"; for module: encoders, name patterns.',
)

ENCODER = all_of(
    click.option(
        "--model",
        default="starter",
        show_default=True,
        help="A Hugging Face directory or id; torchaudio:BUNDLE[@STATE]; module:PACKAGE.MODULE:FACTORY[@STATE]; "
        "models:/NAME/VERSION, models:/NAME@ALIAS or runs:/ID/PATH; starter; log-mel. With random: in front: the same "
        "architecture with random weights; shuffled: its own weights, each tensor in another order.",
    ),
    LAYERS,
)

CHECKPOINT_FORM = all_of(
    click.option(
        "--as",
        "loaded_as",
        metavar="TEMPLATE",
        default="{path}",
        show_default=True,
        help="How a checkpoint is loaded: a text for --model of measure, with {path} in it. Ending in @{path}, "
        "checkpoints are files of weights.",
    ),
    click.option(
        "--step-pattern",
        type=OPTIONAL_TEXT,
        default=None,
        help="Regular expression whose first group is the step in a name.  [default: the last whole number]",
    ),
)

SOUND = click.option(
    "--audio",
    default="starter",
    show_default=True,
    help="A directory of audio; a manifest (.jsonl .csv .tsv .parquet); a Hugging Face dataset on disk; starter.",
)

AUDIO = all_of(
    SOUND,
    click.option(
        "--preset",
        default="robust",
        show_default=True,
        help="robust: all metrics and levels. rankme_t: RankMe of summed frames only (reconstructed, see the README).",
    ),
    click.option(
        "--hours", type=Optional(click.FLOAT), default=1.0, show_default=True, help="Budget of audio; none: all."
    ),
    click.option("--utterances", type=Optional(click.INT), default=None, help="Budget of utterances.  [default: none]"),
    click.option("--frame-stride", type=int, default=1, show_default=True, help="Count every n-th frame."),
    click.option(
        "--min-duration", type=float, default=0.05, show_default=True, help="Leave out shorter utterances (s)."
    ),
    click.option(
        "--max-duration", type=float, default=30.0, show_default=True, help="Leave out longer utterances (s)."
    ),
    click.option("--blocks", type=int, default=10, show_default=True, help="Groups for the jackknife interval."),
    click.option("--intervals", **SWITCH, default=True, show_default=True, help="Estimate uncertainty and bias."),
)

TASK = all_of(
    click.option(
        "--task",
        default="keyword",
        show_default=True,
        help="keyword (a column keyword or label), speaker, phone, or label:FIELD for any column of classes; several "
        "separated by commas.",
    ),
    click.option(
        "--labels",
        type=OPTIONAL_TEXT,
        default="starter",
        show_default=True,
        help="Labelled audio to train and test on; starter: the starter corpus's own set for each task.",
    ),
    click.option(
        "--labels-ood",
        type=OPTIONAL_TEXT,
        default=None,
        help="Labelled audio of another domain, for tests only.  [default: with --labels starter its own, else none]",
    ),
)

PILOT = all_of(
    click.option("--shots", default="1,5,10,20,all", show_default=True, help="Training labels per class."),
    click.option("--draws", type=int, default=10, show_default=True, help="Seeded choices of the training labels."),
    click.option(
        "--heads",
        default="ridge,centroid",
        show_default=True,
        help="Of ridge, logistic and centroid; the first is shown, the others second opinions. Phones take ridge and "
        "centroid; phone sequences without times a CTC head.",
    ),
    click.option(
        "--pooling",
        default="mean",
        show_default=True,
        help="One vector per utterance: mean of its frames; mean_std; segments (four means in order, helps words).",
    ),
    click.option("--test-share", type=float, default=0.5, show_default=True, help="Share of the speakers to test on."),
    click.option(
        "--against",
        type=OPTIONAL_TEXT,
        default=None,
        help="Another encoder, such as models:/NAME@champion, that differences are taken against.  [default: random "
        "weights]",
    ),
    click.option("--log-mel", **SWITCH, default=True, show_default=True, help="Also pilot log-mel features."),
)

DEVICE = click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
REMOTE_CODE = click.option(
    "--trust-remote-code", is_flag=True, help="Run code that comes with a Hugging Face checkpoint."
)
CACHE = click.option(
    "--cache", type=OPTIONAL_PATH, default=None, help="Place of the starter corpus and of finished blocks."
)

RECORDING = all_of(
    click.option("--mlflow/--no-mlflow", "use_mlflow", default=True, show_default=True, help="Record a run in MLflow."),
    click.option(
        "--tracking-uri", type=OPTIONAL_TEXT, default=None, help="MLflow's store.  [default: MLflow's own choice]"
    ),
    click.option("--experiment", type=OPTIONAL_TEXT, default=None, help="MLflow experiment.  [default: mlflow_rank]"),
    click.option("--run-name", type=OPTIONAL_TEXT, default=None, help="Name of the MLflow run."),
)

RUN = all_of(
    click.option("--channel", default="mix", show_default=True, help="mix, or a channel's number from 0."),
    click.option("--seed", type=int, default=0, show_default=True, help="Of samples, draws and random weights."),
    DEVICE,
    click.option("--dtype", default="float32", show_default=True, help="float32, or bfloat16 (recorded)."),
    click.option(
        "--workers",
        default="auto",
        show_default=True,
        help="Processes that listen. auto: one for each 20 minutes of audio, at most the cores and 4; one on a GPU.",
    ),
    click.option(
        "--max-skipped", type=float, default=0.05, show_default=True, help="Share of bad audio to put up with."
    ),
    REMOTE_CODE,
    click.option(
        "--json",
        "json_to",
        type=OPTIONAL_PATH,
        default=None,
        help="Write the document to FILE; - for stdout, which then holds nothing else.",
    ),
    click.option("--output", type=OPTIONAL_PATH, default=None, help="Also write documents, tables and figures here."),
    RECORDING,
    click.option("--resume", is_flag=True, help="Go on where an interrupted run of the same command stopped."),
    CACHE,
)


def setting_of(options: Mapping[str, Any]) -> Setting:
    """Return the setting that the options of ENCODER and RUN, and `control`, ask for."""
    from mlflow_rank.workflow import DEFAULT_OUTPUT, Setting

    shared = ("model", "layers", "channel", "device", "dtype", "trust_remote_code", "seed", "control", "max_skipped")
    return Setting(
        **{name: options[name] for name in (*shared, "resume", "cache", "tracking_uri")},
        workers=_workers(options["workers"]),
        output=options["output"] or DEFAULT_OUTPUT,
    )


def rank_request_of(options: Mapping[str, Any]) -> RankRequest:
    """Return the measurement that the options of AUDIO ask for."""
    from mlflow_rank.speech.sampling import Sampling
    from mlflow_rank.workflow import RankRequest

    drawn = ("hours", "utterances", "frame_stride", "min_duration", "max_duration", "seed", "blocks")
    sampling = Sampling(**{name: options[name] for name in drawn})
    return RankRequest(options["audio"], options["preset"], sampling, options["intervals"])


def pilot_requests_of(options: Mapping[str, Any]) -> list[PilotRequest]:
    """Return a pilot for each task that the options of TASK and PILOT ask for; none where there are to be no labels."""
    tasks = list(dict.fromkeys(name.strip() for name in options["task"].split(",") if name.strip())) or [""]
    return [_pilot_request(task, options) for task in tasks] if options["labels"] is not None else []


def _pilot_request(task: str, options: Mapping[str, Any]) -> PilotRequest:
    from mlflow_rank.probes.tasks import parse_task
    from mlflow_rank.workflow import PilotRequest

    labels, outside = options["labels"], options["labels_ood"]
    if labels == "starter":
        name = STARTER_SETS.get(parse_task(task).name)
        labels = f"starter:in_domain/{name}" if name else "starter:sounds"
        outside = outside or (f"starter:out_of_domain/{name}" if name else None)
    return PilotRequest(
        task=task,
        labels=labels,
        labels_ood=outside,
        shots=_shots(options["shots"]),
        heads=tuple(name.strip() for name in options["heads"].split(",") if name.strip()),
        **{name: options[name] for name in ("draws", "pooling", "test_share", "against", "log_mel", "seed")},
    )


def destination_of(options: Mapping[str, Any]) -> Destination:
    """Return where in MLflow the results go."""
    from mlflow_rank.registry.runs.run_claim import Destination

    return Destination(options["tracking_uri"], options["experiment"], options["run_name"])


def check_places(options: Mapping[str, Any]) -> None:
    """Refuse places that nothing can be written to before hours are spent on what should be.

    Raises:
        UsageError: `--json` or `--output` names such a place.
    """
    check_file("--json", options["json_to"])
    check_directory("--output", options["output"])


def check_file(option: str, place: Path | None) -> None:
    """Refuse a place at which no document can be written; None and - are fine.

    Raises:
        UsageError: it is a directory, or in none.
    """
    from mlflow_rank.errors import UsageError

    if place is not None and str(place) != "-" and (place.is_dir() or not place.parent.is_dir()):
        raise UsageError(
            "the document cannot be written there", got=f"{option} {place}", expected="a file in an existing directory"
        )


def check_directory(option: str, place: Path | None) -> None:
    """Refuse a place at which no directory can be made; None is fine.

    Raises:
        UsageError: it is a file.
    """
    from mlflow_rank.errors import UsageError

    if place is not None and place.exists() and not place.is_dir():
        raise UsageError("the results cannot be written there", got=f"{option} {place}", expected="a directory")


def check_register(options: Mapping[str, Any]) -> None:
    """Refuse a name that nothing could be registered under before hours are spent.

    Raises:
        UsageError: `--register` names such a model, or MLflow is left out.
    """
    from mlflow_rank.errors import UsageError
    from mlflow_rank.registry.runs.flavor import check_model_name

    if options["register"] and not options["use_mlflow"]:
        raise UsageError("--register needs MLflow", got="--no-mlflow", remedy="leave out one of the two")
    check_model_name(options["register"])


def say(text: str) -> None:
    """Print a line for people, on stderr."""
    from mlflow_rank.reports.untrusted_text import in_lines

    click.echo(in_lines(text), err=True)


def _workers(text: str) -> int | None:
    """Return how many processes are asked for, None for auto."""
    from mlflow_rank.errors import UsageError

    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UsageError("bad number of processes", got=f"--workers {text}", expected="auto, or a number from 1")
    return int(text)


def _shots(text: str) -> tuple[Any, ...]:
    """Return the numbers of shots in a text such as "1,5,all"."""
    from mlflow_rank.errors import UsageError

    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part == "all" or part.isdecimal() for part in parts):
        raise UsageError("bad numbers of shots", got=f"--shots {text}", expected='numbers and "all", as in 1,5,20,all')
    return tuple("all" if part == "all" else int(part) for part in parts)
