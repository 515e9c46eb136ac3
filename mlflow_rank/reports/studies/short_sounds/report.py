"""A study of short sounds for people: what it found, a table for each level, and how many clips a precision takes."""

from __future__ import annotations

from collections.abc import Iterator

from mlflow_rank.probes.group_intervals import Interval, Score
from mlflow_rank.reports.studies.report import Cell, ReportFigure, ReportTable, StudyReport
from mlflow_rank.reports.studies.short_sounds.figures import by_condition, by_family, needed_clips
from mlflow_rank.reports.studies.short_sounds.words import ROWS, WHOM, about, verdicts
from mlflow_rank.studies.short_sounds.precision import Needed, TooFewCounts
from mlflow_rank.studies.short_sounds.study import LEVELS, SHUFFLED, Comparison, ShortSoundsStudy

_DIGITS = {"clips": 0, "N/D": 1, "rank": 1, "ratio": 2, "low": 2, "high": 2, "pilot %": 0}


def report(study: ShortSoundsStudy) -> StudyReport:
    """Return the study as a report."""
    return StudyReport(
        study="short-sounds",
        title=f"Short sounds: {study.settings['model']} against its shuffled copy",
        verdicts=tuple(verdicts(study)),
        about=tuple(about(study)),
        tables=tuple(_tables(study)),
        figures=tuple(_figures(study)),
        document=study.document(),
        metrics=_metrics(study),
    )


def _tables(study: ShortSoundsStudy) -> Iterator[ReportTable]:
    for other in study.others:
        for level in LEVELS:
            yield _table(study, other, level)
    yield _precision(study)
    yield _every_layer(study)


def _table(study: ShortSoundsStudy, other: str, level: str) -> ReportTable:
    columns = ("condition", "clips", "N/D", "rank", other, "ratio", "low", "high", "pilot %", f"{other} %", "order")
    return ReportTable(
        f"{other}_{level}",
        f"Against {WHOM[other]}: {ROWS[level]}, layer {study.layer}",
        columns,
        tuple(_row(each) for each in study.of(other, level)),
        note="rank: of the trained encoder; ratio: trained over the other, with its 95 % interval.",
        digits={**_DIGITS, other: 1, f"{other} %": 0},
        on_terminal=other == SHUFFLED,
    )


def _row(each: Comparison) -> tuple[Cell, ...]:
    ratio = each.ratio
    return (
        each.condition.name,
        each.clips,
        each.rank.n / each.rank.dim,
        each.rank.shown,
        each.other_rank.shown,
        ratio.value,
        ratio.low,
        ratio.high,
        _percent(each.pilot),
        _percent(each.other_pilot),
        each.order,
    )


def _percent(score: Score | None) -> float | None:
    return None if score is None else 100 * score.value


def _precision(study: ShortSoundsStudy) -> ReportTable:
    targets = study.precision.targets
    rows = [
        _needed_row(f"rank, {ROWS[level]}", f"±{100 * targets.rank:g} %", study.precision.ranks[level])
        for level in LEVELS
    ]
    rows.append(_needed_row("pilot", f"±{100 * targets.pilot:g} points", study.precision.pilot))
    return ReportTable(
        "clips_needed",
        "How many clips a precision takes",
        ("number", "wanted", "clips", "low", "high", "measured up to", "power of n", "note"),
        tuple(rows),
        note="By half width = c / √n through the widths measured at each count; power of n: that of a free line, -0.5 "
        "where clips are as good as independent. low, high: by the scatter around the line.",
        digits={"clips": 0, "low": 0, "high": 0, "measured up to": 0, "power of n": 2},
    )


def _needed_row(what: str, wanted: str, needed: Needed | TooFewCounts) -> tuple[Cell, ...]:
    if isinstance(needed, TooFewCounts):
        return (what, wanted, None, None, None, None, None, f"not enough: {needed.cause}")
    most = max(each.clips for each in needed.widths)
    notes = [
        *(["extrapolated"] if needed.extrapolated else []),
        *(["fewer rows than dimensions below"] if needed.clips == needed.least > 1 else []),
        *(["shrinks more slowly than 1/√n"] if needed.levels_off else []),
    ]
    return (what, wanted, needed.clips, needed.low, needed.high, most, needed.slope, "; ".join(notes) or "measured")


def _every_layer(study: ShortSoundsStudy) -> ReportTable:
    rows = tuple(
        (each.other, each.level, each.layer, each.condition.family, each.condition.at, *_row(each), *_gained(each))
        for each in study.comparisons
    )
    named = ("against", "level", "layer", "family", "at", "condition", "clips", "N/D", "rank", "other rank", "ratio")
    piloted = ("low", "high", "pilot %", "other pilot %", "order", "gained %", "gained low %", "gained high %", "cause")
    columns = (*named, *piloted)
    return ReportTable("every_layer", "Every layer and condition", columns, rows, digits=_DIGITS, on_terminal=False)


def _gained(each: Comparison) -> tuple[Cell, ...]:
    if each.gained is None:
        return (None, None, None, each.cause)
    interval = each.gained.interval
    bounds = (100 * interval.low, 100 * interval.high) if isinstance(interval, Interval) else (None, None)
    return (100 * each.gained.value, *bounds, each.cause)


def _figures(study: ShortSoundsStudy) -> Iterator[ReportFigure]:
    families = {each.condition.family for each in study.comparisons}
    if "length" in families:
        title = "Rank and pilot against the length that clips are cut to"
        yield ReportFigure("clip_length", title, lambda: by_family(study, "length"))
    if "count" in families:
        title = "Rank and pilot against the number of clips"
        yield ReportFigure("clip_count", title, lambda: by_family(study, "count"))
    if families & {"silence", "noise"}:
        yield ReportFigure(
            "bursts",
            "Rank and pilot of bursts in silence and in noise",
            lambda: by_condition(study, ("silence", "noise")),
        )
    fits = (*study.precision.ranks.values(), study.precision.pilot)
    if any(isinstance(each, Needed) for each in fits):
        yield ReportFigure("clips_needed", "How many clips a precision takes", lambda: needed_clips(study))


def _metrics(study: ShortSoundsStudy) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for level in LEVELS:
        found = study.of(SHUFFLED, level)
        for order in ("right", "wrong", "undecided", "unknown"):
            metrics[f"{order}_{level}"] = float(sum(each.order == order for each in found))
        ratio, needed = found[0].ratio.value, study.precision.ranks[level]
        metrics |= {} if ratio is None else {f"ratio_{level}": ratio}
        metrics |= {f"clips_needed_{level}": float(needed.clips)} if isinstance(needed, Needed) else {}
    needed = study.precision.pilot
    return metrics | ({"clips_needed_pilot": float(needed.clips)} if isinstance(needed, Needed) else {})
