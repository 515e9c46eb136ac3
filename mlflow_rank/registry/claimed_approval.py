"""Whether a decision approves just this: these files, as this version of this model, at this target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlflow_rank.errors import EvidenceError
from mlflow_rank.evidence.presented import Presented, present
from mlflow_rank.evidence.trust import TrustStore


@dataclass(frozen=True, slots=True)
class Claim:
    """What a decision must be about: these files, as this version of this model, at this target."""

    model: str
    version: str
    target: str
    files: str


def check_decision(envelope: bytes, trust: TrustStore, claim: Claim) -> None:
    """Verify that a gate that is trusted approved just this.

    Raises:
        EvidenceError: it did not; says what differs.
    """
    presented = present(envelope, trust=trust, named="the decision")
    if presented.kind != "decision":
        said = presented.problems[0][1] if presented.problems else presented.kind
        raise EvidenceError("this is no decision", got=said, expected="a signed decision of the gate")
    if not any("gate" in signer.roles for signer in presented.signers):
        raise EvidenceError(
            "no gate that is trusted signed this decision",
            got=_signed_by(presented),
            expected="a signature by a key with the role gate",
            remedy="give the trust file that names the gate's key; a gate signs with MLFLOW_RANK_GATE_KEY",
        )
    document = _mapping(presented.statement.predicate.get("decision") if presented.statement else None)
    if document.get("verdict") != "approve":
        raise EvidenceError(
            "this version was not approved",
            got=str(document.get("sentence") or document.get("verdict"))[:300],
            expected="approve",
        )
    request = _mapping(document.get("request"))
    differences = (
        ("model", request.get("model"), claim.model),
        ("version", request.get("version"), claim.version),
        ("target", request.get("target"), claim.target),
    )
    for what, found, expected in differences:
        if found != expected:
            raise EvidenceError(f"the decision is about another {what}", got=ascii(found)[:200], expected=expected)
    if request.get("digest") != claim.files or presented.subjects != {claim.files}:
        raise EvidenceError(
            "these are not the files that were approved",
            got=claim.files,
            expected=ascii(request.get("digest"))[1:-1][:80],
            remedy="somebody changed them after the decision; promote a version whose files are as they were measured",
        )


def _signed_by(presented: Presented) -> str:
    if presented.signers:
        return "; ".join(f"{each.name} ({', '.join(sorted(each.roles))})" for each in presented.signers)
    return presented.problems[0][1] if presented.problems else "nobody"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
