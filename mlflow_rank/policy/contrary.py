"""Whether something speaks against a version that was approved before: what is missing or has aged does not."""

from __future__ import annotations

from collections.abc import Iterator

from mlflow_rank.policy.decision import Decision, Ruling
from mlflow_rank.policy.formula import passes
from mlflow_rank.policy.outcomes import Finding

AGEING = ("evidence_age_at_most",)  # kinds of rules that fail by the passing of time alone


def contrary(decision: Decision) -> tuple[str, ...]:
    """Return what speaks against it, in words: rules that fail on what was measured, and people who rejected it.

    Empty where every policy would pass if all that is unknown were known to be well.
    """
    return tuple(dict.fromkeys(said for ruling in decision.rulings for said in against(ruling)))


def against(ruling: Ruling) -> Iterator[str]:
    """Yield what speaks against a version under one policy."""
    kinds = {rule.id: rule.kind for rule in ruling.policy.rules}
    failing = [each for each in ruling.findings if _fails(each, kinds[each.rule])]
    if not passes(ruling.policy.formula, {each.rule: each not in failing for each in ruling.findings}):
        yield from (f"{each.rule} fails" for each in failing if each.severity == "block")
    yield from (f"rejected by {name}" for name in ruling.approvals.rejected_by)


def _fails(finding: Finding, kind: str) -> bool:
    return finding.result == "fail" and kind not in AGEING
