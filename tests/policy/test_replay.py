"""Recorded decisions, decided again: the same by the same policy, and by another one with what flips."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import evidence
import hypothesis
import pytest
from evidence import ANN, NOW, alarms, case, digest, first, measured, measurement, piloted, policy, rule, with_rows
from exemptions import exemption
from hypothesis import strategies as st

from mlflow_rank.errors import EvidenceError
from mlflow_rank.policy import Case, UnknownChampion, decide
from mlflow_rank.policy.replay import recorded, replay

FLOOR = rule("rank_at_least", "floor")
POLICY = policy(evidence.PILOT_RULE, FLOOR)
COLLAPSED = measured(measurement(change=with_rows({"metric": "effective_rank"}, {"low": 1.0})))


def full(policy) -> Case:
    """A case with something of everything."""
    whole = case(*evidence.evidence(), piloted(subjects=(digest("another"),)), requester="dana")
    given = evidence.approval(policy, whole, ANN)
    return replace(whole, approvals=(given,), waivers=(evidence.waiver(policy, "floor"),))


CASES = {
    "with everything": full(POLICY),
    "first promotion": first(),
    "champion unknown": replace(case(), champion=UnknownChampion()),
    "no evidence": case(measured()),
    "unreadable": case(*evidence.evidence(), evidence.unreadable()),
    "not checked": case(checked=False, requester=None),
}


def pool(of: Case) -> dict:
    theirs = getattr(of.champion, "evidence", ())
    return {each.digest: each for each in (*of.evidence, *of.approvals, *of.waivers, *theirs)}


def as_written(decision) -> dict:
    """The document, as it comes back from a file."""
    return json.loads(decision.to_bytes())


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("by", [POLICY, policy(evidence.PILOT_RULE, FLOOR, approvals={"count": 1})])
def test_under_the_same_policy_the_same_bytes_come_out(name, by):
    decision = decide([by], CASES[name], NOW)

    found = recorded(as_written(decision), pool(CASES[name]))
    (again,) = replay([by], [found])

    assert found.missing == ()
    assert not again.flips
    assert again.decision.to_bytes() == decision.to_bytes()


@hypothesis.given(
    st.lists(st.sampled_from([*evidence.evidence(), COLLAPSED, alarms("open")]), min_size=1, unique_by=id),
    st.booleans(),
    st.timedeltas(timedelta(0), timedelta(days=60)),
)
def test_whatever_was_decided_is_decided_again_at_its_own_time(statements, checked, later):
    about = case(*statements, checked=checked)
    decision = decide([POLICY], about, (NOW + later).replace(microsecond=0))

    (again,) = replay([POLICY], [recorded(as_written(decision), pool(about))])

    assert again.decision.to_bytes() == decision.to_bytes()


def test_another_policy_flips_what_it_would_have_decided_otherwise():
    good, bad = case(), case(COLLAPSED, piloted())
    decisions = [decide([POLICY], about, NOW) for about in (good, bad)]
    found = [recorded(as_written(each), pool(about)) for each, about in zip(decisions, (good, bad), strict=True)]

    lenient = replay([policy(evidence.PILOT_RULE, metadata={"revision": 2})], found)
    strict = replay([policy(rule("pilot_at_least", "pilot", value=0.99))], found)

    assert [(each.recorded.verdict, each.decision.verdict) for each in lenient if each.flips] == [("deny", "approve")]
    assert [(each.recorded.verdict, each.decision.verdict) for each in strict if each.flips] == [("approve", "deny")]


def test_no_policy_that_matches_flips_every_approval():
    about = case()
    found = recorded(as_written(decide([POLICY], about, NOW)), pool(about))

    (again,) = replay([], [found])

    assert again.flips


def test_where_nobody_would_be_asked_the_verdict_flips_and_says_so():
    about = case(target="alias:candidate")
    found = recorded(as_written(decide([POLICY], about, NOW)), pool(about))
    ungating = policy(evidence.PILOT_RULE, FLOOR, match={"ungated_aliases": ["candidate"]})
    exempting, other = exemption("enc*"), policy(match={"models": ["other"]}, metadata={"name": "other"})

    (ungated,), (exempt,) = replay([ungating], [found]), replay([exempting, other], [found])
    (asked,), (later,) = replay([POLICY, exempting], [found]), (each.under([exempting]) for each in replay([], [found]))

    assert [(each.would_be, each.flips) for each in (ungated, exempt, asked)] == [
        ("ungated", True), ("exempt", True), ("approve", False),
    ]  # fmt: skip
    assert ungated.because == "Policy speech-encoder leaves alias:candidate of encoder ungated."
    assert exempt.because == later.because == "encoder is exempt by the exemption not-speech."
    assert asked.because == asked.decision.sentence


def test_evidence_that_is_not_at_hand_is_named():
    about = CASES["with everything"]
    whole = pool(about)
    document = as_written(decide([POLICY], about, NOW))

    assert recorded(document, whole).missing == ()
    assert recorded(document, {}).missing == tuple(sorted(whole))
    for lost in whole:
        found = recorded(document, {name: each for name, each in whole.items() if name != lost})
        assert found.missing == (lost,)


def test_decisions_come_in_order_of_time_whatever_order_they_are_in():
    moments = [NOW + timedelta(hours=hours) for hours in (3, 1, 2)]
    found = [recorded(as_written(decide([POLICY], case(), moment)), pool(case())) for moment in moments]

    assert [each.recorded.at for each in replay([POLICY], found)] == sorted(moments)
    assert replay([POLICY], found) == replay([POLICY], found[::-1])


def without(document: dict, name: str) -> dict:
    return {key: value for key, value in document.items() if key != name}


def test_a_document_without_one_of_its_parts_is_no_decision():
    document = as_written(decide([POLICY], case(), NOW))

    for name in ("id", "verdict", "decided_at", "request", "champion", "evidence", "approvals", "waivers"):
        with pytest.raises(EvidenceError):
            recorded(without(document, name), {})


@pytest.mark.parametrize(
    "changed",
    [
        {"request": None}, {"request": {}}, {"champion": {}}, {"champion": {"digest": "x"}}, {"evidence": [1]},
        {"evidence": "all"}, {"approvals": [{}]}, {"decided_at": "2026-11-25"}, {"decided_at": "2026-11-25T12:00:00"},
        {"decided_at": None}, {"waivers": None},
    ],
)  # fmt: skip
def test_a_part_of_another_form_makes_it_none(changed):
    document = as_written(decide([POLICY], case(), NOW)) | changed

    with pytest.raises(EvidenceError):
        recorded(document, {})
