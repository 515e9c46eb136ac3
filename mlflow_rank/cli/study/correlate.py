"""`mlflow-rank study correlate`: how well rank tracked the pilot, and whether it would have picked the layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from mlflow_rank.cli.options import all_of, check_places
from mlflow_rank.cli.progress import TerminalProgress
from mlflow_rank.cli.study.options import PRESENTATION, STUDY_SEED
from mlflow_rank.cli.study.sources import SOURCES, names, whole_table_of, window_of

if TYPE_CHECKING:
    from mlflow_rank.workflow.studies.correlating import CorrelationRequest

ASKED = all_of(
    names("--predictors", help="Ranks to look at, as MLflow names them.  [default: all]"),
    names("--outcomes", help="Pilot scores to look at, such as pilot_keyword_ood.  [default: all]"),
    click.option(
        "--correction",
        type=click.Choice(["holm", "bh"]),
        default="holm",
        show_default=True,
        help="For the number of tests: Holm, or Benjamini and Hochberg.",
    ),
    click.option("--resamples", type=int, default=2000, show_default=True, help="Of runs, for intervals."),
    click.option(
        "--permutations", type=int, default=20_000, show_default=True, help="Shifts and orders drawn, for p values."
    ),
    click.option(
        "--minimum-checkpoints", type=int, default=8, show_default=True, help="Of a run; fewer are not enough."
    ),
    click.option("--minimum-runs", type=int, default=4, show_default=True, help="For intervals over training runs."),
)


@click.command("correlate", short_help="Did rank track the pilot, and would it have picked the layer?")
@SOURCES
@ASKED
@STUDY_SEED
@PRESENTATION
def correlate_command(**options: Any) -> None:
    """Say how well rank tracked the pilot over checkpoints of training runs, and whether it picks the layer.

    Checkpoints on disk are measured and piloted first, each once: what is done is kept in --keep, and the same command
    goes on after Ctrl-C. Runs and versions are read as they were recorded by assess. Numbers of different conventions
    are refused. A shared trend alone makes rank and pilot go together, so what counts is what is left of it without
    step and loss. Below the least numbers it says "not enough".

    \b
    Exit codes: 0 done, 2 usage, 3 too many checkpoints cannot be assessed, or MLflow cannot be reached.

    \b
    Examples:
      mlflow-rank study correlate --checkpoints runs/pretrain --audio dev.jsonl --task keyword --labels words.jsonl
      mlflow-rank study correlate --checkpoints runs --at-most 8 --from-step 300 --save-table table.json
      mlflow-rank study correlate --table table.json --from-step 300 --output study
      mlflow-rank study correlate --runs experiment:pretraining
      mlflow-rank study correlate --versions models:/encoder --labels words.jsonl
    """
    from mlflow_rank.cli.study.presenting import present
    from mlflow_rank.workflow.studies.correlating import correlated

    check_places(options)
    request = request_of(options)
    with TerminalProgress() as progress:
        whole = whole_table_of(options, progress)
        report = correlated(whole, request, window_of(options), progress)
    present(report, options)


def request_of(options: Mapping[str, Any]) -> CorrelationRequest:
    """Return what is looked at.

    Raises:
        UsageError: too few draws, or a least number that is too small.
    """
    from mlflow_rank.studies.correlation.settings import StudySettings
    from mlflow_rank.studies.enough import Minimum
    from mlflow_rank.workflow.studies.correlating import CorrelationRequest

    settings = StudySettings(
        predictors=options["predictors"] or None,
        outcomes=options["outcomes"] or None,
        minimum=Minimum(checkpoints=options["minimum_checkpoints"], runs=options["minimum_runs"]),
        **{name: options[name] for name in ("correction", "resamples", "permutations")},
    )
    return CorrelationRequest(settings, options["seed"])
