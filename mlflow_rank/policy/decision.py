"""What was decided: `Approve` or `Deny`, with every finding, as values that cannot say more than was found.

An `Approve` cannot be made without a pilot that passed, under every policy that was asked: the second lock of "rank
alone never approves", behind the one at load.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import ClassVar, Literal

from mlflow_rank.errors import MlflowRankError
from mlflow_rank.evidence.canonical import Written, canonical_json, digest_of
from mlflow_rank.evidence.presented import Presented
from mlflow_rank.policy.approvals import ApprovalCount
from mlflow_rank.policy.case import Case, Champion, NoChampion
from mlflow_rank.policy.formula import passes
from mlflow_rank.policy.model import PromotionPolicy
from mlflow_rank.policy.outcomes import Finding

ID_CHARACTERS = 12  # 48 bits: two decisions of one registry meet by chance once in millions


class NotProvenError(MlflowRankError):
    """Somebody tried to make an approval that no pilot supports: a fault of the program, never of a user."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What one policy says: its findings in order of rule, its formula's answer, and the approvals.

    `idle_waivers` are the digests of waivers that it sets aside, each with why.
    """

    policy: PromotionPolicy
    findings: tuple[Finding, ...]
    formula_passes: bool
    approvals: ApprovalCount
    idle_waivers: tuple[tuple[str, str], ...] = ()

    @property
    def ran(self) -> int:
        """How many rules held a number against a bound."""
        return sum(finding.ran for finding in self.findings)

    @property
    def passes(self) -> bool:
        """Whether this policy lets the promotion pass."""
        return self.formula_passes and self.approvals.enough and self.ran > 0 and self.shows_a_pilot

    @property
    def shows_a_pilot(self) -> bool:
        """Whether a pilot passed on a measured score."""
        return any(finding.shows_a_pilot for finding in self.findings)

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        metadata = self.policy.metadata
        return {
            "name": metadata.name,
            "revision": metadata.revision,
            "digest": self.policy.digest,
            "mode": self.policy.mode,
            "passes": self.passes,
            "formula_passes": self.formula_passes,
            "rules_ran": {"ran": self.ran, "of": len(self.findings)},
            "approvals": self.approvals.document(),
            "waivers_set_aside": [{"waiver": digest, "why": why} for digest, why in self.idle_waivers],
            "findings": [finding.document() for finding in self.findings],
        }


@dataclass(frozen=True)  # no slots: the id is worked out once and kept
class _Decided(ABC):
    """A decision: on which case, by which policies, when. The same inputs give the same bytes."""

    case: Case
    rulings: tuple[Ruling, ...]
    at: datetime

    verdict: ClassVar[Literal["approve", "deny"]]

    @cached_property
    def id(self) -> str:
        """A short name: the first characters of the digest of everything else."""
        return digest_of(self._parts).removeprefix("sha256:")[:ID_CHARACTERS]

    @property
    def enforced(self) -> bool:
        """Whether a policy that was asked is in mode enforce; where none was asked, the answer holds as well."""
        return not self.rulings or any(ruling.policy.mode == "enforce" for ruling in self.rulings)

    @property
    def findings(self) -> Iterator[tuple[Ruling, Finding]]:
        """Every finding with the ruling that it belongs to."""
        return ((ruling, finding) for ruling in self.rulings for finding in ruling.findings)

    def document(self) -> dict[str, object]:
        """Return the decision JSON-ready."""
        return {"id": self.id, **self._body()}

    def written(self) -> dict[str, object]:
        """Return the document for what has it in it as canonical JSON: every part but the request is written already.

        A decision stands in its own digest, in the statement that is signed, and in the ledger.
        """
        return {"id": self.id, **self._parts}

    def to_bytes(self) -> bytes:
        """Return the decision as canonical JSON."""
        return canonical_json(self.written())

    @property
    @abstractmethod
    def sentence(self) -> str:
        """The verdict and what it rests on, in one sentence that fits a dialog."""

    @cached_property
    def _parts(self) -> dict[str, object]:
        return {name: part if name == "request" else Written.of(part) for name, part in self._body().items()}

    def _body(self) -> dict[str, object]:
        request, champion = self.case.request, self.case.champion
        return {
            "apiVersion": "mlflow-rank/v1",
            "kind": "Decision",
            "verdict": self.verdict,
            "enforced": self.enforced,
            "sentence": self.sentence,
            "decided_at": moment(self.at),
            "request": {
                "model": request.model,
                "version": request.version,
                "target": request.target,
                "digest": request.candidate.digest,
                "digest_checked": request.candidate.checked,
                "requester": request.requester,
            },
            "champion": {
                "digest": champion.digest,
                "version": champion.version,
                "evidence": sorted({each.digest for each in champion.evidence}),
            }
            if isinstance(champion, Champion)
            else {"none": "first promotion" if isinstance(champion, NoChampion) else "not known"},
            "policies": [ruling.document() for ruling in self.rulings],
            "evidence": _presented(self.case.evidence),
            "evidence_digest": self.case.evidence_digest,
            "approvals": _presented(self.case.approvals),
            "waivers": _presented(self.case.waivers),
        }


@dataclass(frozen=True)
class Approve(_Decided):
    """The promotion may happen: every policy that was asked passes, each on a pilot."""

    verdict: ClassVar[Literal["approve", "deny"]] = "approve"

    def __post_init__(self) -> None:
        if not self.rulings:
            raise NotProvenError("no policy was asked, so nothing can be approved")
        for ruling in self.rulings:
            if not ruling.passes:
                raise NotProvenError(
                    f"policy {ruling.policy.metadata.name} does not pass, so nothing can be approved",
                    got=f"a pilot that passed: {ruling.shows_a_pilot}; formula: {ruling.formula_passes}",
                    expected="both, and the approvals that it asks for",
                )

    @property
    def sentence(self) -> str:
        """The verdict and what it rests on, in one sentence that fits a dialog."""
        shown = sum(finding.shows_a_pilot for _, finding in self.findings)
        names = ", ".join(f"{each.policy.metadata.name} r{each.policy.metadata.revision}" for each in self.rulings)
        waivers = sum(finding.result == "waived" for _, finding in self.findings)
        more = f"; {waivers} {'rule is' if waivers == 1 else 'rules are'} waived" if waivers else ""
        return f"approved under {names}: {shown} pilot rules pass on measured scores{more}"


@dataclass(frozen=True)
class Deny(_Decided):
    """The promotion may not happen."""

    verdict: ClassVar[Literal["approve", "deny"]] = "deny"

    @property
    def undecided(self) -> bool:
        """Whether nothing speaks against the model: something is missing that could still be supplied."""
        return bool(self.rulings) and all(
            ruling.passes or (_would_pass(ruling) and not ruling.approvals.rejected_by) for ruling in self.rulings
        )

    @property
    def sentence(self) -> str:
        """The verdict and what it rests on, in one sentence that fits a dialog."""
        request = self.case.request
        if not self.rulings:
            return f"denied: no policy covers {request.model} to {request.target}"
        parts = []
        for ruling in self.rulings:
            if ruling.passes:
                continue
            blocking = [finding for finding in ruling.findings if finding.severity == "block"]
            parts += [f"{finding.rule} fails" for finding in blocking if finding.result == "fail"]
            parts += [f"{finding.rule} is unknown ({finding.cause})" for finding in blocking if finding.cause]
            if ruling.approvals.rejected_by:
                parts.append(f"rejected by {', '.join(ruling.approvals.rejected_by)}")
            elif not ruling.approvals.enough:
                parts.append(f"{len(ruling.approvals.by)} of {ruling.approvals.needed} approvals")
            if not blocking or not parts:
                parts.append("no pilot passed on a measured score")
        shown = "; ".join(parts[:MOST_REASONS])
        return f"denied: {shown}" + (f"; and {len(parts) - MOST_REASONS} more" if len(parts) > MOST_REASONS else "")


Decision = Approve | Deny
MOST_REASONS = 4  # named in the one sentence that a dialog shows; the findings have all of them


def moment(at: datetime) -> str:
    """Return a time in UTC, to the second.

    >>> moment(datetime(2026, 11, 25, 12, 0, tzinfo=UTC))
    '2026-11-25T12:00:00Z'
    """
    return at.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def _would_pass(ruling: Ruling) -> bool:
    """Say whether the formula passes where every unknown is taken for a pass."""
    answers = {finding.rule: finding.result != "fail" for finding in ruling.findings}
    return passes(ruling.policy.formula, answers)


def _presented(statements: tuple[Presented, ...]) -> list[dict[str, object]]:
    listed: dict[str, dict[str, object]] = {
        each.digest: {
            "digest": each.digest,
            "kind": each.kind,
            "made_at": None if each.made_at is None else moment(each.made_at),
            "subjects": sorted(each.subjects),
            "signed_by": [
                {"name": one.name, "key": one.key_id, "roles": sorted(one.roles)}
                for one in sorted(each.signers, key=lambda one: (one.name, one.key_id))
            ],
            "problems": [{"cause": cause, "detail": detail} for cause, detail in each.problems],
        }
        for each in statements
    }
    return [listed[digest] for digest in sorted(listed)]
