"""Evidence on the command line, years later: what it says, and whether it holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import evidence
import pytest
from click.testing import Result
from evidence import with_rows
from filed import SUFFIX, Desk, key_of, keys_of, opened, trust_text, with_payload

from mlflow_rank.evidence.statement import Statement, Subject
from mlflow_rank.evidence.testimony import decision_statement
from mlflow_rank.workflow.evidencing import sealed

Call = Callable[..., Result]
Document = dict[str, Any]

OFFLINE = ("--policy", "policy.yaml", "--evidence", "evidence", "--model", "model", "--name", "encoder")
DECISION = f"out/decision{SUFFIX}"
COLLAPSED = evidence.measurement(change=with_rows({"metric": "effective_rank"}, {"low": 1.0}))


@pytest.fixture
def verify(rank: Call) -> Call:
    return lambda *words: rank("evidence", "verify", *words)


@pytest.fixture
def decided(rank: Call) -> Call:
    """Decide, and leave the decision signed in out/."""
    return lambda *words: rank("decide", *OFFLINE, "--output", "out", "--key", "gate.key", *words)


def states(result: Result) -> set[str]:
    return {line.split()[0] for line in result.stdout.splitlines()}


# show


def test_it_says_what_evidence_is_about_who_made_it_and_who_signed(rank: Call, desk: Desk) -> None:
    desk.alarms("open", "closed", by=None)

    result = rank("evidence", "show", "evidence")

    assert result.exit_code == 0
    assert f"evidence/pilot{SUFFIX}:" in result.stdout
    assert f"models:/encoder/7  {desk.digest}" in result.stdout
    assert "lab (measurer)" in result.stdout
    assert "unsigned: nobody has signed this" in result.stdout
    assert "2 alarms of run-7, 1 open" in result.stdout
    assert "ranks of models:/encoder/7 (float32), preset robust" in result.stdout


def test_as_json_each_is_a_line_with_its_whole_statement(rank: Call, desk: Desk) -> None:
    desk.pilot(by="eve")

    lines = [json.loads(line) for line in rank("evidence", "show", "evidence", "--json").stdout.splitlines()]

    assert [Path(each["file"]).name for each in lines] == [f"measurement{SUFFIX}", f"pilot{SUFFIX}"]
    assert [each["signed_by"] for each in lines] == [["lab"], []]
    assert [each["cause"] for each in lines[1]["problems"]] == ["unknown_key"]
    assert lines[1]["statement"] == opened(desk.evidence / f"pilot{SUFFIX}")[1]


def test_what_cannot_be_read_is_shown_as_that(rank: Call, desk: Desk) -> None:
    desk.write(f"evidence/junk{SUFFIX}", b"\xff")

    result = rank("evidence", "show", f"evidence/junk{SUFFIX}")

    assert result.exit_code == 0
    assert f"evidence/junk{SUFFIX}:\nunreadable" in result.stdout


@pytest.mark.parametrize("verb", ["show", "verify"])
def test_a_file_that_is_not_there_ends_with_2(rank: Call, verb: str) -> None:
    assert rank("evidence", verb, "none.dsse.json").exit_code == 2


# verify


def test_what_was_signed_holds(verify: Call) -> None:
    result = verify("evidence", "--model", "model")

    assert result.exit_code == 0, result.output
    assert states(result) == {"holds"}
    assert "pilot signed by lab (measurer)" in result.stdout
    assert "4 of 4 hold" in result.stderr


def test_one_changed_number_does_not_hold(verify: Call, desk: Desk) -> None:
    path = desk.evidence / f"pilot{SUFFIX}"
    _, statement = opened(path)
    statement["predicate"]["document"]["rows"][0]["score"] = 0.999
    with_payload(path, statement)

    result = verify("evidence")

    assert result.exit_code == 1
    assert "pilot, bad signature" in result.stdout


def test_a_changed_signature_does_not_hold(verify: Call, desk: Desk) -> None:
    path = desk.evidence / f"pilot{SUFFIX}"
    envelope, _ = opened(path)
    signature = envelope["signatures"][0]["sig"]
    envelope["signatures"][0]["sig"] = ("B" if signature[0] == "A" else "A") + signature[1:]
    path.write_text(json.dumps(envelope))

    assert verify("evidence").exit_code == 1


@pytest.mark.parametrize(
    ("by", "why"), [(None, "unsigned: nobody has signed this"), ("eve", "unknown key"), ("lab", "signed by lab")]
)
def test_only_keys_that_are_trusted_hold(verify: Call, desk: Desk, by: str | None, why: str) -> None:
    result = verify(desk.pilot(by=by))

    assert result.exit_code == (0 if by == "lab" else 1)
    assert why in result.stdout


def test_a_key_id_alone_makes_no_signature_hold(verify: Call, desk: Desk) -> None:
    path = desk.pilot(by="eve")
    envelope, _ = opened(path)
    (envelope["signatures"][0]["keyid"],) = keys_of(["lab"])
    path.write_text(json.dumps(envelope))

    result = verify(path)

    assert result.exit_code == 1
    assert "bad signature" in result.stdout


@pytest.mark.parametrize(
    ("how", "code", "why"),
    [
        ({"revoked": {"at": "2020-01-01T00:00:00Z", "reason": "retired"}}, 1, "key revoked"),
        ({"revoked": {"at": "2999-01-01T00:00:00Z", "reason": "retired"}}, 0, "signed by lab"),
        ({"revoked": {"at": "2999-01-01T00:00:00Z", "reason": "compromised"}}, 1, "key revoked"),
        ({"valid_until": "2020-01-01T00:00:00Z"}, 1, "key expired"),
        ({"valid_from": "2999-01-01T00:00:00Z"}, 1, "key not valid yet"),
    ],
)
def test_a_key_is_judged_as_it_was_when_it_signed(
    verify: Call, desk: Desk, how: dict[str, object], code: int, why: str
) -> None:
    desk.write("years-later.yaml", trust_text(lab=how))

    result = verify("evidence", "--trust", "years-later.yaml")

    assert result.exit_code == code
    assert why in result.stdout


def test_evidence_of_other_files_does_not_hold(verify: Call, desk: Desk) -> None:
    other = desk.write("other/model.safetensors", "others").parent

    result = verify("evidence", "--model", other)

    assert result.exit_code == 1
    assert "the files in " in result.stdout
    assert " are others " in result.stdout
    assert states(result) == {"holds", "FAILS"}


def test_a_signer_without_the_role_that_is_asked_for_does_not_hold(verify: Call, desk: Desk) -> None:
    assert verify("evidence", "--role", "measurer").exit_code == 0

    result = verify("evidence", "--role", "gate")

    assert result.exit_code == 1
    assert "signed by lab, who is no gate" in result.stdout


def test_junk_does_not_hold(verify: Call, desk: Desk) -> None:
    desk.write(f"evidence/junk{SUFFIX}", "{}")

    assert verify("evidence").exit_code == 1


# decisions, decided again


@pytest.mark.parametrize("document", [evidence.measurement(), COLLAPSED])
def test_a_decision_is_decided_again_to_the_same_bytes(
    verify: Call, decided: Call, desk: Desk, document: Document
) -> None:
    desk.measurement(document)
    decided()

    result = verify("out", "evidence", "--policy", "policy.yaml", "--model", "model")

    assert result.exit_code == 0, result.output
    assert "decided again, the same bytes" in result.stdout
    assert "summary signed by gate" in result.stdout


def test_a_decision_with_everything_in_it_is_decided_again_too(
    verify: Call, decided: Call, rank: Call, desk: Desk
) -> None:
    desk.policy(
        evidence.PILOT_RULE, evidence.rule("pilot_not_worse", "not-worse"), evidence.rule("no_open_alarm", "calm"),
        approvals={"count": 1}, waivers={"rules": ["calm"]},
    )  # fmt: skip
    theirs = evidence.digest("the champion's files")
    desk.alarms("open")
    desk.pilot(against=theirs)
    desk.measurement(about=theirs, called="models:/encoder/6", name="theirs").rename("theirs.dsse.json")
    desk.write(f"evidence/junk{SUFFIX}", "{}")
    question = (*OFFLINE, "--champion-evidence", "theirs.dsse.json")
    said = ("--rule", "calm", "--reason", "a known fault", "--ticket", "OPS-7")
    rank("waive", "--output", "waiver.dsse.json", *question, *said, "--key", "olga.key")
    rank("approve", "--output", "bob.dsse.json", *question, "--comment", "heard it", "--key", "bob.key")
    answer = decided(*question[8:], "--approval", "bob.dsse.json", "--waiver", "waiver.dsse.json")
    papers = ("theirs.dsse.json", "bob.dsse.json", "waiver.dsse.json")

    held = verify(DECISION, "evidence", *papers, "--policy", "policy.yaml")
    lacking = verify(DECISION, "evidence", *papers[:2], "--policy", "policy.yaml")

    assert answer.exit_code == 0, answer.output
    assert "decided again, the same bytes" in held.stdout
    assert "FAILS" in held.stdout  # the junk, which nobody signed
    assert held.exit_code == 1
    assert "1 of its statements are not among the files" in lacking.stdout


def test_who_changes_a_verdict_must_sign_it_and_still_it_does_not_hold(verify: Call, decided: Call, desk: Desk) -> None:
    desk.measurement(COLLAPSED)
    decided()
    _, statement = opened(desk.place / DECISION)
    document = statement["predicate"]["decision"]
    document |= {"verdict": "approve"}
    document["policies"][0] |= {"passes": True, "formula_passes": True}
    made = decision_statement(document, now=evidence.NOW)
    desk.write(DECISION, sealed(made, key_of("gate")))

    result = verify(DECISION, "evidence", "--policy", "policy.yaml")

    assert result.exit_code == 1
    assert "signed by gate" in result.stdout
    assert "decided again, it is another decision: denied: floor fails" in result.stdout


def test_another_policy_makes_another_decision(verify: Call, decided: Call, desk: Desk) -> None:
    decided()
    desk.policy(metadata={"revision": 2})

    result = verify(DECISION, "evidence", "--policy", "policy.yaml")

    assert result.exit_code == 1
    assert "another decision" in result.stdout


def test_a_decision_whose_evidence_is_not_at_hand_is_not_known_and_ends_with_3(
    verify: Call, decided: Call, desk: Desk
) -> None:
    decided()

    result = verify(DECISION, desk.evidence / f"pilot{SUFFIX}", "--policy", "policy.yaml")

    assert result.exit_code == 3
    assert states(result) == {"holds", "unknown"}
    assert "1 of its statements are not among the files" in result.stdout


def test_without_policies_a_decision_is_only_what_was_signed(verify: Call, decided: Call) -> None:
    decided()

    result = verify(DECISION)

    assert result.exit_code == 0
    assert result.stdout.count("holds") == 1


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (None, "this is no recorded decision: KeyError: 'request'"),
        ({"request": []}, "this is no recorded decision: TypeError: a part is no object"),
        ({"evidence": {}}, "this is no recorded decision: TypeError: a part is no list"),
        ({"champion": {}}, "this is no recorded decision: KeyError: 'none'"),
        ({"decided_at": "yesterday"}, "this is no time with a zone: 'yesterday'"),
        ({"decided_at": "2026-01-01T00:00:00"}, "this is no time with a zone"),
    ],
)
def test_a_decision_that_is_none_does_not_hold(
    verify: Call, decided: Call, desk: Desk, changed: Document | None, why: str
) -> None:
    decided()
    _, statement = opened(desk.place / DECISION)
    document = {} if changed is None else statement["predicate"]["decision"] | changed
    said = {"made_at": "2026-01-01T00:00:00Z", "decision": document}
    made = Statement((Subject("encoder", desk.digest),), statement["predicateType"], said)
    desk.write(DECISION, sealed(made, key_of("gate")))

    result = verify(DECISION, "evidence", "--policy", "policy.yaml")

    assert result.exit_code == 1
    assert why in result.stdout
