"""What a decision says in words, however it is shown: the verdict, the reasons in groups, approvals and evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from mlflow_rank.evidence.presented import UNREADABLE, Presented
from mlflow_rank.policy.approvals import ApprovalCount
from mlflow_rank.policy.case import Champion, NoChampion
from mlflow_rank.policy.decision import Approve, Deny, Ruling
from mlflow_rank.policy.failure_remedies import remedy_of
from mlflow_rank.policy.formula import AllOf
from mlflow_rank.policy.outcomes import Cause, Finding, Result
from mlflow_rank.policy.watch import Watched
from mlflow_rank.reports.decision_numbers import short_digest

Decided = Approve | Deny | Watched
Word = Literal["APPROVED", "DENIED", "COULD NOT DECIDE", "CLEAR", "WARN"]
_ORDER: tuple[Result, ...] = ("fail", "unknown", "waived", "pass")  # what needs a reader comes first


@dataclass(frozen=True, slots=True)
class Section:
    """What one policy says; `ruling` is None for a watch policy, which has no formula, approvals or waivers."""

    policy: Any
    findings: tuple[Finding, ...]
    ruling: Ruling | None

    @property
    def title(self) -> str:
        """Name, revision and mode."""
        metadata = self.policy.metadata
        mode = "watches only" if self.ruling is None else f"mode {self.policy.mode}"
        return f"{metadata.name} revision {metadata.revision}, {mode}"

    @property
    def answer(self) -> str:
        """What it comes to, in words."""
        if self.ruling is None:
            return "all clear" if all(finding.result == "pass" for finding in self.findings) else "warns"
        return "passes" if self.ruling.passes else "does not pass"

    @property
    def ran(self) -> str:
        """How many rules held a number against a bound."""
        return f"{sum(finding.ran for finding in self.findings)} of {len(self.findings)}"

    def rule(self, finding: Finding) -> Any:
        """Return the rule that a finding is of."""
        return next(rule for rule in self.policy.rules if rule.id == finding.rule)

    def decides(self, finding: Finding) -> bool:
        """Whether the verdict rests on it: warnings of a promotion policy decide nothing."""
        return self.ruling is None or finding.severity == "block"

    def blocks(self, finding: Finding) -> bool:
        """Whether it may keep a promotion from happening."""
        return self.ruling is not None and finding.severity == "block"

    def excused(self, finding: Finding) -> bool:
        """Whether the policy's formula passes although this finding does not."""
        return self.ruling is not None and self.ruling.formula_passes and not finding.counts_as_pass


@dataclass(frozen=True, slots=True)
class Group:
    """Findings with one and the same explanation: pairs of what it is (`why`, `rule`, `next`) and the words."""

    findings: tuple[Finding, ...]
    notes: tuple[tuple[str, str], ...]


def sections(decided: Decided) -> tuple[Section, ...]:
    """Return what each policy says, in the decision's order."""
    if isinstance(decided, Watched):
        return (Section(decided.policy, decided.findings, None),)
    return tuple(Section(ruling.policy, ruling.findings, ruling) for ruling in decided.rulings)


def labels(parts: Sequence[Section]) -> dict[str, str]:
    """Return a short name for each policy, by its digest: its own, with the digest where two have the same."""
    names = [section.policy.metadata.name for section in parts]
    return {
        section.policy.digest: name if names.count(name) == 1 else f"{name}@{short_digest(section.policy.digest)}"
        for section, name in zip(parts, names, strict=True)
    }


def verdict(decided: Decided) -> Word:
    """Return the verdict in one or a few words."""
    if isinstance(decided, Watched):
        return "CLEAR" if decided.outcome == "clear" else "WARN"
    if isinstance(decided, Approve):
        return "APPROVED"
    return "COULD NOT DECIDE" if decided.undecided else "DENIED"


def not_enforced(decided: Decided) -> str:
    """Return that nothing is enforced, and what that means; "" where it is."""
    if isinstance(decided, Watched) or decided.enforced:
        return ""
    modes = " and ".join(sorted({ruling.policy.mode for ruling in decided.rulings}))
    return f"no: mode {modes} lets every promotion happen, and counts unsigned evidence"


