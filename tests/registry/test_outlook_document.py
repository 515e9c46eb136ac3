"""What a gate says of a model, as read: which answer it amounts to, and that nothing else is taken for it."""

from __future__ import annotations

from typing import Any

import pytest

from mlflow_rank.errors import EvidenceError
from mlflow_rank.registry.clients.outlook_document import read_outlook

Document = dict[str, Any]
PILOT = {"rule": "pilot", "result": "fail", "severity": "block", "sentence": "too low"}


def ruling(
    *findings: Document, passes: bool = False, formula: bool = False, rejected: tuple[str, ...] = ()
) -> Document:
    approvals = {"rejected_by": list(rejected)}
    return {
        "name": "p",
        "passes": passes,
        "formula_passes": formula,
        "approvals": approvals,
        "findings": list(findings),
    }


def outlook(decision: Document | None, *, kind: str = "governed", **more: Any) -> Any:
    version = {"number": "7", "decision": decision}
    document = {"workspace": "default", "model": "encoder", "standing": {"kind": kind, "reason": "so"}}
    return read_outlook(document | {"version": version} | more)


def denied(*rulings: Document, **more: object) -> Document:
    return {"verdict": "deny", "enforced": True, "policies": list(rulings)} | more


@pytest.mark.parametrize(
    ("decision", "answer"),
    [
        ({"verdict": "approve", "enforced": True}, "approved"),
        (denied(ruling(PILOT), enforced=False), "approved"),
        (denied(ruling(PILOT)), "refused"),
        (denied(ruling(PILOT | {"severity": "warn"})), "missing"),
        (denied(ruling(PILOT, formula=True)), "missing"),
        (denied(ruling(PILOT | {"result": "unknown"})), "missing"),
        (denied(ruling(rejected=("bob",), formula=True)), "refused"),
        (denied(ruling(PILOT, passes=True), ruling(formula=True)), "missing"),
        (denied(), "refused"),
        (denied(ruling(PILOT), undecided=True), "missing"),
        (denied(ruling(formula=True), undecided=False), "refused"),
        (None, "missing"),
    ],
)
def test_a_decision_amounts_to_one_answer(decision: Document | None, answer: str) -> None:
    assert outlook(decision).answer == answer


@pytest.mark.parametrize(
    ("kind", "problems", "answer"),
    [
        ("ungated", [], "free"), ("exempt", ["broken"], "free"), ("uncovered", [], "uncovered"),
        ("governed", ["broken"], "shut"), ("uncovered", ["broken"], "shut"),
    ],
)  # fmt: skip
def test_where_policies_do_not_speak_their_standing_does(kind: str, problems: list[str], answer: str) -> None:
    assert outlook({"verdict": "approve"}, kind=kind, problems=problems).answer == answer


def test_who_rejected_it_is_named_once_under_all_policies() -> None:
    decision = denied(ruling(rejected=("bob", "ann")), ruling(rejected=("bob",)))

    assert outlook(decision).rejected_by == ("ann", "bob")


def test_only_what_is_automatic_under_every_policy_is_automatic() -> None:
    policy = {"name": "p", "revision": 1, "digest": "sha256:0", "mode": "enforce"}

    def automatic(*promotes: str) -> bool:
        policies = [policy | {"promote": each} for each in promotes]
        document = {"workspace": "default", "model": "encoder", "version": {"number": "7", "policies": policies}}
        return read_outlook(document).automatic

    assert [automatic("automatic"), automatic("automatic", "manual"), automatic()] == [True, False, False]


def test_a_document_of_one_version_leaves_out_what_is_of_others() -> None:
    placements = [{"target": "alias:champion", "version": "6"}, {"target": "alias:next", "version": "7"}]
    matters = [{"kind": "request", "number": 1, "version": each, "target": "alias:champion"} for each in ("6", "7")]
    found = read_outlook({"workspace": "w", "model": "m", "placements": placements, "matters": matters})

    assert [each["version"] for each in found.document(version="7")["placements"]] == ["7"]
    assert [each["version"] for each in found.document(version="7")["matters"]] == ["7"]
    assert len(found.document()["placements"]) == 2


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"model": "encoder"},
        {"workspace": "w", "model": 7},
        {"workspace": "w", "model": "m", "matters": 1},
    ],
)
def test_what_is_no_outlook_is_an_error(document: object) -> None:
    with pytest.raises(EvidenceError, match="what the gate says cannot be read"):
        read_outlook(document)
