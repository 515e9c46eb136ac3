"""A decision as SARIF 2.1.0: what does not pass becomes an annotation on the policy that asks for it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import PureWindowsPath
from typing import Any
from urllib.parse import quote

from mlflow_rank import __version__
from mlflow_rank.policy.approvals import ApprovalCount
from mlflow_rank.policy.decision import Approve, Deny, moment
from mlflow_rank.policy.explain import sentence_of
from mlflow_rank.policy.failure_remedies import WHEN_IT_FAILS
from mlflow_rank.policy.outcomes import Finding
from mlflow_rank.policy.watch import Watched
from mlflow_rank.reports.decision_next import next_step
from mlflow_rank.reports.decision_words import (
    Section,
    about,
    approvals_missing,
    labels,
    remedy,
    sections,
    verdict,
)
from mlflow_rank.reports.untrusted_text import in_sarif, plain

SARIF_VERSION = "2.1.0"
SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_FINGERPRINT_CHARACTERS = 16  # of a SHA-256, as long as those that GitHub makes of lines
_WHOLE_FILE = 1  # GitHub shows nothing without a line: the first stands for a file whose lines are not known

Lines = Mapping[tuple[str, str], int]
Object = dict[str, Any]


def decision_sarif(
    decision: Approve | Deny | Watched, *, policy_files: Mapping[str, str], lines: Lines | None = None
) -> Object:
    """Return a decision as a SARIF log of one run.

    Each rule of a policy is a rule named `policy/rule`, and approvals are one more, `policy.approvals`. There is a
    result for each rule that does not pass: an error where it blocks, failed or unknown; a warning where it only warns,
    as all of a watch policy do; a note where the policy passes another way; a suppressed note where it is waived. That
    no policy matches is no rule's result, but a notification of the invocation.

    Args:
        decision: what was decided.
        policy_files: the path of each policy's file from the root of the repository, by the policy's digest. Without
            one, a result has a logical location only, which GitHub does not show.
        lines: the line at which a rule begins, by the policy's digest and the rule's id; from 1.
    """
    parts = sections(decision)
    log = _Log(decision, labels(parts), policy_files, lines or {})
    for section in parts:
        log.add(section)
    return {"$schema": SCHEMA, "version": SARIF_VERSION, "runs": [log.run()]}


class _Log:
    def __init__(
        self, decided: Approve | Deny | Watched, names: Mapping[str, str], files: Mapping[str, str], lines: Lines
    ) -> None:
        self.decided, self.names, self.files, self.lines = decided, names, files, lines
        self.rules: list[Object] = []
        self.results: list[Object] = []

    def add(self, section: Section) -> None:
        """Add a policy's rules, and results for those that do not pass."""
        digest = section.policy.digest
        name = self.names[digest]
        for finding in section.findings:
            rule, rule_id = section.rule(finding), f"{name}/{finding.rule}"
            level = "error" if section.blocks(finding) else "warning"
            self.rules.append(_rule(rule_id, sentence_of(rule), rule.why, WHEN_IT_FAILS[rule.kind], level))
            if finding.result != "pass":
                said: Object = {"level": _level(section, finding), "message": {"text": _message(section, finding)}}
                self._result(rule_id, digest, finding.rule, said | _suppressed(finding), finding.document())
        if section.ruling is not None:
            self._add_approvals(name, digest, section.ruling.approvals)

    def run(self) -> Object:
        """Return the run with everything that was added."""
        decided = self.decided
        driver = {"name": "mlflow_rank", "version": __version__, "rules": self.rules}
        properties: Object = {"verdict": verdict(decided), "about": plain(about(decided)), "next": next_step(decided)}
        if not isinstance(decided, Watched):
            properties |= {"decisionId": decided.id, "enforced": decided.enforced}
        return {
            "tool": {"driver": driver},
            "invocations": [{"executionSuccessful": True, "endTimeUtc": moment(decided.at)} | self._notifications()],
            "results": self.results,
            "properties": properties,
        }

    def _add_approvals(self, name: str, digest: str, count: ApprovalCount) -> None:
        missing = approvals_missing(count)
        if count.needed or missing:
            asks = f"Approvals that are given: {count.needed}; rejections: none."
            self.rules.append(_rule(f"{name}.approvals", asks, "", "have people approve, or hear who rejects", "error"))
        if missing:
            said: Object = {"level": "error", "message": {"text": in_sarif(f"{missing}.")}}
            self._result(f"{name}.approvals", digest, "approvals", said, count.document())

    def _notifications(self) -> Object:
        decided = self.decided
        if isinstance(decided, Deny) and not self.results:
            return {"toolExecutionNotifications": [{"level": "error", "message": {"text": in_sarif(decided.sentence)}}]}
        return {}

    def _result(self, rule_id: str, digest: str, rule: str, said: Object, properties: Object) -> None:
        request = self.decided.case.request
        same = "\n".join((request.model, request.target, rule_id))  # in every decision on this model's promotion
        fingerprint = hashlib.sha256(same.encode(errors="surrogatepass")).hexdigest()[:_FINGERPRINT_CHARACTERS]
        self.results.append(
            {
                "ruleId": rule_id,
                "ruleIndex": len(self.rules) - 1,
                "kind": "fail",  # of other kinds the level must be none, and an unknown is no less of an obstacle
                **said,
                "locations": [self._location(digest, rule, rule_id)],
                "partialFingerprints": {"primaryLocationLineHash": f"{fingerprint}:1"},
                "properties": properties,
            }
        )

    def _location(self, digest: str, rule: str, rule_id: str) -> Object:
        logical: Object = {"logicalLocations": [{"fullyQualifiedName": rule_id, "kind": "member"}]}
        path = self.files.get(digest)
        if path is None:
            return logical
        line = self.lines.get((digest, rule), _WHOLE_FILE)
        return {"physicalLocation": {"artifactLocation": {"uri": _uri(path)}, "region": {"startLine": line}}} | logical


