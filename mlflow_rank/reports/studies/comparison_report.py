"""A comparison for people: the numbers side by side, and what their intervals allow to say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlflow_rank.reports.studies.report import Cell, ReportTable, StudyReport
from mlflow_rank.studies.comparison import Comparison, Pair

_FEW = 40  # rows that are printed; files and the page have all
_RANKS = ("rank", "total_variance", "mean_norm_ratio", "normalised_std")
_SHOWN = 5


def report(found: Comparison) -> StudyReport:
    """Return the comparison as a report."""
    return StudyReport(
        study="compare",
        title=f"{found.left} (A) beside {found.right} (B)",
        verdicts=tuple(_verdicts(found)),
        about=tuple(_about(found)),
        tables=tuple(_tables(found)),
        figures=(),
        document=found.document(),
        metrics={"numbers_in_common": float(len(found.pairs)), "settings_shared": float(len(_settings(found)))},
    )


def _verdicts(found: Comparison) -> Iterator[str]:
    settings = len(_settings(found))
    if settings:
        yield (
            f"These {found.of} have the same convention: all {settings} settings agree, so their numbers mean the same."
        )
    else:
        yield f"These {found.of} state no convention: whether their numbers mean the same, nobody can tell."
    yield from found.notes
    ranks = [each for each in found.pairs if is_rank(each.what)]
    scores = [each for each in found.pairs if each.what.startswith("pilot_")]
    for named, pairs in (("ranks", ranks), ("scores", scores)):
        known = [each for each in pairs if each.overlap is not None]
        if known:
            apart = sum(each.overlap is False for each in known)
            yield f"{named.capitalize()} with intervals on both sides: {len(known)}; without overlap: {apart}."
    if ranks:
        yield "A rank says how wide a layer is, not how good: none of these differences speaks for A or for B."
    paired = [each for each in scores if each.paired is not None]
    if paired:
        clear = [each for each in paired if each.paired is not None and not each.paired[0] <= 0 <= each.paired[1]]
        yield (
            f"Of {len(paired)} scores compared on the same test items, {len(clear)} differ by more than chance explains"
            f"{': ' + ', '.join(f'{each.where} {each.what}' for each in clear[:_SHOWN]) if clear else ''}."
        )
    elif scores:
        yield (
            "No score was compared on the same test items: overlap of intervals is a coarse answer. Pilot one with "
            "--against the other for a paired one."
        )


def _about(found: Comparison) -> Iterator[str]:
    yield "Differences are B minus A; intervals are of 95 %."
    for name, only in (("A", found.only_left), ("B", found.only_right)):
        if only:
            more = f" and {len(only) - _SHOWN} more" if len(only) > _SHOWN else ""
            yield f"Only in {name}: {', '.join(only[:_SHOWN])}{more}."


def _tables(found: Comparison) -> Iterator[ReportTable]:
    ranks = [each for each in found.pairs if is_rank(each.what)]
    scores = [each for each in found.pairs if each.what.startswith("pilot_")]
    others = [each for each in found.pairs if not is_rank(each.what) and not each.what.startswith("pilot_")]
    if ranks:
        yield _table("ranks", "Ranks", ranks)
    if scores:
        yield _table("scores", "Pilot scores", scores)
    if others:
        yield _table("numbers", "Numbers", others)
    yield ReportTable(
        "settings",
        "The convention that both have",
        ("setting", "value"),
        tuple((name, None if value is None else str(value)) for name, value in _settings(found).items()),
        on_terminal=False,
    )


def _table(name: str, title: str, pairs: Sequence[Pair]) -> ReportTable:
    intervals = any(each.overlap is not None for each in pairs)
    paired = any(each.paired is not None for each in pairs)
    columns = ["where", "what", "A", "B", "B minus A"]
    columns += ["intervals overlap"] if intervals else []
    columns += ["paired difference", "low", "high"] if paired else []
    digits = 3 if name == "scores" else 2
    return ReportTable(
        name,
        title,
        tuple(columns),
        tuple(_row(each, intervals=intervals, paired=paired) for each in pairs),
        note="The paired difference is of the same test items, with its interval." if paired else "",
        digits=dict.fromkeys(("A", "B", "B minus A", "paired difference", "low", "high"), digits),
        on_terminal=len(pairs) <= _FEW or name != "numbers",
    )


def _row(each: Pair, *, intervals: bool, paired: bool) -> tuple[Cell, ...]:
    row: list[Cell] = [each.where, each.what, each.left, each.right, each.difference]
    if intervals:
        row.append(None if each.overlap is None else "yes" if each.overlap else "no")
    if paired:
        bounds = each.paired or (None, None)
        row += [each.paired_difference, *bounds]
    return tuple(row)


def is_rank(what: str) -> bool:
    """Say whether a number is a rank or another reading of a spectrum, by its name."""
    return what.startswith(_RANKS)


def _settings(found: Comparison) -> dict[str, object]:
    return dict(found.conventions.document())
