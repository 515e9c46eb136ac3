"""A decision as JUnit XML: a suite for each policy, a test case for each rule and for the approvals."""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from mlflow_rank.policy.decision import Approve, Deny
from mlflow_rank.policy.outcomes import Finding
from mlflow_rank.policy.watch import Watched
from mlflow_rank.reports.decision_next import next_step
from mlflow_rank.reports.decision_words import (
    Section,
    about,
    approvals_missing,
    facts,
    labels,
    remedy,
    sections,
    verdict,
)
from mlflow_rank.reports.untrusted_text import in_xml, plain

_NO_TIME = "0"  # deciding is no test that runs for a while, and the same decision gives the same bytes


def decision_junit(decision: Approve | Deny | Watched) -> str:
    """Return a decision as JUnit XML, as Jenkins and Surefire read it.

    A rule that fails is a failure and one that is unknown an error. Skipped, with a message, are waived rules, warnings
    that decide nothing, and rules without which the policy passes. Missing approvals are an error and a rejection is a
    failure. Where no policy was asked, a suite of one failure says so: no tests would look like success.
    """
    parts = sections(decision)
    names = labels(parts)
    root = Element("testsuites", name=_text(f"mlflow-rank: {verdict(decision)}: {about(decision)}"), time=_NO_TIME)
    for section in parts:
        _suite(root, names[section.policy.digest], section, decision)
    if not parts and isinstance(decision, Deny):
        suite = SubElement(root, "testsuite", name="no policy", time=_NO_TIME)
        _case(suite, "no policy", "a-policy-matches", "failure", decision.sentence, next_step(decision))
    for element in (*root, root):
        _count(element)
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _suite(root: Element, name: str, section: Section, decided: Approve | Deny | Watched) -> None:
    suite = SubElement(root, "testsuite", name=_text(name), time=_NO_TIME)
    properties = SubElement(suite, "properties")
    about_it = [
        *facts(decided),
        ("policy", f"{section.title}: {section.answer}"),
        ("policy digest", section.policy.digest),
    ]
    for key, value in (*about_it, ("rules that ran", section.ran), ("next", next_step(decided))):
        SubElement(properties, "property", name=_text(key), value=_text(value))
    for finding in section.findings:
        kind, message = _outcome(section, finding)
        _case(suite, name, finding.rule, kind, message, remedy(section, finding))
    if section.ruling is not None and (section.policy.approvals.count or section.ruling.approvals.rejected_by):
        count = section.ruling.approvals
        kind = "" if count.enough else "failure" if count.rejected_by else "error"
        _case(suite, name, "approvals", kind, approvals_missing(count), "")


def _outcome(section: Section, finding: Finding) -> tuple[str, str]:
    """Return the element that says what came of it, "" for a pass, and the message."""
    if finding.result == "pass":
        return "", ""
    if finding.result == "waived":
        return "skipped", finding.sentence
    if not section.decides(finding):
        return "skipped", f"warning, {finding.result}: {finding.sentence}"
    if section.excused(finding):
        return "skipped", f"{finding.result}, but the policy passes another way: {finding.sentence}"
    return ("failure" if finding.result == "fail" else "error"), finding.sentence


def _case(suite: Element, policy: str, name: str, kind: str, message: str, remedy_said: str) -> None:
    case = SubElement(suite, "testcase", classname=_text(policy), name=_text(name), time=_NO_TIME)
    if kind == "skipped":
        SubElement(case, "skipped", message=_text(message))
    elif kind:
        outcome = SubElement(case, kind, message=_text(message), type="fail" if kind == "failure" else "unknown")
        outcome.text = _text(f"Next: {remedy_said}") if remedy_said else None


def _count(element: Element) -> None:
    kinds = [("failures", "failure"), ("errors", "error")]
    kinds += [("skipped", "skipped")] if element.tag == "testsuite" else []  # a total of it is in no schema
    element.set("tests", str(sum(1 for _ in element.iter("testcase"))))
    for attribute, tag in kinds:
        element.set(attribute, str(sum(1 for _ in element.iter(tag))))


def _text(text: str) -> str:
    return in_xml(plain(text))
