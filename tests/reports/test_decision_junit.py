from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import junitparser
import pytest
from evidence import EVE, NOW, approval, policy, rule, unreadable
from evidence import case as case_of

from mlflow_rank.policy import decide
from mlflow_rank.reports.decision_junit import decision_junit

# what Jenkins' junit-10.xsd and Surefire's surefire-test-report.xsd both allow of what is written here
ALLOWED = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": ({"name", "time", "tests", "failures", "errors", "skipped"}, {"properties", "testcase"}),
    "properties": (set(), {"property"}),
    "property": ({"name", "value"}, set()),
    "testcase": ({"classname", "name", "time"}, {"failure", "error", "skipped"}),
    "failure": ({"message", "type"}, set()),
    "error": ({"message", "type"}, set()),
    "skipped": ({"message"}, set()),
}


def outcomes(decided: Any) -> dict[str, str]:
    """Each test case that does not pass, with what came of it, as junitparser reads them."""
    text = decision_junit(decided)
    hold_to_schema(ElementTree.fromstring(text))
    read = junitparser.JUnitXml.fromstring(text.encode())
    return {case.name: type(result).__name__ for suite in read for case in suite for result in case.result}


def hold_to_schema(element: ElementTree.Element) -> None:
    attributes, children = ALLOWED[element.tag]
    assert element.attrib.keys() <= attributes
    assert {child.tag for child in element} <= children
    for child in element:
        hold_to_schema(child)
    if element.tag in ("testsuites", "testsuite"):
        counted = {
            name: sum(1 for _ in element.iter(tag)) for name, tag in (("tests", "testcase"), ("errors", "error"))
        }
        assert {name: int(element.attrib[name]) for name in counted} == counted
        assert int(element.attrib["failures"]) == sum(1 for _ in element.iter("failure"))
    if element.tag == "testsuite":
        assert int(element.attrib["skipped"]) == sum(1 for _ in element.iter("skipped"))
    assert element.attrib.get("time", "0") == "0"


def test_an_approval_has_a_suite_of_rules_and_approvals_that_pass(decisions: Any) -> None:
    decision = decisions.made()
    assert outcomes(decision) == {"utterance-rank": "Skipped"}
    root = ElementTree.fromstring(decision_junit(decision))
    (suite,) = root
    assert suite.get("name") == "speech-encoder"
    assert int(suite.get("tests", "")) == 13 + 1
    said = {each.get("name"): each.get("value") for each in suite.iter("property")}
    assert said["decision"] == f"{decision.id}, 2026-11-25 12:00 UTC"
    assert said["rules that ran"] == "13 of 13"


def test_a_failure_is_a_failure_and_a_missing_approval_an_error(decisions: Any) -> None:
    decision = decisions.denied()
    assert outcomes(decision) == {
        "keyword-floor": "Failure",
        "rank-not-collapsed": "Failure",
        "utterance-rank": "Skipped",
        "approvals": "Error",
    }
    failure = ElementTree.fromstring(decision_junit(decision)).find(".//failure")
    assert failure is not None
    assert str(failure.get("message")).startswith("the pilot's layer: lower bound of keyword balanced_accuracy")
    assert str(failure.text).startswith("Next: the estimate itself would pass")


def test_an_unknown_is_an_error(decisions: Any) -> None:
    assert outcomes(decisions.undecided()) == {
        "alarms-closed": "Error",
        "audio-enough": "Error",
        "rank-not-collapsed": "Error",
        "utterance-rank": "Skipped",
    }


def test_waived_and_warned_and_unneeded_rules_are_skipped_with_the_reason(decisions: Any) -> None:
    decision = decisions.made(decisions.policy(rank=41.0), waived=True)
    assert outcomes(decision)["rank-not-collapsed"] == "Skipped"
    messages = [str(each.get("message")) for each in ElementTree.fromstring(decision_junit(decision)).iter("skipped")]
    assert messages[0].startswith("waived by olga until")
    assert messages[1].startswith("warning, fail: Layer 3")
    strict = rule("pilot_at_least", "strict", value=0.99)
    either = policy(rule("pilot_at_least", "lenient"), strict, decide={"any": ["lenient", "strict"]})
    decision = decide([either], case_of(), NOW)
    assert outcomes(decision) == {"strict": "Skipped"}
    assert 'message="fail, but the policy passes another way: ' in decision_junit(decision)


def test_a_rejection_is_a_failure(decisions: Any) -> None:
    asked = policy(rule("pilot_at_least", "pilot"))
    rejected = case_of(approvals=[approval(asked, case_of(), EVE, verdict="reject")])
    assert outcomes(decide([asked], rejected, NOW)) == {"approvals": "Failure"}


def test_without_a_policy_there_is_a_failure_rather_than_no_test(decisions: Any) -> None:
    decision = decide([], decisions.case(), NOW)
    assert outcomes(decision) == {"a-policy-matches": "Failure"}


def test_a_watch_has_no_approvals(decisions: Any) -> None:
    assert outcomes(decisions.watched()) == {}
    assert outcomes(decisions.watched(ratio=1.5)) == {"mean-share": "Failure"}
    assert set(outcomes(decisions.watched(unreadable())).values()) == {"Error"}
    assert "approvals" not in decision_junit(decisions.watched())


def test_each_policy_has_a_suite(decisions: Any) -> None:
    root = ElementTree.fromstring(decision_junit(decisions.made(decisions.policy(), decisions.policy(floor=0.85))))
    assert len({suite.get("name") for suite in root}) == 2


@pytest.mark.parametrize("name", ["a\x00b\x0b\ufffe", 'x" ]]> <failure/> &', "\U0001f600\u202e"])
def test_any_name_gives_xml_that_can_be_read(decisions: Any, name: str) -> None:
    about = decisions.case(*decisions.evidence(group=name), model=name)
    text = decision_junit(decide([policy(rule("worst_group_at_least", "it", value=0.99))], about, NOW))
    root = ElementTree.fromstring(text)
    hold_to_schema(root)
    assert len(list(root.iter("failure"))) == 1


def test_the_same_decision_gives_the_same_bytes(decisions: Any) -> None:
    shown = decisions.evidence()
    one, other = (decisions.made(about=decisions.case(*each)) for each in (shown, reversed(shown)))
    assert decision_junit(one) == decision_junit(other)
