"""What to do after a decision, in a sentence or two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlflow_rank.policy.decision import Approve, Deny
from mlflow_rank.policy.watch import Watched
from mlflow_rank.reports.decision_words import Decided, Section, about, remedy

_MOST_NAMED = 3  # rules or people that a sentence names


def next_step(decided: Decided) -> str:
    """Return what to do now, in a sentence or two."""
    if isinstance(decided, Watched):
        return _after_watching(decided)
    if isinstance(decided, Approve):
        return "promote it" + (f": {about(decided)}" if decided.enforced else "; nothing is enforced yet") + "."
    request = decided.case.request
    if not decided.rulings:
        return (
            f"write a policy whose match names {request.model} and {request.target}; what no policy covers is denied."
        )
    first, *more = _after_denial(decided)
    return " ".join([first, *(sentence[:1].upper() + sentence[1:] for sentence in more)])


def _after_watching(watched: Watched) -> str:
    if watched.outcome == "clear":
        return "nothing. Nothing was seen going wrong; whether it is good enough to promote, only pilots can say."
    if watched.undecided:
        return "supply what is not known, as said above. Nothing was seen going wrong so far."
    failed = [finding.rule for finding in watched.findings if finding.result == "fail"]
    return f"look into {_listed(failed)} before this checkpoint is used or trained on."


def _after_denial(decided: Deny) -> Iterator[str]:
    denying = [ruling for ruling in decided.rulings if not ruling.passes]
    blocked = [
        (Section(ruling.policy, ruling.findings, ruling), finding)
        for ruling in denying
        if not ruling.formula_passes
        for finding in ruling.findings
        if finding.severity == "block"
    ]
    failed = sorted({finding.rule for _, finding in blocked if finding.result == "fail"})
    unknown = sorted({finding.rule for _, finding in blocked if finding.result == "unknown"})
    remedies = sorted({remedy(section, finding) for section, finding in blocked if finding.result == "unknown"})
    rejected = sorted({name for ruling in denying for name in ruling.approvals.rejected_by})
    if failed:
        owners = sorted({owner for ruling in denying for owner in ruling.policy.metadata.owners})
        yield f"do what stands above beside {_listed(failed)}, or have {_listed(owners)} review the policy."
    elif len(remedies) == 1:
        yield f"for {_listed(unknown)}: {remedies[0]}; then decide again."
    elif remedies:
        yield f"supply what is unknown, as the {len(remedies)} remedies above say; then decide again."
    if rejected:
        yield f"talk to {_listed(rejected)}, who rejected it."
    missing = [ruling for ruling in denying if not ruling.approvals.enough and not ruling.approvals.rejected_by]
    if missing:
        more = max(ruling.approvals.needed - len(ruling.approvals.by) for ruling in missing)
        roles = " or ".join(sorted({role for ruling in missing for role in ruling.policy.approvals.signed_by}))
        then = "then " if failed or remedies or rejected else ""
        yield f"{then}have it approved by {_people(more)} ({roles})."
    if not (failed or remedies or rejected or missing):
        yield "give a pilot with a score that was measured: nothing is approved without one."


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count} people"


def _listed(names: Sequence[str]) -> str:
    """Return names, and how many more there are than a sentence holds.

    >>> _listed(["a", "b"]), _listed(["a", "b", "c", "d", "e"])
    ('a, b', 'a, b, c and 2 more')
    """
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
