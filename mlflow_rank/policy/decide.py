"""The decision: a pure and total function of policies, case and time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mlflow_rank.policy.approvals import count_approvals
from mlflow_rank.policy.case import Case
from mlflow_rank.policy.checking import check
from mlflow_rank.policy.decision import Approve, Decision, Deny, Ruling
from mlflow_rank.policy.formula import passes
from mlflow_rank.policy.model import PromotionPolicy
from mlflow_rank.policy.reading import View
from mlflow_rank.policy.waivers import idle_waivers, waived


def decide(policies: Sequence[PromotionPolicy], case: Case, now: datetime) -> Decision:
    """Return whether a promotion may happen.

    Policies that match the request are all asked, and all of them must pass; where none matches, the answer is no. The
    same inputs give the same bytes, in whatever order policies, rules, keys and statements come.

    Args:
        policies: all that are in force; those that do not match are passed over.
        case: the request, and everything that was presented for it.
        now: the time of the decision, with a time zone.
    """
    request = case.request
    asked = {each.digest: each for each in policies if each.matches(request.model, request.target)}
    rulings = tuple(
        rule_on(policy, case, now)
        for policy in sorted(asked.values(), key=lambda each: (each.metadata.name, each.metadata.revision, each.digest))
    )
    if rulings and all(ruling.passes for ruling in rulings):
        return Approve(case, rulings, now)
    return Deny(case, rulings, now)


def rule_on(policy: PromotionPolicy, case: Case, now: datetime) -> Ruling:
    """Return what one policy says of a case, whether or not it matches the request."""
    view = View(case, policy.evidence, policy.mode != "enforce", now)
    rules = sorted(policy.rules, key=lambda rule: rule.id)
    findings = tuple(waived(check(rule, view), policy, case, now) for rule in rules)
    answers = {finding.rule: finding.counts_as_pass for finding in findings if finding.severity == "block"}
    return Ruling(
        policy,
        findings,
        passes(policy.formula, answers),
        count_approvals(policy, case, now),
        idle_waivers(policy, case, now),
    )