def _rule(rule_id: str, asks: str, why: str, failing: str, level: str) -> Object:
    because = f" Why: {why}" if why else ""
    return {
        "id": rule_id,
        "shortDescription": {"text": in_sarif(asks)},
        "fullDescription": {"text": in_sarif(asks + because)},
        "help": {"text": in_sarif(f"{asks}{because} Where it fails: {failing}.")},
        "defaultConfiguration": {"level": level},
    }


def _level(section: Section, finding: Finding) -> str:
    if finding.result == "waived" or (section.decides(finding) and section.excused(finding)):
        return "note"
    return "error" if section.blocks(finding) else "warning"


def _message(section: Section, finding: Finding) -> str:
    parts = [f"{finding.result}: {finding.sentence}."]
    if section.decides(finding) and section.excused(finding):
        parts.append("The policy passes another way.")
    elif remedy(section, finding):
        parts.append(f"Next: {remedy(section, finding)}.")
    if section.ruling is not None and section.policy.mode != "enforce":
        parts.append(f"Not enforced: mode {section.policy.mode}.")
    return in_sarif(" ".join(parts))


def _suppressed(finding: Finding) -> Object:
    if finding.result != "waived":
        return {}
    return {"suppressions": [{"kind": "external", "status": "accepted", "justification": plain(finding.sentence)}]}


def _uri(path: str) -> str:
    """Return the URI of a path, relative where the path is.

    >>> _uri("policies/speech encoder.yaml"), _uri("/srv/p.yaml")
    ('policies/speech%20encoder.yaml', 'file:///srv/p.yaml')
    """
    whole = PureWindowsPath(path)
    if whole.is_absolute():
        return whole.as_uri()
    posix = quote(whole.as_posix())
    return f"file://{posix}" if posix.startswith("/") else posix
