"""Whether a rule is put aside for this model just now: the one function that every path asks."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from mlflow_rank.evidence.contents import Waiver
from mlflow_rank.evidence.presented import Presented
from mlflow_rank.policy.admission import CLOCK_SKEW, hours, signature_refusal
from mlflow_rank.policy.case import Case
from mlflow_rank.policy.decision import moment
from mlflow_rank.policy.model import PromotionPolicy
from mlflow_rank.policy.outcomes import Finding


def active_waiver(rule: str, policy: PromotionPolicy, case: Case, now: datetime) -> tuple[Presented, Waiver] | None:
    """Return the waiver that is in force for a rule of a policy; None where there is none.

    It must be about the candidate's bytes and this very policy, signed by a role that may waive, for a rule that the
    policy lets be waived, begun, not expired, and not longer than the policy allows.
    """
    terms = policy.waivers
    if terms is None or rule not in terms.rules:
        return None
    for each in sorted(case.waivers, key=lambda one: one.digest):
        waiver = each.content
        if (
            isinstance(waiver, Waiver)
            and (waiver.rule, waiver.policy) == (rule, policy.digest)
            and case.request.candidate.digest in each.subjects
            and signature_refusal(each, roles=terms.signed_by, unsigned_counts=False) is None
            and waiver.made_at - now <= CLOCK_SKEW
            and now < waiver.expires_at
            and waiver.expires_at - waiver.made_at <= hours(terms.max_duration)
        ):
            return each, waiver
    return None


def waived(finding: Finding, policy: PromotionPolicy, case: Case, now: datetime) -> Finding:
    """Return the finding, put aside where a waiver is in force; what it would have been stays visible."""
    if finding.result == "pass":
        return finding
    found = active_waiver(finding.rule, policy, case, now)
    if found is None:
        return finding
    presented, waiver = found
    roles = set(policy.waivers.signed_by) if policy.waivers else set()
    by = ", ".join(sorted({signer.name for signer in presented.signers if signer.roles & roles}))
    sentence = (
        f"waived by {by} until {moment(waiver.expires_at)} ({waiver.ticket}: {waiver.reason}); "
        f"else {finding.result}: {finding.sentence}"
    )
    return replace(finding, result="waived", underlying=finding.result, sentence=sentence, waiver=presented.digest)
