"""The tables of a study of correlation: a row for a rank and a pilot score, headline ranks on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlflow_rank.reports.studies.correlation.names import rank_name, score_name, signed
from mlflow_rank.reports.studies.correlation.results import (
    CHOICES,
    Correlated,
    Known,
    Result,
    Unknown,
    known,
)
from mlflow_rank.reports.studies.correlation.standing import Choice, Tracking, median_of, standing_of
from mlflow_rank.reports.studies.correlation.words import chosen_by, tracking_of
from mlflow_rank.reports.studies.report import Cell, ReportTable

TRACKING = {
    Tracking.TRACKED: "yes",
    Tracking.PARTLY: "some layers",
    Tracking.MIXED: "both ways",
    Tracking.AGAINST: "against",
    Tracking.NOT_SHOWN: "not shown",
    Tracking.TOO_FEW: "too few",
    Tracking.NO_NUMBER: "not enough",
}
PICKED = {
    Choice.PICKED: "yes",
    Choice.BETTER_THAN_RANDOM: "above chance",
    Choice.WORSE: "no",
    Choice.NOT_SHOWN: "not shown",
    Choice.OPEN: "not enough",
}
_NAME = 24  # characters of a task's name, so that a row stays one line
_PAIR = ("rank", "pilot score")


def tables(study: Correlated) -> tuple[ReportTable, ...]:
    """Return the tables that sum up, of headline ranks first; each is there for the other ranks too, in files."""
    others = [name for name in study.predictors if name not in study.headline]
    made: list[ReportTable] = []
    for ranks, more in ((study.headline, ""), (others, "_other_ranks")):
        if not ranks:
            continue
        made += [_named(table(study, ranks), more) for table in (_within, _choice, _between, _across)]
    return (*made[:2], _baselines(study), *made[2:], _families(study))


def _named(table: ReportTable, more: str) -> ReportTable:
    if not more:
        return table
    return ReportTable(
        f"{table.name}{more}", f"{table.title}, other ranks", table.columns, table.rows, table.note, table.digits, False
    )


def _pairs(study: Correlated, ranks: Sequence[str]) -> Iterator[tuple[str, str, tuple[str, str]]]:
    for rank in ranks:
        for outcome in study.outcomes:
            yield rank, str(outcome["name"]), (rank_name(rank), score_name(outcome, _NAME))


def _within(study: Correlated, ranks: Sequence[str]) -> ReportTable:
    rows: list[tuple[Cell, ...]] = []
    outcomes = {str(each["name"]): each for each in study.outcomes}
    for rank, name, named in _pairs(study, ranks):
        found = study.within(rank, name)
        standing = tracking_of(study, rank, outcomes[name])
        rows.append(
            (
                *named,
                TRACKING[standing.tracking],
                f"{len(standing.numbers)} of {len(found)}",
                *_spread(list(found.values())),
                len(standing.above) if standing.numbers else None,
                len(standing.below) if standing.numbers else None,
                _median(study, rank, name, "differences"),
                _median(study, rank, name, "raw"),
            )
        )
    columns = ("tracked", "layers", "partial", "lowest", "highest", "above 0", "below 0", "differences", "raw")
    note = (
        "Spearman, medians over layers. Partial: without what log step and loss explain; above and below 0 after "
        "correction. Raw holds the trend and shows no tracking."
    )
    return ReportTable("within_layers", "Within a layer, over checkpoints", (*_PAIR, *columns), tuple(rows), note)


def _choice(study: Correlated, ranks: Sequence[str]) -> ReportTable:
    numbers = ("by rank", "low", "high", "fixed", "last", "random")
    rows: list[tuple[Cell, ...]] = []
    outcomes = {str(each["name"]): each for each in study.outcomes}
    for rank, name, named in _pairs(study, ranks):
        lost = study.lost(rank, name)
        taken = lost.get("rank", Unknown("nothing was looked at"))
        rows.append(
            (
                *named,
                PICKED[chosen_by(study, rank, outcomes[name])],
                _points(taken),
                *_bounds(taken, 100.0),
                *(_points(lost.get(choice, Unknown(""))) for choice in CHOICES),
            )
        )
    columns = ("picked", *numbers)
    note = (
        "Points of the score lost to the layer that the pilot finds best in each checkpoint. The fixed layer of a run "
        "is the one that was best in the other runs."
    )
    return ReportTable(
        "choice_of_layer", "Points lost by a choice of layer", (*_PAIR, *columns), tuple(rows), note,
        dict.fromkeys(numbers, 1),
    )  # fmt: skip


def _between(study: Correlated, ranks: Sequence[str]) -> ReportTable:
    rows: list[tuple[Cell, ...]] = []
    family = study.family("between_runs", "matched_step")
    for rank, name, named in _pairs(study, ranks):
        found = study.between(rank, name)
        standing = standing_of(found, family)
        smallest = [each.smallest_p for each in standing.numbers.values() if each.smallest_p is not None]
        rows.append(
            (
                *named,
                TRACKING[standing.tracking],
                f"{len(standing.numbers)} of {len(found)}",
                *_spread(list(found.values())),
                len(standing.above) if standing.numbers else None,
                len(standing.below) if standing.numbers else None,
                min(smallest, default=None),
            )
        )
    columns = ("goes with it", "layers", "rho", "lowest", "highest", "above 0", "below 0", "smallest p")
    note = "Spearman of what is beside the mean over runs at each step, medians over layers; p by permuting whole runs."
    return ReportTable(
        "between_runs", "Between runs at the same step", (*_PAIR, *columns), tuple(rows), note, {"smallest p": 4}
    )


def _across(study: Correlated, ranks: Sequence[str]) -> ReportTable:
    rows: list[tuple[Cell, ...]] = []
    for rank, name, named in _pairs(study, ranks):
        found = study.across(rank, name)
        p, adjusted = (found.p, found.adjusted) if isinstance(found, Known) else (None, None)
        more = (_value(study.across(rank, name, statistic)) for statistic in ("pearson", "kendall"))
        rows.append((*named, _value(found), *_bounds(found), p, adjusted, *more))
    columns = ("Spearman", "low", "high", "p", "corrected p", "Pearson", "Kendall")
    note = "Over the layers of each checkpoint, mean over checkpoints and runs."
    return ReportTable(
        "across_layers", "Across the layers of a checkpoint", (*_PAIR, *columns), tuple(rows), note,
        {"p": 4, "corrected p": 4},
    )  # fmt: skip


def _baselines(study: Correlated) -> ReportTable:
    rows: list[tuple[Cell, ...]] = []
    for outcome in study.outcomes:
        name = str(outcome["name"])
        rows.append(
            (
                score_name(outcome, _NAME),
                *(_median(study, rank, name, "raw") for rank in study.headline),
                *(median_of(study.baseline(base, name)) for base in ("step", "loss")),
                *(_range(study.chance(name, noise)) for noise in ("white", "walk")),
                _range(study.chance(name, "walk", "partial")),
            )
        )
    ranks = [rank_name(rank) for rank in study.headline]
    columns = ("pilot score", *ranks, "step", "loss", "white noise", "random walk", "walk, partial")
    note = (
        "Spearman within a layer with the trend left in, medians over layers; noise: 95 % of draws, widest of all "
        "layers, in the last column without the trend."
    )
    return ReportTable("baselines", "What the step, the loss or nothing gives", columns, tuple(rows), note)


def _families(study: Correlated) -> ReportTable:
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            str(each["question"]).replace("_", " "),
            str(each["view"]).replace("_", " "),
            str(each["statistic"]),
            int(each["tests"]),
            str(each["correction"]),
            int(each["significant"]),
        )
        for each in study.document["families"]
    )
    return ReportTable(
        "tests",
        "Tests and their correction",
        ("question", "view", "statistic", "tests", "correction", "at or below .05"),
        rows,
        "Tests of one row were corrected together: all ranks, pilot scores and layers. A raw p says no more than that "
        "both move together.",
        on_terminal=False,
    )


def _spread(found: Sequence[Result]) -> tuple[Cell, Cell, Cell]:
    """Return median, lowest and highest of the numbers."""
    values = [each.value for each in known(found)]
    return median_of(dict(enumerate(found))), min(values, default=None), max(values, default=None)


def _median(study: Correlated, rank: str, outcome: str, view: str) -> Cell:
    return median_of(study.within(rank, outcome, view))


def _value(found: Result) -> Cell:
    return found.value if isinstance(found, Known) else None


def _points(found: Result) -> Cell:
    return 100.0 * found.value if isinstance(found, Known) else None


def _bounds(found: Result, times: float = 1.0) -> tuple[Cell, Cell]:
    if not isinstance(found, Known) or found.interval is None:
        return None, None
    return times * found.interval[0], times * found.interval[1]


def _range(found: tuple[float, float] | None) -> Cell:
    return None if found is None else f"{signed(found[0])} to {signed(found[1])}"
