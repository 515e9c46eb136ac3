"""Whose word still lacks for a promotion: who may give it, who rejected and until when, and whose does not count."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from mlflow_rank.evidence.contents import Approval
from mlflow_rank.evidence.presented import Presented
from mlflow_rank.evidence.trust import KeyHolder, folded
from mlflow_rank.policy.admission import hours
from mlflow_rank.policy.approvals import ApprovalCount, Barred
from mlflow_rank.policy.case import Case
from mlflow_rank.policy.decision import moment
from mlflow_rank.policy.model import PromotionPolicy

_MOST_TOLD = 3  # approvals that do not count, of which a sentence says why


def holders(people: Sequence[KeyHolder], roles: Collection[str]) -> tuple[str, ...]:
    """Return the names of those who have a key of one of the roles, services among them."""
    return tuple(sorted({each.name for each in people if each.roles.intersection(roles)}))


def rejections(count: ApprovalCount, policy: PromotionPolicy, case: Case) -> Iterator[tuple[str, str]]:
    """Yield who rejected it and until when that holds: a sentence, and the name."""
    aside = dict(count.set_aside)
    for name in count.rejected_by:
        ends = [
            min(each.content.expires_at, each.content.made_at + hours(policy.approvals.max_age))
            for each in case.approvals
            if isinstance(each.content, Approval)
            and each.content.verdict == "reject"
            and each.digest not in aside
            and folded(name) in {folded(one) for one in _names(each)}
        ]
        until = f" until {moment(max(ends))}" if ends else ""
        yield f"{name} rejected it, and no approval outweighs that{until}", name


def lacking_approvals(
    count: ApprovalCount, policy: PromotionPolicy, case: Case, people: Sequence[KeyHolder]
) -> tuple[str, tuple[str, ...]]:
    """Return how many approvals lack and who can give them, as a sentence and the names."""
    barred, spoken = Barred.of(policy, case), {folded(name) for name in (*count.by, *count.rejected_by)}
    may = tuple(
        name
        for name in holders([each for each in people if each.is_person], policy.approvals.signed_by)
        if barred.why_not(name) is None and folded(name) not in spoken
    )
    have, lack = len(count.by), count.needed - len(count.by)
    anybody = "any other user of the server without a key"
    roles = listed(sorted(policy.approvals.signed_by), "or")
    if may:
        who = listed((*may, anybody) if policy.approvals.witnessed else may, "or")
    else:
        who = anybody if policy.approvals.witnessed else f"nobody with a key as {roles} who has not spoken yet"
    sentence = f"{have} of {count.needed} approvals; {who} can give {'it' if lack == 1 else 'them'}"
    if len(may) < lack and not policy.approvals.witnessed:
        sentence += (
            f", which are not enough: the trust file must name another {roles}" if may else f": trust another {roles}"
        )
    told = [f"that of {listed(names)} does not count: {why}" for names, why in _given_in_vain(count, case)]
    return "; ".join([sentence, *told[:_MOST_TOLD]]), may


def listed(names: Sequence[str], joint: str = "and") -> str:
    """Return names in a row.

    >>> listed(["ann"]), listed(["ann", "bob", "cid"], "or")
    ('ann', 'ann, bob or cid')
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {joint} {names[-1]}"


def _given_in_vain(count: ApprovalCount, case: Case) -> Iterator[tuple[list[str], str]]:
    """Yield whose approvals do not count, and why."""
    why = dict(count.set_aside)
    for each in case.approvals:
        if each.digest in why and isinstance(each.content, Approval) and each.content.verdict == "approve":
            names = sorted(_names(each) - set(count.by))
            if names:
                yield names, why[each.digest]


def _names(each: Presented) -> set[str]:
    witnessed = each.content.witnessed if isinstance(each.content, Approval) else None
    return {one.name for one in each.signers} if witnessed is None else {witnessed}
