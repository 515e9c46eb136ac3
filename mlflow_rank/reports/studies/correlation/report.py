"""A study of correlation as people see it: answers to two questions, tables, figures, few metrics."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from functools import partial

from mlflow_rank.reports.studies.correlation.about import about
from mlflow_rank.reports.studies.correlation.cells import cell_tables
from mlflow_rank.reports.studies.correlation.heat_map import MOST_OUTCOMES, heat_map
from mlflow_rank.reports.studies.correlation.names import rank_name, score_name, task_name
from mlflow_rank.reports.studies.correlation.regret import layer_regret
from mlflow_rank.reports.studies.correlation.results import Correlated, Document, Known, known
from mlflow_rank.reports.studies.correlation.scatter import rank_against_score
from mlflow_rank.reports.studies.correlation.tables import tables
from mlflow_rank.reports.studies.correlation.trajectories import rank_and_score
from mlflow_rank.reports.studies.correlation.words import verdicts
from mlflow_rank.reports.studies.report import ReportFigure, StudyReport
from mlflow_rank.studies.correlation.study import CorrelationStudy
from mlflow_rank.studies.trajectories import Trajectories


def report(study: CorrelationStudy | Document, trajectories: Trajectories) -> StudyReport:
    """Return a study of correlation for people.

    Args:
        study: what was found, or its document.
        trajectories: what it was found in. It may hold more than the window: random weights at step 0 become a line of
            reference in the figures, and the window is shaded.
    """
    document: Document = study.document() if isinstance(study, CorrelationStudy) else study
    read = Correlated(document)
    return StudyReport(
        study="correlate",
        title="Does rank track the pilot, and does it pick the layer?",
        verdicts=verdicts(read),
        about=about(read),
        tables=(*tables(read), *cell_tables(read)),
        figures=tuple(_figures(read, trajectories)),
        document=document,
        metrics=_metrics(read),
    )


def _figures(study: Correlated, trajectories: Trajectories) -> Iterator[ReportFigure]:
    """Yield heat maps of headline ranks, the regret, trajectories and scatters of the first one."""
    parts = range(0, len(study.outcomes), MOST_OUTCOMES)
    for rank in study.headline:
        for at in parts:
            more = f"_{1 + at // MOST_OUTCOMES}" if len(parts) > 1 else ""
            yield ReportFigure(
                f"heat_map_{rank}{more}",
                f"Partial Spearman correlation of {rank_name(rank)} and the pilot, layer by layer",
                partial(heat_map, study, rank, study.outcomes[at : at + MOST_OUTCOMES]),
            )
    if not study.headline:
        return
    yield ReportFigure("layer_regret", "Points lost by each way to choose a layer", partial(layer_regret, study))
    rank = study.headline[0]
    for task, metric in dict.fromkeys((outcome["task"], outcome["metric"]) for outcome in study.outcomes):
        domains = [each for each in study.outcomes if (each["task"], each["metric"]) == (task, metric)]  # of one axis
        yield ReportFigure(
            f"trajectories_{domains[0]['name']}",
            f"{rank_name(rank)} and {task_name(domains[0])} over training",
            partial(rank_and_score, study, trajectories, rank, domains),
        )
    for outcome in study.outcomes:
        yield ReportFigure(
            f"scatter_{outcome['name']}",
            f"{rank_name(rank)} against {score_name(outcome)}, a panel for each layer",
            partial(rank_against_score, study, trajectories, rank, outcome),
        )


def _metrics(study: Correlated) -> dict[str, float]:
    """Return for each pilot score the median partial correlation of the first rank, and what its layer lost."""
    found: dict[str, float] = {}
    for rank in study.headline[:1]:
        for outcome in study.outcomes:
            name = str(outcome["name"])
            values = [each.value for each in known(study.within(rank, name).values())]
            if values:
                found[f"partial_spearman_{rank}/{name}"] = statistics.median(values)
            lost = study.lost(rank, name).get("rank")
            if isinstance(lost, Known):
                found[f"layer_regret_{rank}/{name}"] = lost.value
    return found