def aside(decided: Decided) -> str:
    """Return what the verdict alone does not say, in a few words; "" where it says all."""
    if isinstance(decided, Watched):
        return "nothing fails, but not all is known" if decided.undecided else ""
    return "not enforced" if not_enforced(decided) else ""


def about(decided: Decided) -> str:
    """Return what is to be promoted, and where to."""
    request = decided.case.request
    version = "" if request.version is None else f" version {request.version}"
    return f"{request.model}{version}" + ("" if isinstance(decided, Watched) else f" to {request.target}")


def facts(decided: Decided) -> list[tuple[str, str]]:
    """Return what identifies the decision, as pairs of a name and what there is to say."""
    case = decided.case
    when = moment(decided.at)
    lines = [("watched", when)] if isinstance(decided, Watched) else [("decision", f"{decided.id}, {when}")]
    candidate = case.request.candidate
    checked = "its files were hashed now" if candidate.checked else "NOT HASHED NOW: it is what the evidence says"
    lines.append(("digest", f"{short_digest(candidate.digest)}, {checked}"))
    champion = case.champion
    if isinstance(champion, Champion):
        version = "" if champion.version is None else f"version {champion.version}, "
        lines.append(("champion", f"{version}{short_digest(champion.digest)}"))
    else:
        looked = isinstance(champion, NoChampion)
        lines.append(("champion", "none: this is a first promotion" if looked else "UNKNOWN: nobody has looked"))
    if case.request.requester is not None and not isinstance(decided, Watched):
        lines.append(("asked by", case.request.requester))
    return lines + ([("enforced", not_enforced(decided))] if not_enforced(decided) else [])


def groups(section: Section) -> tuple[list[Group], list[Group]]:
    """Return the findings with their reasons: those on which the verdict rests, and the warnings that decide nothing.

    In each: failures, unknowns by cause, waived, passed. The remedy of a cause stands there once.
    """
    told: set[Cause | None] = set()
    deciding = [finding for finding in section.findings if section.decides(finding)]
    warning = [finding for finding in section.findings if not section.decides(finding)]
    return _grouped(section, deciding, told), _grouped(section, warning, told)


def remedy(section: Section, finding: Finding) -> str:
    """Return what to do about a finding that does not pass; "" where it is waived or passes."""
    return remedy_of(section.rule(finding), finding)


def approvals_missing(count: ApprovalCount) -> str:
    """Return what stands against a promotion where people do not agree to it; "" where enough do."""
    if count.rejected_by:
        return f"rejected by {', '.join(count.rejected_by)}"
    return "" if count.enough else f"{len(count.by)} of {count.needed} approvals"


def approvals_line(count: ApprovalCount) -> str:
    """Return how many people approved, who rejected, and what was set aside."""
    by = f": {', '.join(count.by)}" if count.by else ""
    parts = [f"{len(count.by)} of {count.needed}{by}" if count.needed or count.by else "none needed"]
    parts += [f"rejected by {', '.join(count.rejected_by)}"] if count.rejected_by else []
    parts += [f"set aside {short_digest(digest)}: {why}" for digest, why in count.set_aside]
    return "; ".join(parts)


def waivers_line(section: Section, waivers: Sequence[Presented]) -> str:
    """Return which rules are waived by what, and which waivers do nothing and why; "" where none was presented."""
    used = {finding.rule: finding.waiver for finding in section.findings if finding.waiver is not None}
    idle = () if section.ruling is None else section.ruling.idle_waivers
    unneeded = sorted({each.digest for each in waivers} - set(used.values()) - {digest for digest, _ in idle})
    parts = [f"{rule} by {short_digest(digest)}" for rule, digest in used.items()]
    parts += [f"set aside {short_digest(digest)}: {why}" for digest, why in idle]
    parts += [f"{short_digest(digest)} not needed, as its rule passes" for digest in unneeded]
    return "; ".join(parts)


def formula_line(section: Section) -> str:
    """Return how the rules combine, "" where all must pass.

    A rule that fails on one side of an `any` denies nothing.
    """
    formula = None if section.ruling is None else section.policy.decide
    return "" if formula is None else _combined(formula, outermost=True)


