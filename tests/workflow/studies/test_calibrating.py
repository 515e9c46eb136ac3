"""From a table and outcomes to a report and a policy that is written, and what is refused on the way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pasts import past

from mlflow_rank.errors import MeasurementError, UsageError
from mlflow_rank.evidence.strict_yaml import DocumentError
from mlflow_rank.reports.studies.calibration.proposed_policy import PolicyTerms
from mlflow_rank.workflow.policies import read_policies
from mlflow_rank.workflow.progress import Silence
from mlflow_rank.workflow.studies.calibrating import Calibrated, CalibrationRequest, calibrate_table, write_policy

TERMS = PolicyTerms("calibrated", ("speech-platform",), ("encoder*",))


class Told(Silence):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def calibrated(request: CalibrationRequest | None = None, *, told: Told | None = None, **how: Any) -> Calibrated:
    table, outcomes = past(**how)
    return calibrate_table(table, outcomes, request or CalibrationRequest(), told or Told())


def test_a_policy_is_written_and_read_back(tmp_path: Path) -> None:
    place = tmp_path / "calibrated.yaml"
    written = write_policy(calibrated(CalibrationRequest(repeats=("all",))), TERMS, place)
    (read,) = read_policies([place])
    assert read.policy.digest == written.digest
    assert "keyword-good-enough" in read.lines


def test_scores_in_domain_are_looked_at_unless_others_are_named() -> None:
    found = calibrated().found
    assert [floor.quantity.name for floor in found.floors] == [
        "rank_frame",
        "rank_utterance",
        "pilot_keyword",
        "pilot_phone",
    ]
    assert found.floors[2].quantity.chance == pytest.approx(1 / 20)
    assert found.floors[3].quantity.chance is None
    named = calibrated(CalibrationRequest(scores=("pilot_keyword_ood",))).found
    assert [floor.quantity.name for floor in named.floors] == ["rank_frame", "rank_utterance", "pilot_keyword_ood"]


def test_where_the_usual_ranks_are_not_measured_others_stand_for_them() -> None:
    table, outcomes = past(bad=4, good=4)
    summed = [replace(each, ranks={"rankme_t": each.ranks["rank_frame"]}) for each in table.observations]
    found = calibrate_table(replace(table, observations=tuple(summed)), outcomes, CalibrationRequest(), Silence()).found
    assert [floor.quantity.name for floor in found.proposed] == ["rankme_t", "pilot_keyword", "pilot_phone"]


def test_an_existing_file_is_kept_unless_it_may_go(tmp_path: Path) -> None:
    place = tmp_path / "calibrated.yaml"
    place.write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="there already"):
        write_policy(calibrated(), TERMS, place)
    assert place.read_text(encoding="utf-8") == "mine"
    write_policy(calibrated(), TERMS, place, force=True)
    assert place.read_text(encoding="utf-8").startswith("# yaml-language-server")


def test_where_no_pilot_proves_no_policy_is_written(tmp_path: Path) -> None:
    place = tmp_path / "calibrated.yaml"
    with pytest.raises(MeasurementError, match="no pilot score tells good versions from bad ones") as refused:
        write_policy(calibrated(bad_score=0.8), TERMS, place)
    assert "does not tell good versions from bad ones" in str(refused.value)
    assert not place.exists()


def test_terms_that_make_no_policy_leave_no_file(tmp_path: Path) -> None:
    place = tmp_path / "calibrated.yaml"
    with pytest.raises(DocumentError, match="name"):
        write_policy(calibrated(), PolicyTerms("Not An Identifier", ("ann",), ("*",)), place)
    assert not place.exists()


def test_what_has_no_outcome_and_whom_outcomes_do_not_find_is_told() -> None:
    table, outcomes = past(bad=4, good=4)
    told = Told()
    del outcomes["run 00", 400]
    outcomes["elsewhere", 7] = True
    found = calibrate_table(table, outcomes, CalibrationRequest(), told, nobodys=("version 9",)).found
    assert told.lines == [
        "without an outcome: run 00, step 400",
        "in the outcomes and nowhere else: elsewhere, step 7",
        "in the outcomes and nowhere else: version 9",
    ]
    assert found.document()["unlabelled"] == ["run 00, step 400"]
    assert found.document()["unmatched"] == ["elsewhere, step 7", "version 9"]


def test_outcomes_of_nobody_here_are_refused() -> None:
    table, _ = past(bad=2, good=2)
    with pytest.raises(UsageError, match="none of the outcomes"):
        calibrate_table(table, {("elsewhere", 7): True}, CalibrationRequest(), Silence())


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (CalibrationRequest(ranks=("total_variance_frame",)), "no such rank"),
        (CalibrationRequest(scores=("pilot_nobody",)), "no such pilot score"),
        (CalibrationRequest(layer=12), "no such layer"),
        (CalibrationRequest(repeats=("nobody",)), "no such training run"),
        (CalibrationRequest(alpha=0.0), "false-promotion rate"),
    ],
)
def test_what_is_not_there_is_refused(request_: CalibrationRequest, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        calibrated(request_, bad=3, good=3)
