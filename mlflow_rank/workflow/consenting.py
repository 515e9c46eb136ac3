"""A person's word on a promotion: approvals and waivers, bound to what the person could see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mlflow_rank.errors import EvidenceError, UsageError
from mlflow_rank.evidence.statement import Statement, Subject
from mlflow_rank.evidence.testimony import approval_statement, waiver_statement
from mlflow_rank.policy.admission import hours
from mlflow_rank.policy.case import Case
from mlflow_rank.policy.model import PromotionPolicy
from mlflow_rank.policy.scope import standing
from mlflow_rank.workflow.acting import Aimed
from mlflow_rank.workflow.policies import PolicyFile, promotion_policies

_SHORT = 19  # characters of a digest in messages: `sha256:` and twelve


@dataclass(frozen=True, slots=True)
class Promotion:
    """A promotion as a word is bound to it: any change of files, policies or evidence makes another of it.

    `version` and `workspace` are known where it is registered.
    """

    model: str
    target: str
    files: str
    policies: tuple[str, ...]
    evidence_digest: str
    version: str | None = None
    workspace: str | None = None

    @classmethod
    def of_case(cls, case: Case, policies: Sequence[PromotionPolicy]) -> Promotion:
        """Return the promotion that a case is about, under these policies."""
        request, digests = case.request, tuple(sorted(policy.digest for policy in policies))
        return cls(
            request.model, request.target, request.candidate.digest, digests, case.evidence_digest, request.version
        )

    @classmethod
    def at_gate(cls, aimed: Aimed) -> Promotion:
        """Return the promotion as the gate sees it.

        Raises:
            UsageError: no policy is asked about it.
            EvidenceError: the gate does not say what was handed in, or which files it is about.
        """
        version, stands = aimed.version, aimed.outlook.stands
        if not version.policies:
            raise UsageError(
                f"no policy is asked when {aimed.outlook.model} goes to {aimed.target}",
                got="nothing to say yes or no to" if stands is None else stands.reason,
                expected="a target that policies govern",
            )
        if version.evidence_digest is None:
            raise EvidenceError("the gate does not say what was handed in", got=str(aimed.named), expected="a digest")
        digests = tuple(sorted(policy.digest for policy in version.policies))
        aim = aimed.aim
        return cls(aim.model, aim.target, aim.files, digests, version.evidence_digest, aim.version, aim.workspace)

    @property
    def subject(self) -> Subject:
        """What a waiver is about: the files, by the name of the registered version where its place is known."""
        return Subject(f"models:/{self.model}/{self.version}" if self.workspace else self.model, self.files)


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a person says of a promotion: `approve` or `reject`, why, and for how long.

    Raises:
        UsageError: the comment is empty.
    """

    verdict: str
    comment: str
    lasts: timedelta

    def __post_init__(self) -> None:
        if not self.comment.strip():
            kind = "an approval" if self.verdict == "approve" else "a rejection"
            raise UsageError(f"{kind} needs a comment", got="nothing", expected="why, in a sentence")


@dataclass(frozen=True, slots=True)
class PuttingAside:
    """That a rule be put aside for a while, why, and where that is followed up.

    Raises:
        UsageError: a reason or a ticket is empty.
    """

    rule: str
    reason: str
    ticket: str
    until: datetime

    def __post_init__(self) -> None:
        if not self.reason.strip() or not self.ticket.strip():
            raise UsageError("a waiver needs a reason and a ticket", got="nothing", expected="both, in a few words")


def approval(promotion: Promotion, opinion: Opinion, *, now: datetime, witnessed: str | None = None) -> Statement:
    """Return a person's approval or rejection; `witnessed` names who gives it without a key."""
    request = {
        "model": promotion.model,
        "version": promotion.version,
        "workspace": promotion.workspace,
        "target": promotion.target,
        "digest": promotion.files,
        "policies": list(promotion.policies),
        "evidence_digest": promotion.evidence_digest,
    }
    until = now + opinion.lasts
    return approval_statement(
        request, verdict=opinion.verdict, comment=opinion.comment, now=now, expires_at=until, witnessed=witnessed
    )


