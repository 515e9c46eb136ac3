"""From documents to statements: about which files, what is left out of them, and that others can read them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import evidence
import pytest
from filed import key_of
from securesystemslib.dsse import Envelope as TheirEnvelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from mlflow_rank.errors import EvidenceError
from mlflow_rank.evidence.canonical import digest_of
from mlflow_rank.evidence.contents import Alarms, Approval, Waiver, contents_of, made_at_of
from mlflow_rank.evidence.envelope import Envelope
from mlflow_rank.evidence.measured import Measurement
from mlflow_rank.evidence.piloted import Pilot
from mlflow_rank.evidence.presented import present
from mlflow_rank.evidence.statement import Statement, Subject, read_statement
from mlflow_rank.evidence.testimony import (
    alarms_statement,
    approval_statement,
    decision_statement,
    evidence_subject,
    measurement_statement,
    pilot_statement,
    summary_statement,
    waiver_statement,
)
from mlflow_rank.policy import decide
from mlflow_rank.workflow.policies import NOBODY

Document = dict[str, Any]
NOW = datetime(2026, 11, 25, 13, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=1)))
FILES, LOGGED = evidence.digest("checkpoint"), evidence.digest("logged model")


ALARM = {"id": "1", "state": "open", "alarm": "divergence", "since_step": 400, "message": "the loss is NaN"}


def about(document: Document, files: str | None = FILES) -> Document:
    return document | {"model": document["model"] | {"files_digest": files}}


def statements() -> dict[str, Statement]:
    """One of each kind."""
    decision = decided()
    request = {
        "model": "encoder", "target": "alias:champion", "digest": FILES, "policies": [FILES], "evidence_digest": LOGGED,
    }  # fmt: skip
    later = NOW + timedelta(days=1)
    return {
        "measurement": measurement_statement(about(evidence.measurement()), now=NOW),
        "pilot": pilot_statement(about(evidence.pilot()), now=NOW),
        "alarms": alarms_statement(Subject("encoder", FILES), monitor="run-7", alarms=[ALARM], now=NOW),
        "approval": approval_statement(request, verdict="approve", comment="yes", now=NOW, expires_at=later),
        "waiver": waiver_statement(
            Subject("encoder", FILES), policy=FILES, rule="age", reason="holiday", ticket="T-1", now=NOW,
            expires_at=later,
        ),
        "decision": decision_statement(decision, now=NOW),
        "summary": summary_statement(decision),
    }  # fmt: skip


def decided(*, approve: bool = True, **how: Any) -> Document:
    policy = evidence.policy(approvals={"count": 0 if approve else 1})
    document = decide([policy], evidence.case(**how), evidence.NOW).document()
    assert document["verdict"] == ("approve" if approve else "deny")
    return document


KINDS = tuple(statements())


# every kind


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_read_back_is_what_was_stated(kind: str) -> None:
    statement = statements()[kind]

    assert read_statement(statement.to_bytes(), named="it").to_bytes() == statement.to_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_another_implementation_verifies_it_and_finds_a_change(kind: str) -> None:
    envelope = Envelope(statements()[kind].to_bytes()).signed_by(key_of("lab")).to_json()
    public = key_of("lab").public
    theirs = SSlibKey(public.key_id, "ed25519", "ed25519", {"public": public.raw.hex()})

    assert TheirEnvelope.from_dict(json.loads(envelope)).verify([theirs], 1)
    with pytest.raises(VerificationError):
        TheirEnvelope.from_dict(json.loads(envelope) | {"payload": "e30="}).verify([theirs], 1)


@pytest.mark.parametrize("kind", KINDS)
def test_it_says_in_utc_when_it_was_made_and_is_presented_as_what_it_is(kind: str) -> None:
    statement = statements()[kind]

    presented = present(Envelope(statement.to_bytes()).to_json(), trust=NOBODY)

    assert made_at_of(statement) == datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)
    assert presented.kind == kind
    assert [cause for cause, _ in presented.problems] == ["unsigned"]


@pytest.mark.parametrize(
    ("kind", "content"),
    [("measurement", Measurement), ("pilot", Pilot), ("alarms", Alarms), ("approval", Approval), ("waiver", Waiver)],
)
def test_rules_read_what_was_stated(kind: str, content: type) -> None:
    assert isinstance(contents_of(statements()[kind], named="it"), content)


# alarms


def test_a_monitor_that_raised_nothing_says_so() -> None:
    statement = alarms_statement(Subject("encoder", FILES), monitor="run-7", alarms=[], now=NOW)

    content = contents_of(statement, named="it")
    assert isinstance(content, Alarms)
    assert (content.monitor, content.alarms) == ("run-7", ())


def test_a_statement_of_alarms_says_until_which_step_was_heard_where_it_is_known() -> None:
    subject = Subject("encoder", FILES)
    silent = alarms_statement(subject, monitor="run-7", alarms=[], now=NOW)
    assert set(silent.predicate) == {"made_at", "made_with", "monitor", "alarms"}  # as it was before: the same digest
    told = alarms_statement(subject, monitor="run-7", alarms=[], now=NOW, heard_until=700)

    heard = [contents_of(each, named="it") for each in (silent, told)]
    assert [each.heard_until for each in heard if isinstance(each, Alarms)] == [None, 700]


@pytest.mark.parametrize("change", [{"state": "over"}, {"id": 1}, {"alarm": None}])
def test_an_alarm_that_no_rule_could_read_is_not_stated(change: Document) -> None:
    with pytest.raises(EvidenceError, match="monitor run-7 does not say"):
        alarms_statement(Subject("encoder", FILES), monitor="run-7", alarms=[ALARM | change], now=NOW)


# measurements and pilots


def test_evidence_is_about_the_files_that_were_heard_and_about_the_model_that_was_logged_of_them() -> None:
    also = [Subject("models:/encoder/1", LOGGED), Subject("the same", FILES)]

    for state, document in ((measurement_statement, evidence.measurement()), (pilot_statement, evidence.pilot())):
        subjects = state(about(document), also=also, now=NOW).subjects
        assert subjects == (Subject("lab/hubert-small", FILES), Subject("models:/encoder/1", LOGGED))


@pytest.mark.parametrize("document", [{}, {"model": {}}, {"model": {"files_digest": None}}, {"model": "starter"}])
def test_a_document_that_says_no_files_is_no_evidence(document: Document) -> None:
    with pytest.raises(EvidenceError, match="which files"):
        evidence_subject(document)


def test_what_only_fills_pages_is_left_out_and_named_with_the_digest_of_the_whole() -> None:
    whole = about(evidence.pilot()) | {"tasks": [{"task": "keyword", "domains": {}, "splits": [1], "confusions": [2]}]}

    predicate = pilot_statement(whole, now=NOW).predicate

    document: Any = predicate["document"]
    assert predicate["left_out"] == ["skipped", "tasks[].splits", "tasks[].confusions"]
    assert predicate["document_digest"] == digest_of(whole)
    assert "skipped" not in document
    assert document["tasks"] == [{"task": "keyword", "domains": {}}]
    assert document["rows"] == whole["rows"]
    assert whole["tasks"][0]["splits"] == [1]


def test_a_measurement_keeps_every_number() -> None:
    whole = about(evidence.measurement())

    predicate = measurement_statement(whole, now=NOW).predicate

    assert predicate["document"] == {name: value for name, value in whole.items() if name != "skipped"}
    assert predicate["left_out"] == ["skipped"]


@pytest.mark.parametrize(
    ("against", "said"),
    [
        (None, None),
        ({"spec": "models:/encoder@champion", "files_digest": LOGGED, "family": "hubert"},
         {"spec": "models:/encoder@champion", "files": LOGGED}),
        ({"spec": "log-mel"}, {"spec": "log-mel", "files": None}),
    ],
)  # fmt: skip
def test_a_pilot_says_whom_it_was_compared_with_by_digest(against: object, said: object) -> None:
    assert pilot_statement(about(evidence.pilot()) | {"against": against}, now=NOW).predicate["against"] == said


# decisions as SLSA verification summaries


@pytest.mark.parametrize(
    ("target", "address"),
    [("alias:champion", "models:/encoder@champion"), ("stage:Production", "models:/encoder/Production")],
)
def test_a_summary_for_one_target_is_none_for_another(target: str, address: str) -> None:
    statement = summary_statement(decided(target=target))

    assert statement.predicate["resourceUri"] == address
    assert statement.subjects == (Subject("models:/encoder/7", evidence.MODEL),)


def test_a_summary_names_every_statement_that_was_looked_at() -> None:
    policy = evidence.policy(approvals={"count": 1})
    case = evidence.case()
    given = evidence.approval(policy, case, evidence.ANN)
    decision = decide([policy], evidence.case(approvals=[given]), evidence.NOW).document()

    named: Any = summary_statement(decision).predicate["inputAttestations"]

    looked_at = [*case.evidence, given, *case.champion.evidence]
    assert {each["digest"]["sha256"] for each in named} == {each.digest.removeprefix("sha256:") for each in looked_at}
    assert {each["uri"].rpartition(":")[2] for each in named} == {
        "measurement", "pilot", "alarms", "approval", "champion",
    }  # fmt: skip


@pytest.mark.parametrize("approve", [True, False])
def test_a_summary_passed_or_failed_as_the_decision_did(approve: bool) -> None:
    predicate = summary_statement(decided(approve=approve)).predicate

    assert predicate["verificationResult"] == ("PASSED" if approve else "FAILED")
    assert predicate["verifiedLevels"] == ["MLFLOW_RANK_APPROVED" if approve else "FAILED"]


def test_a_summary_names_the_policies_whatever_their_order() -> None:
    policies = [evidence.policy(metadata={"name": name}) for name in ("one", "two")]

    one, other = (
        summary_statement(decide(order, evidence.case(), evidence.NOW).document()).predicate["policy"]
        for order in (policies, policies[::-1])
    )

    assert one == other
    assert one["uri"] == "urn:mlflow-rank:policies:one@1+two@1"


def test_an_approval_names_a_witnessed_user_only_where_there_is_one() -> None:
    request = {
        "model": "encoder", "target": "alias:champion", "digest": FILES, "policies": [FILES], "evidence_digest": LOGGED,
    }  # fmt: skip
    given = {"verdict": "approve", "comment": "yes", "now": NOW, "expires_at": NOW + timedelta(days=1)}

    signed, seen = approval_statement(request, **given), approval_statement(request, **given, witnessed="cid")

    assert "witnessed" not in signed.predicate
    assert dict(seen.predicate) == {**signed.predicate, "witnessed": "cid"}
    said = [contents_of(each, named="it") for each in (signed, seen)]
    assert [each.witnessed for each in said if isinstance(each, Approval)] == [None, "cid"]
