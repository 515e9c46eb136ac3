"""What an attacker tries who may lay files beside honest ones, or holds a key of a lesser role."""

from __future__ import annotations

import base64
import json
import os
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import evidence
import pytest
from filed import SUFFIX, Desk, key_of, opened, trust

from mlflow_rank.errors import UsageError
from mlflow_rank.evidence.presented import present
from mlflow_rank.evidence.statement import DECISION, MEASUREMENT, Statement, Subject
from mlflow_rank.policy import decide
from mlflow_rank.workflow.deciding import PromotionQuestion, case_of, read_evidence, write_decision
from mlflow_rank.workflow.evidencing import sealed
from mlflow_rank.workflow.policies import promotion_policies, read_document, read_policies
from mlflow_rank.workflow.verifying import verify_files


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(tmp_path)
    return Desk.laid(tmp_path)


def asked(desk: Desk):
    return case_of(PromotionQuestion(evidence=(desk.evidence,)), trust())


@pytest.mark.parametrize("by", [None, "eve"])
def test_a_stranger_does_not_choose_the_policies_by_naming_the_model(desk: Desk, by: str | None) -> None:
    desk.measurement(name="forged", by=by, called="models:/aaa-sandbox/1")

    assert asked(desk).request.model == "encoder"


@pytest.mark.parametrize("by", [None, "eve"])
def test_strangers_do_not_choose_the_model_by_their_number(desk: Desk, by: str | None) -> None:
    for number in range(5):
        desk.measurement(
            evidence.measurement(utterances=number + 1),
            name=f"forged{number}", by=by, about=evidence.digest("other"), called="models:/other/1",
        )  # fmt: skip

    assert asked(desk).request.candidate.digest == desk.digest


def test_a_statement_with_thousands_of_subjects_is_looked_through_once(desk: Desk) -> None:
    subjects = tuple(Subject("m", evidence.digest(str(number))) for number in range(8000))
    statement = Statement(
        subjects, MEASUREMENT, {"made_at": "2026-01-01T00:00:00Z", "document": evidence.measurement()}
    )
    shutil.rmtree(desk.evidence)
    desk.write(f"evidence/many{SUFFIX}", sealed(statement, key_of("lab")))
    start = time.perf_counter()

    asked(desk)

    assert time.perf_counter() - start < 2


@pytest.mark.parametrize("read", [read_evidence, read_document])
def test_a_link_to_a_device_without_end_is_too_large(desk: Desk, read) -> None:
    link = desk.place / "link"
    link.symlink_to("/dev/zero")

    with pytest.raises(UsageError, match=r"too large|larger than"):
        read(link)


def test_a_pipe_that_nobody_writes_to_is_no_evidence_and_stops_nothing(desk: Desk) -> None:
    os.mkfifo(desk.evidence / f"pipe{SUFFIX}")

    assert {each.kind for each in asked(desk).evidence} == {"measurement", "pilot", "unreadable"}


def decided(desk: Desk):
    policies = promotion_policies(read_policies([desk.place / "policy.yaml"]))
    now = datetime.now(UTC).replace(microsecond=0)
    return policies, decide(policies, asked(desk), now), now


def states(desk: Desk, decision: Path) -> list[str]:
    policies, _, _ = decided(desk)
    return [check.state for check in verify_files([decision, desk.evidence], trust(), policies=policies)]


def test_a_decision_is_the_word_of_a_gate(desk: Desk) -> None:
    _, decision, now = decided(desk)
    for name in ("gate", "lab"):
        write_decision(decision, desk.place / name, key_of(name), now)

    assert set(states(desk, desk.place / "gate")) == {"holds"}
    assert states(desk, desk.place / "lab").count("FAILS") == 2  # the decision and its summary


def test_a_decision_about_other_files_than_its_statement_fails(desk: Desk) -> None:
    _, decision, now = decided(desk)
    path, _ = write_decision(decision, desk.place / "out", key_of("gate"), now)
    _, said = opened(path)
    replayed = Statement((Subject("encoder", evidence.digest("other")),), DECISION, said["predicate"])
    path.write_bytes(sealed(replayed, key_of("gate")))

    assert states(desk, path)[:2] == ["holds", "FAILS"]


def test_a_decision_verifies_with_an_unsigned_copy_of_its_evidence_beside(desk: Desk) -> None:
    envelope = json.loads((desk.evidence / f"pilot{SUFFIX}").read_bytes())
    desk.write(f"evidence/z-copy{SUFFIX}", json.dumps(envelope | {"signatures": []}))
    _, decision, now = decided(desk)
    path, _ = write_decision(decision, desk.place / "out", key_of("gate"), now)

    assert states(desk, path)[:2] == ["holds", "holds"]


def test_a_payload_is_no_envelope_and_hides_none(desk: Desk) -> None:
    data = (desk.evidence / f"pilot{SUFFIX}").read_bytes()
    before = asked(desk).evidence_digest
    bare = base64.b64decode(json.loads(data)["payload"])
    assert present(bare, trust=trust()).digest == present(data, trust=trust()).digest
    for name in ("a", "z"):
        desk.write(f"evidence/{name}{SUFFIX}", bare)

    assert asked(desk).evidence_digest == before
