"""What still lacks where a promotion is denied, in plain sentences, and who can supply it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from mlflow_rank.evidence.contents import Waiver
from mlflow_rank.evidence.presented import Presented
from mlflow_rank.evidence.trust import KeyHolder
from mlflow_rank.policy.decision import Deny, Ruling
from mlflow_rank.policy.failure_remedies import remedy_of
from mlflow_rank.policy.formula import ways_to_pass
from mlflow_rank.policy.missing_approvals import holders, lacking_approvals, listed, rejections
from mlflow_rank.policy.model import PromotionPolicy
from mlflow_rank.policy.outcomes import Cause, Finding

NeedKind = Literal["policy", "evidence", "waiver", "rejection", "approval"]
_MENDED_BY_MORE = frozenset(  # what fails for how it was assessed: the same files may pass yet
    {
        "no_open_alarm", "pilot_size_at_least", "measurement_size_at_least", "evidence_age_at_most", "corpus_allowed",
        "dtype_float32",
    }
)  # fmt: skip
_OF_WHOEVER_DECIDES = (Cause.CHAMPION_UNKNOWN, Cause.SUBJECT_NOT_CHECKED, Cause.EVALUATOR_ERROR)


@dataclass(frozen=True, slots=True)
class Need:
    """Something that lacks, in a sentence without a full stop, and the names of those who can supply it.

    Nobody is named where nobody can: a version that failed a pilot will fail it again.
    """

    sentence: str
    who: tuple[str, ...]
    kind: NeedKind

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {"sentence": self.sentence, "who": list(self.who), "kind": self.kind}


def missing(decision: Deny, people: Sequence[KeyHolder]) -> tuple[Need, ...]:
    """Return what lacks, each thing once, in the order in which it is best supplied: policy, evidence, people.

    Of rules that are alternatives to one another, those are told that lack the least.

    Args:
        decision: why it is denied.
        people: who has a key in force, as `TrustStore.people` says.
    """
    request, denying = decision.case.request, [ruling for ruling in decision.rulings if not ruling.passes]
    if not decision.rulings:
        sentence = f"no policy covers {request.model} to {request.target}; what no policy covers is denied"
        return (Need(sentence, (), "policy"),)
    found: set[Need] = set()
    for ruling in denying:
        under = f"under {ruling.policy.metadata.name}: " if len(decision.rulings) > 1 else ""
        for need in _of_ruling(ruling, decision, people):
            found.add(Need(under + need.sentence, need.who, need.kind))
    order = get_args(NeedKind)
    return tuple(sorted(found, key=lambda need: (order.index(need.kind), need.sentence)))


def _of_ruling(ruling: Ruling, decision: Deny, people: Sequence[KeyHolder]) -> Iterator[Need]:
    policy = ruling.policy
    if not ruling.formula_passes:
        lacking = _lacking(ruling)
        yield from _unknowns([each for each in lacking if each.result == "unknown"], policy, people)
        for each in lacking:
            if each.result == "fail":
                yield _failure(each, ruling, decision, people)
    elif not (ruling.ran and ruling.shows_a_pilot):
        sentence = "no pilot passed on a measured score, and nothing is approved without one"
        yield Need(sentence, holders(people, policy.evidence.signed_by), "evidence")
    for sentence, who in rejections(ruling.approvals, policy, decision.case):
        yield Need(sentence, (who,), "rejection")
    if len(ruling.approvals.by) < ruling.approvals.needed:
        yield Need(*lacking_approvals(ruling.approvals, policy, decision.case, people), "approval")


def _lacking(ruling: Ruling) -> list[Finding]:
    """Return the findings that keep the formula from passing: of the ways to pass, those that lack the least."""
    blocking = {finding.rule: finding for finding in ruling.findings if finding.severity == "block"}
    ways = [
        [blocking[rule] for rule in way if not blocking[rule].counts_as_pass]
        for way in ways_to_pass(ruling.policy.formula)
    ]
    costs = [(sum(each.result == "fail" for each in way), len(way)) for way in ways]
    nearest = {each.rule for way, cost in zip(ways, costs, strict=True) if cost == min(costs) for each in way}
    return [blocking[rule] for rule in sorted(nearest)]


def _unknowns(findings: Sequence[Finding], policy: PromotionPolicy, people: Sequence[KeyHolder]) -> Iterator[Need]:
    """Yield one need for all rules that lack the same for the same reason."""
    rules = {rule.id: rule for rule in policy.rules}
    together: dict[tuple[str, Cause], list[str]] = {}
    for finding in findings:
        cause = finding.cause or Cause.EVALUATOR_ERROR
        what = _what_it_reads(rules[finding.rule]) if cause == Cause.MISSING_EVIDENCE else finding.sentence
        together.setdefault((what, cause), []).append(finding.rule)
    signers = holders(people, policy.evidence.signed_by)
    for (what, cause), names in together.items():
        if cause == Cause.MISSING_EVIDENCE:
            sentence = f"no {what} was handed in, for {listed(names)}: assess it, and hand that in"
        else:
            sentence = f"{listed(names)}: {what}; {cause.remedy}"
        sentence += _or_waived(names, policy, people)
        if cause == Cause.BOUND_AT_CHANCE:  # the policy's own fault
            yield Need(sentence, tuple(sorted(policy.metadata.owners)), "policy")
        else:
            yield Need(sentence, () if cause in _OF_WHOEVER_DECIDES else signers, "evidence")


def _or_waived(names: Sequence[str], policy: PromotionPolicy, people: Sequence[KeyHolder]) -> str:
    rules = () if policy.waivers is None else sorted(set(policy.waivers.rules).intersection(names))
    by = () if policy.waivers is None else holders(people, policy.waivers.signed_by)
    return f"; or have {listed(rules)} waived by {listed(by, 'or')}" if rules and by else ""


def _failure(finding: Finding, ruling: Ruling, decision: Deny, people: Sequence[KeyHolder]) -> Need:
    policy, name = ruling.policy, finding.rule
    rule = next(each for each in policy.rules if each.id == name)
    sentence = f"{name} fails: {finding.sentence}; {remedy_of(rule, finding)}"
    if policy.waivers is not None and name in policy.waivers.rules:
        by = holders(people, policy.waivers.signed_by)
        idle = dict(ruling.idle_waivers)
        given = [idle[each.digest] for each in decision.case.waivers if _is_of(each, name) and each.digest in idle]
        why = f" (the waiver that was handed in does not count: {min(given)})" if given else ""
        return Need(f"{sentence}; or have it waived by {listed(by, 'or') if by else 'nobody here'}{why}", by, "waiver")
    who = holders(people, policy.evidence.signed_by) if finding.kind in _MENDED_BY_MORE else ()
    return Need(sentence, who, "evidence")


def _is_of(waiver: Presented, rule: str) -> bool:
    return isinstance(waiver.content, Waiver) and waiver.content.rule == rule


def _what_it_reads(rule: Any) -> str:
    """Return which kind of evidence a rule reads, and of which task.

    >>> from mlflow_rank.policy.rank_rules import NoOpenAlarm
    >>> _what_it_reads(NoOpenAlarm(id="calm", kind="no_open_alarm"))
    'statement of alarms'
    """
    of = getattr(rule, "of", None) or (
        "pilot" if rule.kind.startswith(("pilot_", "worst_group", "domain_drop")) else ""
    )
    if of == "pilot":
        task = getattr(rule, "task", None)
        return f"pilot of the task {task}" if task else "pilot"
    return "statement of alarms" if of == "alarms" or rule.kind == "no_open_alarm" else "measurement"
