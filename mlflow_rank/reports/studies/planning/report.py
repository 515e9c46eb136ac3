"""A plan for people: what was asked, what it needs, what it costs, and from where its numbers are."""

from __future__ import annotations

from collections.abc import Iterator

from mlflow_rank.reports.studies.planning.figures import power_by_items, power_by_speakers
from mlflow_rank.reports.studies.report import Cell, ReportFigure, ReportTable, StudyReport
from mlflow_rank.studies.planning.plan import PILOT_PASSES, Need, Plan
from mlflow_rank.studies.planning.power import Infeasible


def report(plan: Plan) -> StudyReport:
    """Return the plan as a report."""
    metrics = {"rank_audio_minutes": plan.rank_audio, "rank_minutes": plan.rank_minutes}
    if plan.infeasible is None:
        metrics |= {
            "test_items": float(plan.test_items),
            "test_speakers": float(plan.test_speakers),
            "labels": float(plan.labels),
            "pilot_minutes": plan.pilot_minutes,
        }
        metrics |= {} if plan.saved is None else {"labels_saved": float(plan.saved)}
    return StudyReport(
        study="plan",
        title=f"What a pilot of {plan.task} needs, and a rank beside it",
        verdicts=tuple(_verdicts(plan)),
        about=tuple(_about(plan)),
        tables=(_needs(plan), _costs(plan), _ranks(plan), _sources(plan)),
        figures=() if plan.infeasible else (_by_items(plan), _by_speakers(plan)),
        document=plan.document(),
        metrics=metrics,
    )


def _verdicts(plan: Plan) -> Iterator[str]:
    for each in plan.needs:
        yield _verdict(plan, each)
    if plan.infeasible is None:
        yield (
            f"Labels in all: {plan.labels:,}, of which {plan.test_items:,} to test and {plan.train_labels:,} to train "
            f"({plan.labelling.per_class} of each of {plan.labelling.classes} classes), said by "
            f"{plan.test_speakers + plan.train_speakers:,} speakers. A score then reads ±"
            f"{100 * plan.score_half_width:.1f} points."
        )
        yield from _saving(plan)
    yield (
        f"The rank needs {_minutes(plan.rank_audio)} of unlabelled audio for a 95 % interval of ±"
        f"{100 * plan.ranks[0].half_width:g} % and four rows per dimension at every level "
        f"({', '.join(f'{each.level}: {_minutes(each.minutes)}' for each in plan.ranks)})."
    )
    yield _computing(plan)


def _verdict(plan: Plan, need: Need) -> str:
    question, unmet = need.question, need.infeasible
    points, surely = f"{100 * question.size:g} points", f"{100 * question.power:g} % power"
    if question.kind == "difference":
        what = f"a difference of {points} with {surely} (two-sided level {question.alpha:g})"
    else:
        what = (
            f"that an encoder as good as the champion is not worse by {points}, with {surely} (one-sided level "
            f"{question.alpha / 2:g}, by the end of the {100 * (1 - question.alpha):g} % interval)"
        )
    if unmet is not None:
        return f"Not possible: no number of items of {unmet.speakers:,} test speakers shows {what}. {_best(unmet)}"
    each = "" if plan.expected.paired else " (for each of the two encoders)"
    return f"{need.items:,} test items of at least {need.speakers:,} speakers{each} show {what}."


def _best(unmet: Infeasible) -> str:
    best = "nothing is shown" if unmet.resolvable >= 1 else f"{100 * unmet.resolvable:.1f} points is the best"
    more = "no number of speakers would do" if unmet.needed is None else f"it takes {unmet.needed:,} speakers or more"
    return f"With so many speakers {best}; {more}."


def _saving(plan: Plan) -> Iterator[str]:
    labelling, saved = plan.labelling, plan.saved
    if saved is None:
        return
    price = labelling.price
    money = "" if price is None else f", worth {abs(saved) * price:,.2f} at {price:g} a label"
    if saved >= 0:
        yield f"Labels saved: {saved:,} of {labelling.full:,}{money}."
    else:
        yield f"Nothing is saved: this needs {-saved:,} labels more than labelling everything{money}."


def _computing(plan: Plan) -> str:
    pilot = "" if plan.infeasible else f", the pilot {_minutes(plan.pilot_minutes)}"
    once = f"Listening takes {_minutes(plan.rank_minutes)} for the rank of a checkpoint{pilot}"
    count = plan.listening.checkpoints
    if count == 1:
        return f"{once}."
    whole = plan.rank_minutes + (0.0 if plan.infeasible else plan.pilot_minutes)
    return f"{once}; {_minutes(whole * count)} for {count:,} checkpoints."