def waiver(promotion: Promotion, policy: str, aside: PuttingAside, *, now: datetime) -> Statement:
    """Return a waiver of a rule of the policy with this digest."""
    return waiver_statement(
        promotion.subject,
        policy=policy,
        rule=aside.rule,
        reason=aside.reason,
        ticket=aside.ticket,
        now=now,
        expires_at=aside.until,
        workspace=promotion.workspace,
    )


def matching(files: Sequence[PolicyFile], case: Case) -> list[PromotionPolicy]:
    """Return the policies that are asked about a case.

    Raises:
        UsageError: none is.
    """
    request = case.request
    policies = {each.digest: each for each in promotion_policies(files)}
    found = [each for each in policies.values() if each.matches(request.model, request.target)]
    if not found:
        raise UsageError(
            f"no policy is asked when {request.model} goes to {request.target}",
            got=", ".join(str(file.path) for file in files) or "no policy",
            expected="--policy with one that matches; --name says as which model",
        )
    return found


def waivable(policies: Sequence[PromotionPolicy], aside: PuttingAside, *, now: datetime) -> str:
    """Return the digest of the policy that lets a rule be put aside.

    Raises:
        UsageError: none does, several have a rule of that name, or it may not be put aside for so long.
    """
    allowing = [policy for policy in policies if policy.waivers and aside.rule in policy.waivers.rules]
    if len(allowing) != 1:
        named = sorted({name for policy in policies if policy.waivers for name in policy.waivers.rules})
        raise UsageError(
            _several(aside.rule) if allowing else f"the rule {aside.rule!r} cannot be waived",
            got=aside.rule,
            expected=", ".join(named) or "a rule that a policy names under waivers; none does",
        )
    terms = allowing[0].waivers
    if terms is not None and aside.until - now > hours(terms.max_duration):
        raise UsageError(
            "this is too long for a waiver", got=f"until {aside.until:%Y-%m-%d %H:%M} UTC",
            expected=f"{terms.max_duration} at most",
        )  # fmt: skip
    return allowing[0].digest


def waivable_at_gate(aimed: Aimed, rule: str) -> str:
    """Return the digest of the policy that has a rule; whether it lets it be waived, the gate says.

    Raises:
        UsageError: none has it, or several have.
    """
    rules = [(str(each.get("rule")), ruling) for ruling in aimed.outlook.rulings for each in ruling.get("findings", ())]
    having = sorted({str(ruling.get("digest")) for name, ruling in rules if name == rule})
    if len(having) != 1:
        raise UsageError(
            _several(rule) if having else f"no policy that is asked has a rule {rule!r}",
            got=rule,
            expected=", ".join(sorted({name for name, _ in rules})) or "a rule of a policy that is asked",
        )
    return having[0]


def compare_policies(aimed: Aimed, files: Sequence[PolicyFile]) -> None:
    """Compare the policies that the gate asks with a person's own copies.

    Raises:
        EvidenceError: they are not the same, byte for byte of what they mean; nothing should be signed then.
    """
    asked = standing([file.policy for file in files], aimed.outlook.model, aimed.target).policies
    own = {each.digest: each for each in asked}
    theirs = {each.digest: each for each in aimed.version.policies}
    if set(own) == set(theirs):
        return
    only_theirs = [f"{each.name} r{each.revision} {digest[:_SHORT]}" for digest, each in sorted(theirs.items())
                   if digest not in own]  # fmt: skip
    only_own = [
        f"{each.metadata.name} r{each.metadata.revision} {digest[:_SHORT]}"
        for digest, each in sorted(own.items())
        if digest not in theirs
    ]
    raise EvidenceError(
        "the gate goes by other policies than your copies say; nothing was signed",
        got=f"at the gate: {', '.join(only_theirs) or 'nothing more'}",
        expected=f"in --policy: {', '.join(only_own) or 'nothing more'}",
        remedy="find out who changed them: `mlflow-rank policy explain` says what each means",
    )


def _several(rule: str) -> str:
    return f"several policies have a rule {rule!r}"
