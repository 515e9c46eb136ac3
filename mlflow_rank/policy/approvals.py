"""Whether enough people have said yes: to these bytes, under this policy, on this evidence, for this target."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mlflow_rank.evidence.contents import Approval
from mlflow_rank.evidence.presented import UNREADABLE, Presented
from mlflow_rank.evidence.trust import Signer, folded
from mlflow_rank.policy.admission import CLOCK_SKEW, hours, signature_refusal
from mlflow_rank.policy.case import Case
from mlflow_rank.policy.model import PromotionPolicy


@dataclass(frozen=True, slots=True)
class ApprovalCount:
    """Who approved, how many are needed, who rejected, and why others do not count."""

    needed: int
    by: tuple[str, ...]
    rejected_by: tuple[str, ...]
    set_aside: tuple[tuple[str, str], ...]

    @property
    def enough(self) -> bool:
        """Whether enough people approved and none rejected."""
        return len(self.by) >= self.needed and not self.rejected_by

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {
            "needed": self.needed,
            "by": list(self.by),
            "rejected_by": list(self.rejected_by),
            "set_aside": [{"approval": digest, "why": why} for digest, why in self.set_aside],
        }


def count_approvals(policy: PromotionPolicy, case: Case, now: datetime) -> ApprovalCount:
    """Count people, not signatures: each another person with another key, none of them asking or having signed.

    A rejection is a veto until it expires, whatever the policy and evidence: nobody gets rid of it by adding some.
    """
    evidence_signers = {(one.name, one.key_id) for each in case.evidence for one in each.signers}
    names, keys = {name for name, _ in evidence_signers}, {key for _, key in evidence_signers}
    if case.request.requester is not None:
        names.add(case.request.requester)
    names = {folded(name) for name in names}
    given: list[tuple[Signer, Presented, Approval]] = []
    set_aside: dict[str, str] = {}
    for each in case.approvals:
        why = _why_not(each, policy, case, now)
        if why is None and isinstance(each.content, Approval):
            given += [(one, each, each.content) for one in each.signers if one.roles & set(policy.approvals.signed_by)]
        else:
            set_aside[each.digest] = why or "it is no approval"
    people: dict[str, str] = {}
    rejected = set()
    used_keys: set[str] = set()
    for signer, each, content in sorted(given, key=lambda item: (item[0].name, item[0].key_id, item[1].digest)):
        why = _not_independent(signer, names, keys)
        if why is not None:
            set_aside[each.digest] = why
        elif content.verdict == "reject":
            rejected.add(signer.name)
        elif signer.name not in people and signer.key_id not in used_keys:
            people[signer.name] = signer.key_id
            used_keys.add(signer.key_id)
    by = tuple(sorted(name for name in people if name not in rejected))
    return ApprovalCount(policy.approvals.count, by, tuple(sorted(rejected)), tuple(sorted(set_aside.items())))


def _why_not(each: Presented, policy: PromotionPolicy, case: Case, now: datetime) -> str | None:
    content, request = each.content, case.request
    if not isinstance(content, Approval):
        return next((detail for cause, detail in each.problems if cause == UNREADABLE), "it is no approval")
    if request.candidate.digest not in each.subjects:
        return "it is about other bytes"
    if (content.model, content.target) != (request.model, request.target):
        return f"it is for {content.model} to {content.target}"
    if content.verdict == "approve" and policy.digest not in content.policies:
        return "it was given under another policy or revision"
    if content.verdict == "approve" and content.evidence != case.evidence_digest:
        return "it was given on other evidence"
    refusal = signature_refusal(each, roles=policy.approvals.signed_by, unsigned_counts=False)
    if refusal is not None:
        return refusal.detail
    if content.made_at - now > CLOCK_SKEW:
        return f"it says that it was given at {content.made_at.isoformat()}, which is yet to come"
    if now >= content.expires_at or now - content.made_at > hours(policy.approvals.max_age):
        return "it has expired"
    return None


def _not_independent(signer: Signer, names: set[str], keys: set[str]) -> str | None:
    if not signer.is_person:
        return f"{signer.name} is a service; approvals are people's"
    if folded(signer.name) in names or signer.key_id in keys:
        return f"{signer.name} asked for the promotion or signed the evidence"
    return None