@dataclass(frozen=True, slots=True)
class EvidenceLine:
    """A statement in few words; `trusted` says whether somebody signed it whose signature holds."""

    digest: str
    kind: str
    made_at: str
    signed: str
    trusted: bool


def evidence_lines(decided: Decided) -> list[EvidenceLine]:
    """Return every statement that was presented about candidate and champion, by kind and digest."""
    case = decided.case
    listed = {each.digest: (each, case.request.candidate.digest, "") for each in case.evidence}
    if isinstance(case.champion, Champion):
        for each in case.champion.evidence:
            listed.setdefault(each.digest, (each, case.champion.digest, "champion's "))
    lines = [_evidence_line(each, subject, of) for each, subject, of in listed.values()]
    return sorted(lines, key=lambda line: (line.kind.startswith("champion's"), line.kind, line.digest))


def moment(at: datetime | None) -> str:
    """Return a time in UTC to the minute, as people read it.

    >>> moment(datetime(2026, 11, 25, 12, 0, tzinfo=UTC))
    '2026-11-25 12:00 UTC'
    """
    return "at an unknown time" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _grouped(section: Section, chosen: Sequence[Finding], told: set[Cause | None]) -> list[Group]:
    found: list[Group] = []
    for result in _ORDER:
        of_result = [finding for finding in chosen if finding.result == result]
        if result == "unknown":
            found += _unknowns(of_result, told)
        elif result == "pass":
            found += [Group((each,), (("why", each.sentence),)) for each in of_result if each.observed is None]
            found += [Group(tuple(each for each in of_result if each.observed is not None), ())]
        else:
            found += [Group((each,), tuple(_notes(section, each))) for each in of_result]
    return [group for group in found if group.findings]


def _unknowns(findings: Sequence[Finding], told: set[Cause | None]) -> Iterator[Group]:
    """Yield a group for each reason; the last of those with one cause has the remedy of all of them."""
    by_cause: dict[Cause | None, dict[str, list[Finding]]] = {}
    for finding in findings:
        by_cause.setdefault(finding.cause, {}).setdefault(finding.sentence, []).append(finding)
    for cause, by_sentence in by_cause.items():
        for position, (sentence, those) in enumerate(by_sentence.items(), 1):
            notes = [("why", sentence)]
            if cause is not None and cause not in told and position == len(by_sentence):
                notes.append(("next", cause.remedy))
            yield Group(tuple(those), tuple(notes))
        told.add(cause)


def _notes(section: Section, finding: Finding) -> Iterator[tuple[str, str]]:
    yield "why", finding.sentence
    asked_because = section.rule(finding).why
    if asked_because and finding.result == "fail":
        yield "rule", asked_because
    if section.excused(finding) and finding.result == "fail" and section.decides(finding):
        yield "next", "nothing: the policy passes another way, see how its rules combine"
    elif remedy(section, finding):
        yield "next", remedy(section, finding)


def _combined(formula: Any, *, outermost: bool = False) -> str:
    if isinstance(formula, str):
        return formula
    word, parts = ("all", formula.all) if isinstance(formula, AllOf) else ("any", formula.any)
    written = sorted(
        (_combined(part) for part in parts), key=lambda part: (part.startswith(("all of", "any of")), part)
    )
    return f"{word} of {', '.join(written)}" if outermost else f"{word} of ({', '.join(written)})"


def _evidence_line(each: Presented, subject: str, of: str) -> EvidenceLine:
    if each.kind == UNREADABLE:
        detail = "; ".join(detail for _, detail in each.problems)
        return EvidenceLine(short_digest(each.digest), UNREADABLE, "", f"UNREADABLE: {detail}", False)
    who = sorted({f"{one.name} ({', '.join(sorted(one.roles))})" for one in each.signers})
    problems = [detail for cause, detail in each.problems if cause != "unsigned"]
    parts = [f"signed by {', '.join(who)}"] if who else ["UNSIGNED" if each.unsigned else "NO SIGNATURE COUNTS"]
    parts += problems
    parts += [] if subject in each.subjects else ["it is about OTHER FILES"]
    kind = f"{of}{each.kind}"
    return EvidenceLine(short_digest(each.digest), kind, moment(each.made_at), "; ".join(parts), bool(who))
