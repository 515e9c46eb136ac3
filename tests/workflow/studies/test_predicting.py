"""From a table to a study of prediction; and that nothing which decides can make anything of it."""

from __future__ import annotations

import json

import evidence
import pytest
from told_by_rank import trainings

from mlflow_rank.errors import UsageError
from mlflow_rank.evidence.envelope import Envelope
from mlflow_rank.evidence.presented import present
from mlflow_rank.evidence.statement import MEASUREMENT, PILOT, Statement, Subject
from mlflow_rank.evidence.trust import TrustStore
from mlflow_rank.policy.decide import decide
from mlflow_rank.policy.decision import Deny
from mlflow_rank.reports.studies.report import StudyReport
from mlflow_rank.workflow.progress import Silence
from mlflow_rank.workflow.studies.gathering.window import Window
from mlflow_rank.workflow.studies.predicting import PredictionRequest, predicted

NOBODY = TrustStore(apiVersion="mlflow-rank/v1", kind="TrustStore", keys=())


@pytest.fixture(scope="module")
def study() -> StudyReport:
    table = trainings(1, own=1.0, layers=1, runs=3)
    return predicted(table, PredictionRequest(predictors=("rank_frame",)), Window(), Silence())


def test_a_study_says_its_window_and_who_chose_it(study: StudyReport) -> None:
    assert study.about[-1] == Window().sentence()
    assert study.document["window"] == Window().document()
    assert study.document["steps"] == [10, 1280]


def test_only_what_is_asked_for_is_predicted_and_from_what_is_asked_for(study: StudyReport) -> None:
    assert study.document["predictors"] == ["rank_frame"]
    with pytest.raises(UsageError, match="no such pilot score"):
        predicted(trainings(0), PredictionRequest(outcomes=("pilot_speaker",)), Window(), Silence())


def test_the_same_table_gives_the_same_document(study: StudyReport) -> None:
    again = predicted(
        trainings(1, own=1.0, layers=1, runs=3), PredictionRequest(predictors=("rank_frame",)), Window(), Silence()
    )
    assert json.dumps(again.document) == json.dumps(study.document)


@pytest.mark.parametrize("kind", [MEASUREMENT, PILOT, "urn:mlflow-rank:prediction:v1"])
@pytest.mark.parametrize("wrapped", [True, False])
def test_no_decision_can_make_evidence_of_it(study: StudyReport, kind: str, wrapped: bool) -> None:
    """As a measurement, a pilot, or under a name of its own: it is unreadable, or of no kind, and approves nothing."""
    said = {"document": study.document} if wrapped else dict(study.document)
    statement = Statement((Subject("model", evidence.MODEL),), kind, {"made_at": "2026-11-24T12:00:00Z", **said})
    read = present(Envelope(statement.to_bytes()).to_json(), trust=NOBODY)

    assert read.content is None
    assert read.kind in ("unreadable", "other")
    policy = evidence.policy(evidence.PILOT_RULE, evidence.rule("rank_at_least"))
    decision = decide([policy], evidence.case(read), evidence.NOW)
    assert isinstance(decision, Deny)
