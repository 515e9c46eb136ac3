"""Whether a rule is put aside for this model just now: the one function that every path asks."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from mlflow_rank.evidence.contents import Waiver
from mlflow_rank.evidence.presented import UNREADABLE, Presented
from mlflow_rank.policy.admission import CLOCK_SKEW, hours, signature_refusal, why_ended
from mlflow_rank.policy.case import Case
from mlflow_rank.policy.decision import moment
from mlflow_rank.policy.model import PromotionPolicy
from mlflow_rank.policy.outcomes import Finding


def active_waiver(rule: str, policy: PromotionPolicy, case: Case, now: datetime) -> tuple[Presented, Waiver] | None:
    """Return the waiver that is in force for a rule of a policy; None where there is none."""
    for each in sorted(case.waivers, key=lambda one: one.digest):
        waiver = each.content
        if isinstance(waiver, Waiver) and waiver.rule == rule and why_idle(each, policy, case, now) is None:
            return each, waiver
    return None


def idle_waivers(policy: PromotionPolicy, case: Case, now: datetime) -> tuple[tuple[str, str], ...]:
    """Return the digests of the waivers that a policy sets aside, each with why."""
    reasons = {each.digest: why_idle(each, policy, case, now) for each in case.waivers}
    return tuple(sorted((digest, why) for digest, why in reasons.items() if why is not None))


def why_idle(each: Presented, policy: PromotionPolicy, case: Case, now: datetime) -> str | None:
    """Return why a waiver is not in force under a policy; None where it is.

    It must be about the candidate's bytes and this very policy, for a rule that the policy lets be waived, signed by a
    role that may waive, whose key is in force still, begun, not expired, and not longer than the policy allows.
    """
    terms, waiver = policy.waivers, each.content
    if not isinstance(waiver, Waiver):
        return next((detail for cause, detail in each.problems if cause == UNREADABLE), "it is no waiver")
    if case.request.candidate.digest not in each.subjects:
        return "it is about other bytes"
    if waiver.policy != policy.digest:
        return "it was given under another policy or revision"
    if terms is None or waiver.rule not in terms.rules:
        return f"the policy does not let {waiver.rule} be waived"
    refusal = signature_refusal(each, roles=terms.signed_by, unsigned_counts=False)
    if refusal is not None:
        return refusal.detail
    ended = [why_ended(one, now) for one in each.signers if one.roles & set(terms.signed_by)]
    if None not in ended:
        return min(why for why in ended if why is not None)
    if waiver.made_at - now > CLOCK_SKEW:
        return "it begins in the future"
    if now >= waiver.expires_at:
        return "it has expired"
    if waiver.expires_at - waiver.made_at > hours(terms.max_duration):
        return f"it lasts longer than {terms.max_duration}"
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
    signers = [one for one in presented.signers if one.roles & roles and why_ended(one, now) is None]
    by = ", ".join(sorted({signer.name for signer in signers}))
    sentence = (
        f"waived by {by} until {moment(waiver.expires_at)} ({waiver.ticket}: {waiver.reason}); "
        f"else {finding.result}: {finding.sentence}"
    )
    return replace(finding, result="waived", underlying=finding.result, sentence=sentence, waiver=presented.digest)
