"""A calibration for people: verdicts with numbers, misses and all, tables that hold them, and figures."""

from __future__ import annotations

from typing import Any

from pasts import past

from mlflow_rank.reports.studies.calibration.report import calibration_report
from mlflow_rank.reports.studies.report import StudyReport
from mlflow_rank.studies.calibration.cases import Cases, cases_of
from mlflow_rank.studies.calibration.retraining_envelope import retraining_envelope
from mlflow_rank.studies.calibration.study import calibrate

RANKS, SCORES = ("rank_frame",), ("pilot_keyword",)


def report_of(*, repeats: tuple[str, ...] = (), alpha: float = 0.05, known: bool = True, **how: Any) -> StudyReport:
    table, outcomes = past(**how)
    cases = cases_of(table, outcomes, ranks=RANKS, scores=SCORES) if known else Cases((), ())
    envelope = retraining_envelope(table, repeats, ranks=RANKS, scores=SCORES) if repeats else None
    return calibration_report(calibrate(cases, alpha, envelope=envelope), ("Window: all.",))


def test_it_says_what_may_be_promised_and_what_was_wrong() -> None:
    report = report_of(bad=20, good=4, repeats=("run 20", "run 21", "run 22", "run 23"))
    said = " ".join(report.verdicts)
    assert "8 good versions of 4 trainings and 40 bad ones of 20 have a known outcome" in said
    assert "A guarantee at 5 % takes 19 bad trainings." in said
    assert "proves (guaranteed)" in said
    assert "refused 0 of 8 [0, 37] %" in said
    assert "Retraining leaves rank_frame at" in said
    assert "a rule asks for that much of the champion's" in said
    assert report.about[0] == "Window: all."


def test_too_few_say_what_they_can_promise() -> None:
    said = " ".join(report_of(bad=4, good=4).verdicts)
    assert "takes 19 bad trainings: 4 can promise 20 % and no less" in said
    assert "NOT guaranteed" in said


def test_a_rank_that_is_reversed_is_named_with_the_reason_and_nothing_is_hidden() -> None:
    report = report_of(bad_rank=80.0)
    assert any(
        verdict.startswith("No rule from rank_frame: bad versions have the higher numbers")
        for verdict in report.verdicts
    )
    rows = {row[0]: row for row in report.tables[0].rows}
    assert (rows["rank_frame"][-1], rows["pilot_keyword"][-1]) == ("no", "yes")
    assert {name for name in report.metrics if name.startswith("limit/")} == {"limit/pilot_keyword"}


def test_ranks_alone_propose_no_policy_and_that_is_said() -> None:
    said = " ".join(report_of(bad_score=0.8).verdicts)
    assert "No policy is proposed" in said
    assert "a rank may veto, never prove" in said


def test_not_enough_is_no_number() -> None:
    report = report_of(bad=2, good=2)
    assert {row[1] for row in report.tables[0].rows} == {None}
    assert sum("not enough: 2 training runs" in verdict for verdict in report.verdicts) == 2
    assert report.metrics == {}
    assert report.figures == ()


def test_without_any_outcome_only_the_envelope_is_told() -> None:
    report = report_of(known=False, repeats=("run 20", "run 21", "run 22"))
    assert report.verdicts[0] == "No outcome of a past version is known, so there is no limit."
    assert [figure.name for figure in report.figures] == ["envelope"]


def test_tables_hold_every_error_in_numbers() -> None:
    tables = {table.name: table for table in report_of(repeats=("run 20", "run 21")).tables}
    assert len(tables["errors"].rows) == 3 * 4  # two numbers and all together; by version and run, promoted and refused
    for name, of, error, count, n, share, low, high in tables["errors"].rows:
        assert low <= share == count / n <= high, (name, of, error)  # type: ignore[operator]
    assert not tables["errors"].on_terminal
    assert len(tables["envelope"].rows) == 3 + 1


def test_figures_show_every_quantity() -> None:
    report = report_of(repeats=("run 20", "run 21", "run 22"))
    panels = {figure.name: [axes.get_title(loc="left") for axes in figure.draw().axes] for figure in report.figures}
    assert [title.split(":")[0] for title in panels["cases"]] == ["rank_frame", "pilot_keyword"]
    assert panels["errors"] == ["rank_frame", "pilot_keyword"]
    assert panels["envelope"] == ["rank_frame"]
