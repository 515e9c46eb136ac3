"""Whether a decision or an emergency lets just this be loaded: these files, as this version, at this target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlflow_rank.errors import EvidenceError
from mlflow_rank.evidence.acts import BreakGlass
from mlflow_rank.evidence.presented import Presented, present
from mlflow_rank.evidence.trust import TrustStore
from mlflow_rank.policy.decision import moment


@dataclass(frozen=True, slots=True)
class Claim:
    """What a decision must be about: these files, as this version of this model, at this target."""

    model: str
    version: str
    target: str
    files: str


@dataclass(frozen=True, slots=True)
class Emergency:
    """That a version was placed without approval: by whom, why, and until when consumers may load it."""

    by: str
    reason: str
    ticket: str
    expires_at: datetime


def check_basis(envelope: bytes, trust: TrustStore, claim: Claim, now: datetime) -> Emergency | None:
    """Verify that a gate that is trusted approved just this, or let it through in an emergency that is not over.

    Args:
        envelope: of a decision, or of a break-glass.
        trust: whose keys are believed.
        claim: what it must be about.
        now: the time.

    Returns:
        The emergency; None where it was approved.

    Raises:
        EvidenceError: neither is so; says what differs.
    """
    presented = present(envelope, trust=trust, named="the decision")
    if isinstance(presented.content, BreakGlass):
        return _emergency(presented, presented.content, claim, now)
    if presented.kind != "decision":
        said = presented.problems[0][1] if presented.problems else presented.kind
        raise EvidenceError("this is no decision", got=said, expected="a signed decision of the gate")
    _refuse_unsigned(presented, "this decision")
    document = _mapping(presented.statement.predicate.get("decision") if presented.statement else None)
    if document.get("verdict") != "approve":
        raise EvidenceError(
            "this version was not approved",
            got=str(document.get("sentence") or document.get("verdict"))[:300],
            expected="approve",
        )
    request = _mapping(document.get("request"))
    _compare(claim, {name: request.get(name) for name in ("model", "version", "target")}, "decision")
    _compare_files(presented, claim, request.get("digest"))
    return None


def _emergency(presented: Presented, said: BreakGlass, claim: Claim, now: datetime) -> Emergency:
    _refuse_unsigned(presented, "this break-glass")
    _compare(claim, {"model": said.model, "version": said.version, "target": said.target}, "break-glass")
    _compare_files(presented, claim, next(iter(presented.subjects), None))
    if now >= said.expires_at:
        raise EvidenceError(
            "the break-glass that placed this version has expired",
            got=f"it held until {moment(said.expires_at)}",
            expected="a version that policies approved",
            remedy="promote an approved version, or roll back to one: mlflow-rank rollback",
        )
    by = ", ".join(sorted(each.name for each in presented.signers if "gate" not in each.roles))
    return Emergency(by, said.reason, said.ticket, said.expires_at)


def _refuse_unsigned(presented: Presented, what: str) -> None:
    if not any("gate" in signer.roles for signer in presented.signers):
        raise EvidenceError(
            f"no gate that is trusted signed {what}",
            got=_signed_by(presented),
            expected="a signature by a key with the role gate",
            remedy="give the trust file that names the gate's key; a gate signs with MLFLOW_RANK_GATE_KEY",
        )


def _compare(claim: Claim, found: Mapping[str, object], what: str) -> None:
    for name, value in found.items():
        expected = getattr(claim, name)
        if value != expected:
            raise EvidenceError(f"the {what} is about another {name}", got=ascii(value)[:200], expected=expected)


def _compare_files(presented: Presented, claim: Claim, digest: object) -> None:
    if digest != claim.files or presented.subjects != {claim.files}:
        raise EvidenceError(
            "these are not the files that were approved",
            got=claim.files,
            expected=ascii(digest)[1:-1][:80],
            remedy="somebody changed them after the decision; promote a version whose files are as they were measured",
        )


def _signed_by(presented: Presented) -> str:
    if presented.signers:
        return "; ".join(f"{each.name} ({', '.join(sorted(each.roles))})" for each in presented.signers)
    return presented.problems[0][1] if presented.problems else "nobody"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
