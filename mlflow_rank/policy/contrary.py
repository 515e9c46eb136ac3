"""Whether something speaks against a version since it was approved: what is missing or has aged does not."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from mlflow_rank.policy.decision import Decision, Ruling
from mlflow_rank.policy.formula import passes
from mlflow_rank.policy.outcomes import Finding

AGEING = ("evidence_age_at_most",)  # kinds of rules that fail by the passing of time alone


def contrary(decision: Decision, known: AbstractSet[str]) -> tuple[str, ...]:
    """Return what speaks against it, in words: rules that fail on what came since, and people who reject it.

    Empty where every policy would pass if all else were well.

    Args:
        decision: on the version as it stands now.
        known: digests of the statements that its approval knew of: a policy that asks more of them than it did then
            speaks against nobody.
    """
    return tuple(dict.fromkeys(said for ruling in decision.rulings for said in _against(ruling, known)))


def _against(ruling: Ruling, known: AbstractSet[str]) -> Iterator[str]:
    kinds = {rule.id: rule.kind for rule in ruling.policy.rules}
    failing = {each.rule: each for each in ruling.findings if _fails(each, kinds[each.rule], known)}
    if not passes(ruling.policy.formula, {each.rule: each.rule not in failing for each in ruling.findings}):
        yield from (f"{name} fails" for name, each in failing.items() if each.severity == "block")
    yield from (f"rejected by {name}" for name in ruling.approvals.rejected_by)


def _fails(finding: Finding, kind: str, known: AbstractSet[str]) -> bool:
    return finding.result == "fail" and kind not in AGEING and not set(finding.evidence) <= known
