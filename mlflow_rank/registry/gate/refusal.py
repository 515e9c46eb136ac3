"""A call that the gate refused, as MLflow's clients and pages understand it: 403, verdict first, one short sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mlflow.exceptions import MlflowException  # noqa: TID253 -- only what stands at MLflow's doors loads this
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED  # noqa: TID253

from mlflow_rank.policy.decision import Decision
from mlflow_rank.policy.outcomes import Cause

_LONGEST = 600  # characters: what a dialog shows without scrolling
_MOST_NAMED = 3  # rules or people of one kind
_LACKS = {
    Cause.MISSING_EVIDENCE: "no evidence",
    Cause.UNSIGNED: "no signed evidence",
    Cause.STALE: "no recent evidence",
}


class Refused(MlflowException):  # type: ignore[misc]
    """A call that the gate refused; MLflow's server answers it with 403, and no client tries it again."""


def refused(sentence: str, decision: Decision | None = None) -> Refused:
    """Return what is raised: `Refused: …` on one line, ending in the decision's id; the decision also as a field.

    Args:
        sentence: why, items separated by `; `, without a full stop.
        decision: that says no, where one was made.
    """
    said = " ".join(sentence.encode("utf-8", "backslashreplace").decode().split()).rstrip(".")
    said = f"{said[: _LONGEST - 1]}…" if len(said) > _LONGEST else said
    if decision is None:
        return Refused(f"Refused: {said}.", PERMISSION_DENIED)
    return Refused(
        f"Refused: {said}; decision {decision.id}", PERMISSION_DENIED, rank_decision=dict(_summary(decision))
    )


def why_refused(decision: Decision) -> str:
    """Return why a decision says no, for a dialog: what fails, what lacks and for which rules, who has to say a word.

    The decision's own sentence names every rule with its cause, which nobody reads in a dialog.
    """
    if not decision.rulings:
        return decision.sentence.removeprefix("denied: ")
    denying = [ruling for ruling in decision.rulings if not ruling.passes]
    failed: list[str] = []
    unknown: dict[Cause, list[str]] = {}
    people: list[str] = []
    for ruling in denying:
        for finding in ruling.findings:
            if finding.severity == "block" and finding.result == "fail":
                failed.append(finding.rule)
            elif finding.severity == "block" and finding.cause is not None:
                unknown.setdefault(finding.cause, []).append(finding.rule)
        approvals = ruling.approvals
        if approvals.rejected_by:
            people.append(f"rejected by {_listed(approvals.rejected_by)}")
        elif not approvals.enough:
            people.append(f"{len(approvals.by)} of {approvals.needed} approvals")
    parts = [f"{_listed(failed)} {'fails' if len(set(failed)) == 1 else 'fail'}"] if failed else []
    for cause, rules in unknown.items():
        about, lacks = _listed(rules), _LACKS.get(cause)
        parts.append(f"{lacks} for {about}" if lacks else f"{about} unknown ({cause.value.replace('_', ' ')})")
    return "; ".join(dict.fromkeys([*parts, *people])) or "no pilot passed on a measured score"


def _listed(names: Sequence[str]) -> str:
    """Return names, and how many more there are than a dialog holds.

    >>> _listed(["b", "a", "b"]), _listed(["a", "b", "c", "d", "e"])
    ('b and a', 'a, b, c and 2 more')
    """
    once = list(dict.fromkeys(names))
    shown, more = once[:_MOST_NAMED], len(once) - _MOST_NAMED
    if more > 0:
        return f"{', '.join(shown)} and {more} more"
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


def _summary(decision: Decision) -> Mapping[str, object]:
    request = decision.case.request
    return {
        "id": decision.id,
        "verdict": decision.verdict,
        "model": request.model,
        "version": request.version,
        "target": request.target,
        "sentence": decision.sentence,
        "findings": [
            {"rule": each.rule, "result": each.result, "cause": each.cause.value if each.cause else None}
            for _, each in decision.findings
            if each.severity == "block" and each.result in ("fail", "unknown")
        ],
    }
