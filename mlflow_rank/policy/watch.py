"""What a watch policy says of ranks and alarms: `clear` or `warn`. There is no approval to be had here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from mlflow_rank.evidence.canonical import canonical_json
from mlflow_rank.policy.case import Case
from mlflow_rank.policy.checking import check
from mlflow_rank.policy.decision import moment
from mlflow_rank.policy.model import WatchPolicy
from mlflow_rank.policy.outcomes import Finding
from mlflow_rank.policy.reading import View


@dataclass(frozen=True, slots=True)
class Watched:
    """The findings of a watch policy, in order of rule. Any that does not pass is worth a warning, unknown ones too."""

    policy: WatchPolicy
    case: Case
    findings: tuple[Finding, ...]
    at: datetime

    @property
    def outcome(self) -> Literal["clear", "warn"]:
        """`clear` where every rule passes."""
        return "clear" if all(finding.result == "pass" for finding in self.findings) else "warn"

    @property
    def undecided(self) -> bool:
        """Whether it warns of nothing but missing knowledge."""
        return self.outcome == "warn" and not any(finding.result == "fail" for finding in self.findings)

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        request, metadata = self.case.request, self.policy.metadata
        return {
            "apiVersion": "mlflow-rank/v1",
            "kind": "Watch",
            "outcome": self.outcome,
            "watched_at": moment(self.at),
            "model": request.model,
            "digest": request.candidate.digest,
            "policy": {"name": metadata.name, "revision": metadata.revision, "digest": self.policy.digest},
            "rules_ran": {"ran": sum(finding.ran for finding in self.findings), "of": len(self.findings)},
            "findings": [finding.document() for finding in self.findings],
        }

    def to_bytes(self) -> bytes:
        """Return it as canonical JSON."""
        return canonical_json(self.document())


def watch(policy: WatchPolicy, case: Case, now: datetime) -> Watched:
    """Return what a watch policy says of a model; unsigned evidence counts, as nothing is approved."""
    view = View(case, policy.evidence, True, now)
    rules = sorted(policy.rules, key=lambda rule: rule.id)
    return Watched(policy, case, tuple(check(rule, view) for rule in rules), now)
