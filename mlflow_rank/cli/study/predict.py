"""`mlflow-rank study predict`: may one choose by rank what to pilot first?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from mlflow_rank.cli.options import all_of, check_places
from mlflow_rank.cli.progress import TerminalProgress
from mlflow_rank.cli.study.options import PRESENTATION, STUDY_SEED
from mlflow_rank.cli.study.sources import SOURCES, names, trajectories_of, window_of

if TYPE_CHECKING:
    from mlflow_rank.workflow.studies.predicting import PredictionRequest

ASKED = all_of(
    names("--predictors", help="Ranks to predict from, as MLflow names them.  [default: all]"),
    names("--outcomes", help="Pilot scores to predict, such as pilot_keyword_ood.  [default: all]"),
    click.option(
        "--model",
        "model_kind",
        type=click.Choice(["ridge", "boosting"]),
        default="ridge",
        show_default=True,
        help="Ridge regression, or boosted trees, which need more runs and minutes.",
    ),
    click.option(
        "--clear-difference",
        type=float,
        default=0.05,
        show_default=True,
        help="Difference of two pilot scores that counts: .05 is five points. The pilot says what it can resolve.",
    ),
)


@click.command("predict", short_help="May one choose by rank what to pilot first?")
@SOURCES
@ASKED
@STUDY_SEED
@PRESENTATION
def predict_command(**options: Any) -> None:
    """Say whether ranks foretell the pilot of a training run that nobody piloted, and better than its step does.

    Every run is predicted by models that saw only the others, and compared with simpler models on the same splits:
    mean, step only, the other runs at that step, loss only, ranks only, and ranks of another run. By a rule that was
    fixed beforehand it says whether ranks are good enough for triage: for choosing what to pilot first. It approves
    nothing, and no policy can read it. Below three runs of eight checkpoints it says "not enough".

    \b
    Exit codes: 0 done, 2 usage, 3 too many checkpoints cannot be assessed, or MLflow cannot be reached.

    \b
    Examples:
      mlflow-rank study predict --checkpoints runs --audio dev.jsonl --task keyword --labels words.jsonl
      mlflow-rank study predict --table table.json --from-step 300 --output study
      mlflow-rank study predict --runs experiment:pretraining --outcomes pilot_keyword,pilot_phone
    """
    from mlflow_rank.cli.study.presenting import present
    from mlflow_rank.workflow.studies.predicting import predicted

    check_places(options)
    request = request_of(options)
    with TerminalProgress() as progress:
        table = trajectories_of(options, progress)
        report = predicted(table, request, window_of(options), progress)
    present(report, options)


def request_of(options: Mapping[str, Any]) -> PredictionRequest:
    """Return what is predicted, from what, and how.

    Raises:
        UsageError: the clear difference is not above 0.
    """
    from mlflow_rank.studies.prediction.study import Manner
    from mlflow_rank.workflow.studies.predicting import PredictionRequest

    manner = Manner(model=options["model_kind"], clear=options["clear_difference"], seed=options["seed"])
    return PredictionRequest(manner, options["predictors"], options["outcomes"])
