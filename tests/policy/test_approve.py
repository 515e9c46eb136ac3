"""The second lock: an `Approve` is no value that could be made without a pilot that passed on a measured score."""

from __future__ import annotations

import copy
from dataclasses import replace

import evidence
import pytest
from evidence import NOW, PILOT_RULE, case, first, policy, rule

from mlflow_rank.policy import Approve, Deny, UnknownChampion, decide
from mlflow_rank.policy.decide import rule_on
from mlflow_rank.policy.decision import NotProvenError, Ruling
from mlflow_rank.policy.outcomes import Finding

RULES = (PILOT_RULE, rule("rank_at_least"), rule("no_open_alarm"))


@pytest.fixture
def approved() -> Approve:
    decision = decide([policy(*RULES)], case(), NOW)
    assert isinstance(decision, Approve)
    return decision


def with_finding(decision: Approve, **changed) -> tuple[Ruling, ...]:
    """The rulings, with the one pilot finding changed, and the formula said to pass."""
    [ruling] = decision.rulings
    findings = tuple(replace(each, **changed) if each.rule == "pilot" else each for each in ruling.findings)
    return (replace(ruling, findings=findings, formula_passes=True),)


def test_an_approval_can_be_made_again_of_its_parts(approved):
    assert Approve(approved.case, approved.rulings, approved.at) == approved
    assert replace(approved, at=NOW) == approved
    assert copy.deepcopy(approved) == approved


def test_no_policy_approves_nothing(approved):
    with pytest.raises(NotProvenError, match="no policy was asked"):
        Approve(case(), (), NOW)
    with pytest.raises(NotProvenError, match="no policy was asked"):
        replace(approved, rulings=())


@pytest.mark.parametrize(
    "changed",
    [
        {"result": "fail"},
        {"result": "unknown"},
        {"result": "waived", "underlying": "pass"},
        {"result": "waived", "underlying": "fail"},
        {"severity": "warn"},
        {"observed": None},  # as where nothing is compared at a first promotion
        {"proves": False},
    ],
)
def test_no_pilot_that_passed_on_a_measured_score_and_blocks_approves_nothing(approved, changed):
    with pytest.raises(NotProvenError, match="policy speech-encoder does not pass"):
        replace(approved, rulings=with_finding(approved, **changed))
    with pytest.raises(NotProvenError):
        Approve(approved.case, with_finding(approved, **changed), NOW)


def test_a_formula_that_fails_or_missing_approvals_approve_nothing(approved):
    [ruling] = approved.rulings
    for changed in (
        {"formula_passes": False},
        {"findings": ()},
        {"approvals": replace(ruling.approvals, needed=1)},
        {"approvals": replace(ruling.approvals, rejected_by=("bob",))},
    ):
        with pytest.raises(NotProvenError):
            replace(approved, rulings=(replace(ruling, **changed),))


def test_one_policy_without_a_pilot_is_enough_to_approve_nothing(approved):
    with pytest.raises(NotProvenError):
        replace(approved, rulings=(*approved.rulings, *with_finding(approved, result="unknown")))
    with pytest.raises(NotProvenError):
        replace(approved, rulings=(*with_finding(approved, observed=None), *approved.rulings))


def test_an_approval_cannot_be_changed_or_made_of_a_denial(approved):
    with pytest.raises(AttributeError):
        approved.rulings = ()
    with pytest.raises(AttributeError):
        approved.rulings[0].findings[0].result = "pass"
    denied = decide([], case(), NOW)
    with pytest.raises((AttributeError, TypeError)):  # which of them differs with the version of Python
        denied.verdict = "approve"
    assert isinstance(replace(denied, at=NOW), Deny)


def test_a_ruling_without_findings_ran_no_rules_and_passes_nothing(approved):
    [ruling] = approved.rulings
    empty = replace(ruling, findings=(), formula_passes=True)

    assert (empty.ran, empty.passes, empty.shows_a_pilot) == (0, False, False)


@pytest.mark.parametrize("result", ["pass", "fail", "unknown", "waived"])
@pytest.mark.parametrize("kind", evidence.RULES)
def test_only_a_pilot_rule_shows_a_pilot(kind, result):
    measured = rule_on(policy(rule(kind), rule("pilot_at_least", "another")), case(), NOW)
    finding: Finding = next(each for each in measured.findings if each.rule == rule(kind)["id"])
    proving = kind.startswith(("pilot_", "worst_group")) and kind != "pilot_size_at_least"
    seen = replace(finding, result=result, observed=finding.observed or evidence_of(kind))

    assert seen.shows_a_pilot == (proving and result == "pass")


def evidence_of(kind: str):
    from mlflow_rank.policy.outcomes import Observation

    return Observation(0.7)


def test_a_first_promotion_that_compares_with_nobody_is_no_pilot():
    lenient = rule("pilot_not_worse", "not-worse", no_champion="pass")
    asked = policy(PILOT_RULE, lenient, decide={"all": ["pilot", "not-worse"]})

    ruling = rule_on(asked, first(), NOW)

    assert [each.rule for each in ruling.findings if each.shows_a_pilot] == ["pilot"]
    only = tuple(each for each in ruling.findings if each.rule == "not-worse")
    with pytest.raises(NotProvenError):
        Approve(first(), (replace(ruling, findings=only, formula_passes=True),), NOW)


@pytest.mark.parametrize("champion", [None, UnknownChampion()])
def test_good_ranks_alone_are_denied_whatever_is_waived(champion):
    asked = policy(*RULES, waivers={"rules": ["rank-at-least", "no-open-alarm"]})
    about = case(evidence.measured(), evidence.alarms(), champion=champion)
    waivers = [evidence.waiver(asked, each) for each in ("rank-at-least", "no-open-alarm", "pilot")]

    assert isinstance(decide([asked], replace(about, waivers=tuple(waivers)), NOW), Deny)
