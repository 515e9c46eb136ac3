"""The study of faults: what it reads from what its runs leave, and how it says it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from mlflow_rank.monitoring.point import Point, Reading
from recipes import pretraining  # noqa: F401  # before the first import of transformers
from recipes.pretraining.fault_cases import Case, cases
from recipes.pretraining.fault_figure import draw_cases
from recipes.pretraining.fault_findings import finding_of
from recipes.pretraining.fault_table import fault_rows, healthy_rows

ONSET = 40
GOOD = {"score": 0.8, "low": 0.7, "high": 0.9}
LOWER = {"score": 0.7, "low": 0.6, "high": 0.8}
FALLEN = {"score": 0.3, "low": 0.2, "high": 0.4}


def case_of(output: Path, fault: str) -> Case:
    return next(each for each in cases(output, seeds=1, before=ONSET, after=40) if each.plan.fault == fault)


def leave(case: Case, *, nan: tuple[int, ...] = (), pilots: dict[int, dict[str, object]]) -> None:
    """Write what a run of the study leaves: points every 10 steps, of which some are NaN, and pilots.

    What another judge once said of them lies there too, and counts for nothing.
    """
    (case.path / "monitor").mkdir(parents=True)
    case.beginning.mkdir(parents=True, exist_ok=True)
    readings = tuple(Reading(layer, "frame", 100, 8, rank=4.0 + layer) for layer in (0, 1))
    points = [Point(step, readings, loss=math.nan if step in nan else 1.0) for step in range(0, 81, 10)]
    lines = "".join(json.dumps(point.document()) + "\n" for point in points)
    (case.path / "monitor" / "points.jsonl").write_text(lines)
    before = {"alarm": "constant_collapse", "raised_step": 80, "since_step": 80}
    (case.path / "monitor" / "alarms.json").write_text(json.dumps({"alarms": [before]}))
    (case.beginning / "pilots.json").write_text(json.dumps({ONSET: {"best": GOOD, "last": GOOD}}))
    (case.path / "pilots.json").write_text(json.dumps(pilots))


def test_the_cases_share_one_beginning_per_objective_and_seed_and_hold_every_fault(tmp_path):
    found = list(cases(tmp_path, seeds=2, before=800, after=400))

    assert len(found) == 12
    assert len({case.beginning for case in found}) == 4
    assert len({case.path for case in found}) == 12
    assert {case.plan.fault for case in found} == {
        "none", "high_lr", "constant_targets", "random_targets", "no_stop_gradient",
    }  # fmt: skip
    assert {(case.plan.onset, case.plan.steps) for case in found} == {(800, 1_200)}
    assert found[0].after == [825, 850, 900, 1_000, 1_200]


def test_a_finding_says_when_alarms_came_when_the_pilot_fell_and_what_was_missed(tmp_path):
    case = case_of(tmp_path, "constant_targets")
    leave(
        case,
        nan=(0, 60),
        pilots={50: {"best": GOOD, "last": FALLEN}, 60: {"best": LOWER, "last": LOWER}},
    )

    finding = finding_of(case)

    assert (finding.points, finding.points_before) == (9, 5)
    assert [alarm["raised_step"] for alarm in finding.false_alarms] == [0]
    assert [(alarm["alarm"], alarm["raised_step"]) for alarm in finding.alarms] == [("divergence", 60)]
    assert (finding.raised, finding.delay) == (60, 2)  # the points of 50 and 60
    assert (finding.best.fell_at, finding.best.lowest_step) == (None, 60)
    assert (finding.last.fell_at, finding.last.lowest_step) == (50, 50)
    assert finding.missed == "10 steps after the fall"


@pytest.mark.parametrize(
    ("fault", "nan", "pilots", "missed"),
    [
        ("high_lr", (), {50: {"best": FALLEN, "last": FALLEN}}, "no alarm"),
        ("high_lr", (), {50: {"best": GOOD, "last": LOWER}}, "no alarm; nor did the pilot fall clearly"),
        ("high_lr", (50,), {50: {"best": GOOD, "last": LOWER}}, "the pilot did not fall clearly"),
        ("high_lr", (50,), {50: {}}, ""),  # NaN: nothing left to pilot
        ("none", (50,), {50: {"best": GOOD, "last": GOOD}}, "a false alarm"),
        ("none", (), {50: {"best": GOOD, "last": GOOD}}, ""),
    ],
)
def test_what_is_missed_is_said(tmp_path, fault, nan, pilots, missed):
    case = case_of(tmp_path, fault)
    leave(case, nan=nan, pilots=pilots)

    assert finding_of(case).missed == missed


def test_the_tables_have_a_line_for_each_case_and_the_figure_a_panel(tmp_path):
    healthy, broken = case_of(tmp_path, "none"), case_of(tmp_path, "high_lr")
    leave(healthy, nan=(50,), pilots={50: {"best": GOOD, "last": GOOD}})
    leave(broken, nan=(60,), pilots={50: {"best": FALLEN, "last": LOWER}, 60: {}})
    findings = [finding_of(healthy), finding_of(broken)]

    faults, healths = fault_rows(findings), healthy_rows(findings)

    assert len(faults) == len(healths) == 3
    assert {line.count("|") for line in faults} == {faults[0].count("|")}
    assert {line.count("|") for line in healths} == {healths[0].count("|")}
    cells = [cell.strip() for cell in faults[2].strip("|").split("|")]
    assert cells[:6] == ["`high_lr` (clusters)", "40", "—", "—", "60", "—"]
    assert cells[7:9] == ["80 % [70, 90] → NaN (step 60)", "50"]
    assert [cell.strip() for cell in healths[2].strip("|").split("|")][:3] == ["clusters, seed 0", "9", "1"]
    figure = draw_cases([healthy, broken], findings)
    assert [axes.get_title(loc="left") for axes in figure.axes[:2]] == ["no fault, clusters", "high lr, clusters"]
