"""A calibration as a report: its sentences, its tables of limits, errors and envelopes, and its figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from mlflow_rank.reports.studies.calibration.figures import draw_cases, draw_curves, draw_envelope
from mlflow_rank.reports.studies.calibration.words import method, percent, verdicts
from mlflow_rank.reports.studies.report import Cell, ReportFigure, ReportTable, StudyReport
from mlflow_rank.studies.calibration.error_rates import Rate
from mlflow_rank.studies.calibration.retraining_envelope import (
    NotEnough,
    RankEnvelope,
    RetrainingEnvelope,
    ScoreEnvelope,
)
from mlflow_rank.studies.calibration.study import Calibration, Floor, NoFloor


def calibration_report(found: Calibration, about: Sequence[str] = ()) -> StudyReport:
    """Return a calibration for people.

    Args:
        found: the calibration.
        about: further sentences of how it was got: the window, the table.
    """
    floors = [floor for floor in found.floors if isinstance(floor, Floor)]
    figures = []
    if floors:
        figures += [
            ReportFigure("cases", "Past good and bad versions, and the limits", partial(draw_cases, floors)),
            ReportFigure("errors", "Held-out errors by the rate that is asked", partial(draw_curves, floors)),
        ]
    ranks = [each for each in _of(found.envelope, "ranks") if isinstance(each, RankEnvelope)]
    if ranks:
        figures.append(ReportFigure("envelope", "How far retraining moves a rank", partial(draw_envelope, ranks)))
    return StudyReport(
        study="calibrate",
        title=f"Thresholds from past versions, at a false-promotion rate of {percent(found.alpha)}",
        verdicts=tuple(verdicts(found)),
        about=(*about, *method(found)),
        tables=tuple(_tables(found)),
        figures=tuple(figures),
        document=found.document(),
        metrics=dict(_metrics(found)),
    )


def _tables(found: Calibration) -> Iterator[ReportTable]:
    columns = ("number", "limit", "bad promoted", "good refused", "area", "guaranteed", "in the policy")
    yield ReportTable(
        "floors",
        "Rules, with their held-out errors by version",
        columns,
        tuple(tuple(_floor_row(floor, floor in found.proposed)) for floor in found.floors),
        note="area: the chance that a good version has the better number than a bad one; .5 is no telling.",
        digits={"limit": 4},
    )
    yield ReportTable(
        "errors",
        "Held-out errors in numbers",
        ("number", "of", "error", "count", "n", "share", "low", "high"),
        tuple(_error_rows(found)),
        digits={"share": 3, "low": 3, "high": 3},
        on_terminal=False,
    )
    rows = tuple(_envelope_rows(found.envelope))
    if rows:
        yield ReportTable(
            "envelope",
            "How far two trainings of one recipe differ",
            ("number", "layer", "trainings", "steps", "sd", "df", "differ by at most"),
            rows,
            note="of ranks the natural logarithm; differ: either way, in 95 % of pairs, one layer by itself.",
            digits={"sd": 4, "differ by at most": 3},
        )


def _floor_row(floor: Floor | NoFloor, taken: bool) -> Iterator[Cell]:
    yield floor.quantity.name
    if isinstance(floor, NoFloor):
        yield from (None, None, None, None, None, "no: not enough")
        return
    yield from (floor.limit, str(floor.errors.promoted), str(floor.errors.refused), str(floor.separation))
    yield "yes" if floor.threshold.guaranteed else f"no, {percent(floor.threshold.allowed)} is"
    yield "yes" if taken else "no"


def _error_rows(found: Calibration) -> Iterator[tuple[Cell, ...]]:
    judged = [(floor.quantity.name, floor.errors) for floor in found.floors if isinstance(floor, Floor)]
    judged += [] if found.together is None else [("all in the policy", found.together)]
    for name, errors in judged:
        for of, good, bad in (
            ("versions", errors.refused, errors.promoted),
            ("trainings", errors.refused_runs, errors.promoted_runs),
        ):
            yield (name, of, "bad promoted", *_numbers(bad))
            yield (name, of, "good refused", *_numbers(good))


def _numbers(rate: Rate) -> tuple[Cell, ...]:
    return rate.count, rate.n, rate.share, rate.low, rate.high


def _envelope_rows(envelope: RetrainingEnvelope | None) -> Iterator[tuple[Cell, ...]]:
    for each in (*_of(envelope, "ranks"), *_of(envelope, "scores")):
        spreads = each.layers.items() if isinstance(each, RankEnvelope) else ()
        named = [(str(layer), spread) for layer, spread in spreads]
        named += [("best", each.spread)] if isinstance(each, ScoreEnvelope) else []
        for layer, spread in named:
            name = each.name if isinstance(each, RankEnvelope | ScoreEnvelope) else ""
            yield name, layer, spread.runs, spread.cells, spread.sd, spread.df, spread.difference()


def _metrics(found: Calibration) -> Iterator[tuple[str, float]]:
    for floor in found.floors:
        if isinstance(floor, Floor):
            if floor in found.proposed:
                yield f"limit/{floor.quantity.name}", floor.limit
            yield f"bad_promoted/{floor.quantity.name}", floor.errors.promoted.share
            yield f"good_refused/{floor.quantity.name}", floor.errors.refused.share
    if found.together is not None:
        yield "bad_promoted/together", found.together.promoted.share
        yield "good_refused/together", found.together.refused.share


def _of(envelope: RetrainingEnvelope | None, part: str) -> list[RankEnvelope | ScoreEnvelope | NotEnough]:
    return [] if envelope is None else list(getattr(envelope, part).values())