def _about(plan: Plan) -> Iterator[str]:
    expected = plan.expected
    alike = f"items of a speaker correlate by {expected.intraclass:.2g}"
    if expected.discordance is None:
        yield f"Expected: an accuracy of {expected.accuracy:.2g}, tested on different items; {alike}."
    else:
        yield (
            f"Expected: an accuracy of {expected.accuracy:.2g}; one of two encoders alone is right on "
            f"{100 * expected.discordance:.0f} % of the items; {alike}."
        )
    yield (
        "Power is that of the interval that pilots have: Student's t with the speakers' degrees of freedom. The items "
        "of few speakers are worth fewer: n / (1 + (n/G - 1) times that correlation)."
    )
    yield (
        f"A pilot hears the encoder and its random weights ({PILOT_PASSES} passes); training the heads comes on top, "
        "and audio that is both measured and labelled is heard once."
    )
    guessed = sorted(name for name, source in plan.sources.items() if source.startswith("a guess"))
    if guessed:
        yield f"Guessed, not known: {', '.join(guessed)}. A pilot and a measurement of your own replace them."


def _needs(plan: Plan) -> ReportTable:
    rows: list[tuple[Cell, ...]] = []
    for each in plan.needs:
        question, met = each.question, each.infeasible is None
        rows.append(
            (
                f"{question.kind} of {100 * question.size:g} points",
                question.level,
                question.power,
                each.items if met else None,
                each.speakers if met else None,
                each.power if met else None,
            )
        )
    return ReportTable(
        "needs",
        "What is asked, and what it needs",
        ("asked", "level", "power asked", "test items", "test speakers", "power"),
        tuple(rows),
        note="" if plan.expected.paired else "Of each of the two encoders, which are tested on different items.",
        digits={"test items": 0, "test speakers": 0},
    )


def _costs(plan: Plan) -> ReportTable:
    met, count = plan.infeasible is None, plan.listening.checkpoints
    pilot = plan.pilot_minutes if met else None
    rows: list[tuple[Cell, ...]] = [
        ("rank", plan.rank_audio, 0, plan.rank_minutes),
        ("pilot", plan.pilot_audio if met else None, plan.labels if met else None, pilot),
        (
            "both",
            plan.rank_audio + plan.pilot_audio if met else None,
            plan.labels if met else None,
            None if pilot is None else plan.rank_minutes + pilot,
        ),
    ]
    once, all_of_them = "listening (min)", f"{count} checkpoints (min)"
    columns: tuple[str, ...] = ("", "audio (min)", "labels", once)
    if count > 1:
        columns = (*columns, all_of_them)
        rows = [(*row, None if row[3] is None else float(row[3]) * count) for row in rows]
    digits = {"audio (min)": 1, "labels": 0, once: 1, all_of_them: 1}
    return ReportTable("costs", "What it costs", columns, tuple(rows), digits=digits)


def _ranks(plan: Plan) -> ReportTable:
    return ReportTable(
        "ranks",
        "Unlabelled audio for the rank",
        ("level", "dimensions", "rows", "minutes for N/D of 4", "minutes for precision"),
        tuple((each.level, each.dim, each.rows, each.for_bias, each.for_precision) for each in plan.ranks),
        note="The larger of the two is needed.",
        digits={"dimensions": 0, "rows": 0, "minutes for N/D of 4": 1, "minutes for precision": 1},
    )


def _sources(plan: Plan) -> ReportTable:
    return ReportTable(
        "sources",
        "Where the numbers are from",
        ("number", "from"),
        tuple(sorted(plan.sources.items())),
        on_terminal=False,
    )


def _by_items(plan: Plan) -> ReportFigure:
    title = "Power against the number of test items, for some numbers of speakers"
    return ReportFigure("power_by_items", title, lambda: power_by_items(plan))


def _by_speakers(plan: Plan) -> ReportFigure:
    title = "Power against the number of test speakers, for some numbers of items of each"
    return ReportFigure("power_by_speakers", title, lambda: power_by_speakers(plan))


def _minutes(minutes: float) -> str:
    if minutes >= 600:
        return f"{minutes / 60:,.0f} h"
    return f"{minutes:.0f} min" if minutes >= 10 else f"{minutes:.1f} min" if minutes >= 1 else f"{60 * minutes:.0f} s"
