"""Whether enough people have said yes: to these bytes, under this policy, on this evidence, for this target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from mlflow_rank.evidence.contents import Approval
from mlflow_rank.evidence.presented import UNREADABLE, Presented
from mlflow_rank.evidence.trust import folded
from mlflow_rank.policy.admission import CLOCK_SKEW, hours, signature_refusal, why_ended
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


_INVOLVED = {"requester": "asked for the promotion", "evidence_signer": "signed the evidence"}


@dataclass(frozen=True, slots=True)
class Barred:
    """Who may not approve: folded names and key ids, each with why."""

    names: Mapping[str, str]
    keys: Mapping[str, str]

    @classmethod
    def of(cls, policy: PromotionPolicy, case: Case) -> Barred:
        """Return whom a policy bars from approving in a case."""
        terms, author, requester = policy.approvals.not_by, policy.metadata.author, case.request.requester
        names: dict[str, str] = {}
        keys: dict[str, str] = {}
        if "policy_author" in terms and author is not None:
            names[folded(author)] = "wrote the policy"
        why = " or ".join(_INVOLVED[each] for each in ("requester", "evidence_signer") if each in terms)
        if "evidence_signer" in terms:
            signers = {(one.name, one.key_id) for each in case.evidence for one in each.signers}
            names |= dict.fromkeys((folded(name) for name, _ in signers), why)
            keys |= dict.fromkeys((key for _, key in signers), why)
        if "requester" in terms and requester is not None:
            names[folded(requester)] = why
        return cls(names, keys)

    def why_not(self, name: str, key_id: str = "") -> str | None:
        """Return why nobody of this name, or with this key, may approve; None where they may."""
        why = self.names.get(folded(name)) or self.keys.get(key_id)
        return None if why is None else f"{name} {why}"


@dataclass(frozen=True, slots=True)
class _Word:
    """What somebody said, by which key (`witness:NAME` where the gate vouches), and that this key has ended, if so."""

    name: str
    key_id: str
    is_person: bool
    verdict: str
    digest: str
    ended: str | None

    @property
    def person(self) -> str:
        return folded(self.name)

    def why_not(self, barred: Barred) -> str | None:
        """Return why it does not count; None where it does. Whoever may not approve may reject all the same."""
        if not self.is_person:
            return f"{self.name} is a service; approvals are people's"
        if self.verdict == "reject":
            return None
        return barred.why_not(self.name, self.key_id) or self.ended


def count_approvals(policy: PromotionPolicy, case: Case, now: datetime) -> ApprovalCount:
    """Count people, not signatures: each another person with another key, none of those whom `not_by` names.

    An approval is a consent of now: it ends with the key that gave it. A rejection is a veto until it expires, whatever
    policy, evidence and key: nobody gets rid of it by adding some, or by ending a key; nor by handing in evidence that
    the rejecter signed.
    """
    barred = Barred.of(policy, case)
    words: list[_Word] = []
    set_aside: dict[str, str] = {}
    for each in case.approvals:
        why = _why_not(each, policy, case, now)
        if why is None and isinstance(each.content, Approval):
            words += _words(each, each.content, policy, now)
        else:
            set_aside[each.digest] = why or "it is no approval"
    people: dict[str, _Word] = {}
    rejected: dict[str, str] = {}
    used_keys: set[str] = set()
    for word in sorted(words, key=lambda one: (one.name, one.key_id, one.ended or "", one.digest)):
        why = word.why_not(barred)
        if why is not None:
            set_aside[word.digest] = why
        elif word.verdict == "reject":
            rejected.setdefault(word.person, word.name)
        elif word.person not in people and word.key_id not in used_keys:
            people[word.person] = word
            used_keys.add(word.key_id)
    by = tuple(sorted(word.name for person, word in people.items() if person not in rejected))
    return ApprovalCount(policy.approvals.count, by, tuple(sorted(rejected.values())), tuple(sorted(set_aside.items())))


def _words(each: Presented, content: Approval, policy: PromotionPolicy, now: datetime) -> list[_Word]:
    """Return what people say in an approval that is about this promotion: who signed it, or whom the gate witnessed."""
    user = content.witnessed
    if user is not None:
        return [_Word(user, f"witness:{folded(user)}", True, content.verdict, each.digest, None)]
    return [
        _Word(one.name, one.key_id, one.is_person, content.verdict, each.digest, why_ended(one, now))
        for one in each.signers
        if one.roles & set(policy.approvals.signed_by)
    ]


def _why_not(each: Presented, policy: PromotionPolicy, case: Case, now: datetime) -> str | None:
    content, request = each.content, case.request
    if not isinstance(content, Approval):
        return next((detail for cause, detail in each.problems if cause == UNREADABLE), "it is no approval")
    if request.candidate.digest not in each.subjects:
        return "it is about other bytes"
    if (content.model, content.target) != (request.model, request.target):
        return f"it is for {content.model} to {content.target}"
    if content.verdict == "approve" and content.version not in (None, request.version) and request.version is not None:
        return f"it is for version {content.version}"
    if content.verdict == "approve" and policy.digest not in content.policies:
        return "it was given under another policy or revision"
    if content.verdict == "approve" and content.evidence != case.evidence_digest:
        return "it was given on other evidence"
    why = _not_vouched_for(each, content, policy, now)
    if why is not None:
        return why
    if content.made_at - now > CLOCK_SKEW:
        return f"it says that it was given at {content.made_at.isoformat()}, which is yet to come"
    if now >= content.expires_at or now - content.made_at > hours(policy.approvals.max_age):
        return "it has expired"
    return None


def _not_vouched_for(each: Presented, content: Approval, policy: PromotionPolicy, now: datetime) -> str | None:
    """Return why nobody who may vouches for an approval: a person of a right role, or the gate for a user it knows."""
    gates = [one for one in each.signers if "gate" in one.roles and not one.is_person]
    if content.witnessed is None:
        if gates and len(gates) == len(each.signers):
            return "the gate signed it, but it does not say for whom (witnessed)"
        refusal = signature_refusal(each, roles=policy.approvals.signed_by, unsigned_counts=False)
        return None if refusal is None else refusal.detail
    if not policy.approvals.witnessed:
        return f"the policy takes no approval without a key, as that of {content.witnessed} is (approvals.witnessed)"
    ended = [why for one in gates if (why := why_ended(one, now)) is not None]
    if not gates:
        return f"no gate vouches that {content.witnessed} gave it"
    return ended[0] if len(ended) == len(gates) and content.verdict == "approve" else None
