"""Every correlation of a study, a row for a rank, a pilot score and a layer: for files and the page."""

from __future__ import annotations

from mlflow_rank.reports.studies.correlation.names import rank_name, score_name
from mlflow_rank.reports.studies.correlation.results import STATISTICS, VIEWS, Correlated, Known, read_result
from mlflow_rank.reports.studies.report import Cell, ReportTable

_PLACE = ("rank", "pilot score", "layer", "runs", "checkpoints")
_NUMBERS = ("", " low", " high", " p")
_NOTE = (
    "Corrected p over all ranks, pilot scores and layers. A raw p says that both move together, trend included; it is "
    "no sign of tracking. Intervals are of 95 %."
)


def cell_tables(study: Correlated) -> tuple[ReportTable, ...]:
    """Return a table for each statistic within layers, and one between runs."""
    return (*(_within(study, statistic) for statistic in STATISTICS), _between(study))


def _within(study: Correlated, statistic: str) -> ReportTable:
    columns = [*_PLACE]
    for view in VIEWS:
        columns += [f"{view}{number}" for number in _NUMBERS] + ([f"{view} corrected p"] if view == "partial" else [])
    rows: list[tuple[Cell, ...]] = []
    for predictor in study.predictors:
        for outcome in study.outcomes:
            for cell in study.cells(predictor, outcome["name"]):
                row: list[Cell] = [rank_name(predictor), score_name(outcome), cell["layer"], cell["runs"]]
                row.append(cell["checkpoints"])
                causes: dict[str, None] = {}
                for view in VIEWS:
                    found = read_result(cell["views"][view][statistic])
                    if isinstance(found, Known):
                        row += _numbers(found) + ([found.adjusted] if view == "partial" else [])
                    else:
                        row += [None] * (len(_NUMBERS) + (view == "partial"))
                        causes.setdefault(found.cause)
                rows.append((*row, "; ".join(causes) or None))
    digits = {name: 4 for name in columns if name.endswith("p")}
    return ReportTable(
        f"within_layers_{statistic}",
        f"Within each layer: {statistic.capitalize()}",
        (*columns, "why not"),
        tuple(rows),
        _NOTE,
        digits,
        on_terminal=False,
    )


def _between(study: Correlated) -> ReportTable:
    rows: list[tuple[Cell, ...]] = []
    for predictor in study.predictors:
        for outcome in study.outcomes:
            by_statistic = {each: study.between(predictor, outcome["name"], each) for each in STATISTICS}
            for layer, found in by_statistic[STATISTICS[0]].items():
                row: list[Cell] = [rank_name(predictor), score_name(outcome), layer]
                row += [*_numbers(found), found.adjusted] if isinstance(found, Known) else [None] * 5
                for statistic in STATISTICS[1:]:
                    other = by_statistic[statistic][layer]
                    row.append(other.value if isinstance(other, Known) else None)
                rows.append((*row, None if isinstance(found, Known) else found.cause))
    columns = ("rank", "pilot score", "layer", "Spearman", "low", "high", "p", "corrected p", "Pearson", "Kendall")
    return ReportTable(
        "between_runs_layers", "Between runs at the same step, each layer", (*columns, "why not"), tuple(rows),
        "What is beside the mean over runs at each step; p by permuting whole runs.", {"p": 4, "corrected p": 4},
        on_terminal=False,
    )  # fmt: skip


def _numbers(found: Known) -> list[Cell]:
    low, high = found.interval or (None, None)
    return [found.value, low, high, found.p]
