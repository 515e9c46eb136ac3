"""What a dialog shows of a decision that says no: short, in words, without a rule or a cause said twice."""

from __future__ import annotations

import evidence
from evidence import NOW, approval, case, piloted, policy, rule

from mlflow_rank.policy import decide
from mlflow_rank.policy.decision import Decision
from mlflow_rank.registry.gate.refusal import refused, why_refused


def denied(*statements: object, **parts: object) -> Decision:
    rules = [rule("pilot_at_least", each) for each in ("a", "b", "c", "d")]
    return decide([policy(*rules, **parts)], case(*statements), NOW)


def test_what_lacks_is_said_once_with_the_rules_that_ask_for_it() -> None:
    said = denied(evidence.measured(), approvals={"count": 2})

    assert why_refused(said) == "no evidence for a, b, c and 1 more; 0 of 2 approvals"
    assert refused(why_refused(said), said).message == (
        f"Refused: no evidence for a, b, c and 1 more; 0 of 2 approvals; decision {said.id}"
    )


def test_what_fails_comes_first_and_a_rejection_is_named() -> None:
    low = [rule("pilot_at_least", "score", value=0.999), rule("no_open_alarm", "alarm")]
    asked = policy(*low, approvals={"count": 1})
    about = case(piloted())

    assert why_refused(decide([asked], about, NOW)) == "score fails; no evidence for alarm; 0 of 1 approvals"

    no = approval(asked, about, evidence.ANN, verdict="reject")
    said = decide([asked], case(piloted(), approvals=(no,)), NOW)
    assert why_refused(said) == "score fails; no evidence for alarm; rejected by ann"


def test_what_no_policy_covers_is_said_as_the_decision_says_it() -> None:
    assert why_refused(decide([], case(), NOW)).startswith("no policy covers ")
