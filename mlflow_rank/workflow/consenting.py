"""A person's word on a promotion: approvals and waivers, bound to what the person could see."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from mlflow_rank.errors import UsageError
from mlflow_rank.evidence.keys import PrivateKey
from mlflow_rank.evidence.statement import Subject
from mlflow_rank.evidence.testimony import approval_statement, waiver_statement
from mlflow_rank.evidence.trust import TrustStore
from mlflow_rank.policy.admission import hours
from mlflow_rank.policy.case import Case
from mlflow_rank.policy.model import PromotionPolicy
from mlflow_rank.workflow.deciding import PromotionQuestion, case_of
from mlflow_rank.workflow.evidencing import sealed
from mlflow_rank.workflow.policies import PolicyFile, promotion_policies
from mlflow_rank.workflow.progress import Progress


def approval(
    question: PromotionQuestion,
    files: Sequence[PolicyFile],
    trust: TrustStore,
    *,
    verdict: str,
    comment: str,
    valid_for: str,
    key: PrivateKey,
    now: datetime,
    progress: Progress,
) -> bytes:
    """Return a signed approval (or rejection) of what is asked, under every policy that matches.

    Raises:
        UsageError: no policy matches, the comment is empty, or the time is none.
    """
    if not comment.strip():
        raise UsageError("an approval needs a comment", got="nothing", expected="why, in a sentence")
    case = case_of(question, trust, progress)
    matching = _matching(files, case)
    request = {
        "model": case.request.model,
        "target": case.request.target,
        "digest": case.request.candidate.digest,
        "policies": sorted(policy.digest for policy in matching),
        "evidence_digest": case.evidence_digest,
    }
    until = now + hours(_duration(valid_for))
    return sealed(approval_statement(request, verdict=verdict, comment=comment, now=now, expires_at=until), key)


def waiver(
    question: PromotionQuestion,
    files: Sequence[PolicyFile],
    trust: TrustStore,
    *,
    rule: str,
    reason: str,
    ticket: str,
    valid_for: str,
    key: PrivateKey,
    now: datetime,
    progress: Progress,
) -> bytes:
    """Return a signed waiver of a rule.

    Raises:
        UsageError: no policy that matches lets this rule be waived, or not for so long; a reason or ticket is empty.
    """
    if not reason.strip() or not ticket.strip():
        raise UsageError("a waiver needs a reason and a ticket", got="nothing", expected="both, in a few words")
    case = case_of(question, trust, progress)
    allowing = [policy for policy in _matching(files, case) if policy.waivers and rule in policy.waivers.rules]
    if len(allowing) != 1:
        named = sorted({name for policy in _matching(files, case) if policy.waivers for name in policy.waivers.rules})
        raise UsageError(
            f"the rule {rule!r} cannot be waived" if not allowing else f"several policies have a rule {rule!r}",
            got=rule,
            expected=", ".join(named) or "a rule that a policy names under waivers; none does",
        )
    policy, length = allowing[0], hours(_duration(valid_for))
    if policy.waivers is not None and length > hours(policy.waivers.max_duration):
        raise UsageError(
            "this is too long for a waiver", got=valid_for, expected=f"{policy.waivers.max_duration} at most"
        )
    statement = waiver_statement(
        Subject(case.request.model, case.request.candidate.digest),
        policy=policy.digest,
        rule=rule,
        reason=reason,
        ticket=ticket,
        now=now,
        expires_at=now + length,
    )
    return sealed(statement, key)


def _matching(files: Sequence[PolicyFile], case: Case) -> list[PromotionPolicy]:
    request = case.request
    policies = {each.digest: each for each in promotion_policies(files)}
    matching = [each for each in policies.values() if each.matches(request.model, request.target)]
    if not matching:
        raise UsageError(
            f"no policy is asked when {request.model} goes to {request.target}",
            got=", ".join(str(file.path) for file in files) or "no policy",
            expected="--policy with one that matches; --name says as which model",
        )
    return matching


def _duration(text: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]{0,4}[hdw]", text):
        raise UsageError("this is no duration", got=text, expected="hours, days or weeks: 12h, 14d, 2w")
    return text
