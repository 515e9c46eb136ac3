"""What still lacks, in sentences that name who can supply it: nobody who may not, and everybody who may."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import get_args

import cases
import evidence
import hypothesis
import pytest
from evidence import (
    ANN,
    BOB,
    DAY,
    GATE,
    NOW,
    OWNER,
    PILOT_RULE,
    alarms,
    approval,
    case,
    measured,
    measurement,
    piloted,
    policy,
    rule,
    signer,
)
from hypothesis import strategies as st

from mlflow_rank.evidence.trust import KeyHolder
from mlflow_rank.policy import Deny, UnknownChampion, decide
from mlflow_rank.policy.missing import NeedKind, missing

HOLDERS = tuple(
    KeyHolder(name, not name.startswith("svc:"), frozenset(roles))
    for name, *roles in (
        ("ann", "reviewer"), ("bob", "reviewer"), ("cid", "reviewer", "measurer"), ("dora", "reviewer"),
        ("olga", "owner"), ("svc:bot", "reviewer"), ("svc:gate", "gate"), ("svc:lab", "measurer"),
    )
)  # fmt: skip
RULES = (PILOT_RULE, rule("rank_at_least", "floor", value=8.5), rule("no_open_alarm", "calm"))
DEAF = case(measured(), alarms())  # nobody has piloted


def needs(*policies, about=None, people=HOLDERS):
    decision = decide(policies, case() if about is None else about, NOW)
    assert isinstance(decision, Deny)
    return missing(decision, people)


def only(*policies, **how):
    [need] = needs(*policies, **how)
    return need.sentence, need.who, need.kind


# evidence


def test_evidence_that_nobody_handed_in_is_named_with_its_task_and_who_signs_such():
    assert only(policy(), about=DEAF) == (
        "no pilot of the task keyword was handed in, for pilot: assess it, and hand that in", ("cid", "svc:lab"),
        "evidence",
    )  # fmt: skip


def test_what_lacks_for_several_rules_is_told_once():
    asked = policy(*(rule(kind) for kind in evidence.RULES))
    found = needs(asked, about=case(piloted(subjects=(evidence.CHAMPION,))))

    sentences = [need.sentence for need in found]
    assert len(sentences) == len(set(sentences)) < len(asked.rules) / 2
    assert any(
        "no measurement was handed in, for " in each and "rank-at-least, rank-at-most" in each for each in sentences
    )
    assert any("no statement of alarms was handed in, for no-open-alarm" in each for each in sentences)
    assert any("it is about " in each and "assess the very files" in each for each in sentences)


def test_a_rule_that_may_be_waived_says_by_whom():
    asked = policy(*RULES, waivers={"rules": ["calm"]})
    sentences = {need.sentence for need in needs(asked, about=case(measured(), piloted()))}

    assert (
        "no statement of alarms was handed in, for calm: assess it, and hand that in; or have calm waived by olga"
    ) in sentences


def test_a_failure_that_may_be_waived_is_for_those_who_may():
    asked = policy(*RULES, waivers={"rules": ["floor"]})
    [need] = needs(asked)

    assert (need.kind, need.who) == ("waiver", ("olga",))
    assert need.sentence.startswith("floor fails: Layer 0: lower bound of effective_rank (frame, centred) is 8.1; ")
    assert need.sentence.endswith("; or have it waived by olga")


def test_a_waiver_that_was_given_for_nothing_is_told_with_its_reason():
    asked = policy(*RULES, waivers={"rules": ["floor"]})
    given = evidence.waiver(asked, "floor", OWNER, expires_at=NOW)
    [need] = needs(asked, about=replace(case(), waivers=(given,)))

    assert need.sentence.endswith(
        "or have it waived by olga (the waiver that was handed in does not count: it has expired)"
    )


def test_what_fails_for_what_the_model_is_nobody_can_supply():
    asked = policy(rule("pilot_at_least", "pilot", value=0.99))
    [need] = needs(asked)

    assert (need.kind, need.who) == ("evidence", ())
    assert need.sentence.startswith("pilot fails: ")


def test_what_fails_for_how_it_was_assessed_can_be_assessed_again():
    asked = policy(PILOT_RULE, rule("dtype_float32", "exact"))
    found = only(asked, about=case(measured(measurement(dtype="float16")), piloted()))

    assert found == (
        "exact fails: the encoder ran in float16 for the measurement; assess again in float32", ("cid", "svc:lab"),
        "evidence",
    )  # fmt: skip


def test_a_rule_that_guessing_passes_is_for_the_policy_s_owners():
    asked = policy(rule("pilot_at_least", "pilot", value=0.01))

    _, who, kind = only(asked)

    assert (who, kind) == (("speech@lab",), "policy")


def test_what_whoever_decides_must_look_up_is_nobody_else_s():
    asked = policy(PILOT_RULE, rule("rank_within_envelope", "like"))

    _, who, kind = only(asked, about=case(champion=UnknownChampion()))

    assert (who, kind) == ((), "evidence")


def test_of_alternatives_the_nearest_is_told():
    asked = policy(*RULES, decide={"any": [{"all": ["pilot", "floor"]}, {"all": ["pilot", "calm"]}]})
    found = needs(asked, about=case(measured(), piloted()))

    assert [need.sentence.partition(", for ")[2].partition(":")[0] for need in found] == ["calm"]


def test_warnings_lack_nothing():
    asked = policy(PILOT_RULE, rule("no_open_alarm", "calm", severity="warn"), approvals={"count": 1})

    assert [need.kind for need in needs(asked, about=case(measured(), piloted()))] == ["approval"]


def test_what_no_policy_covers_lacks_a_policy():
    assert only(about=case()) == (
        "no policy covers encoder to alias:champion; what no policy covers is denied", (), "policy",
    )  # fmt: skip


# approvals

TWO = policy(approvals={"count": 2})


def test_those_who_may_approve_are_named_and_nobody_else():
    about = case(measured(), piloted(signers=(signer("cid", "measurer"),)), requester="Dora")
    about = replace(about, approvals=(approval(TWO, about, ANN),))

    assert only(TWO, about=about) == ("1 of 2 approvals; bob can give it", ("bob",), "approval")


def test_the_author_is_not_named_where_the_policy_bars_them():
    asked = policy(metadata={"author": "Bob"}, approvals={"count": 1, "not_by": ["policy_author"]})

    assert only(asked)[:2] == ("0 of 1 approvals; ann, cid or dora can give it", ("ann", "cid", "dora"))


@pytest.mark.parametrize(
    ("people", "said"),
    [
        (HOLDERS[1:2], "bob can give them, which are not enough: the trust file must name another reviewer"),
        ((), "nobody with a key as reviewer who has not spoken yet can give them: trust another reviewer"),
    ],
)
def test_it_is_said_where_not_enough_people_are_left(people, said):
    sentence, who, _ = only(TWO, people=people)

    assert sentence == f"0 of 2 approvals; {said}"
    assert who == tuple(each.name for each in people)


def test_users_without_keys_are_told_of_where_the_policy_takes_their_word():
    asked = policy(approvals={"count": 2, "witnessed": True})

    assert only(asked, people=HOLDERS[:2])[0] == (
        "0 of 2 approvals; ann, bob or any other user of the server without a key can give them"
    )
    assert only(asked, people=())[0] == "0 of 2 approvals; any other user of the server without a key can give them"


def test_approvals_that_were_given_for_nothing_are_told_with_their_reasons():
    about = case()
    gone = signer("ann", "reviewer", ended=NOW - DAY)
    given = (
        approval(TWO, about, gone),
        approval(TWO, about, BOB, evidence=evidence.digest("less")),
        approval(TWO, about, GATE, witnessed="zoe"),
    )

    sentence, who, _ = only(TWO, about=replace(about, approvals=given), people=HOLDERS[1:])

    assert who == ("bob", "cid", "dora")
    assert "that of bob does not count: it was given on other evidence" in sentence
    assert "that of ann does not count: the key of ann was revoked or ran out at 2026-11-24T12:00:00Z" in sentence
    assert "that of zoe does not count: the policy takes no approval without a key" in sentence


@pytest.mark.parametrize(
    ("expires", "until"), [(NOW + DAY, "2026-11-26T12:00:00Z"), (NOW + 90 * DAY, "2026-12-09T11:00:00Z")]
)
def test_a_rejection_says_whose_it_is_and_until_when_it_holds(expires, until):
    asked, about = policy(), case()
    given = approval(asked, about, ANN, verdict="reject", expires_at=expires)
    stale = approval(asked, about, ANN, verdict="reject", expires_at=NOW)

    assert only(asked, about=replace(about, approvals=(given, stale))) == (
        f"ann rejected it, and no approval outweighs that until {until}", ("ann",), "rejection",
    )  # fmt: skip


def test_whoever_rejected_is_not_asked_to_approve():
    about = case()
    given = (approval(TWO, about, ANN, verdict="reject"), approval(TWO, about, BOB))

    rejection, approvals = needs(TWO, about=replace(about, approvals=given))

    assert (rejection.kind, rejection.who) == ("rejection", ("ann",))
    assert approvals.who == ("cid", "dora")


# all of it


def test_of_several_policies_each_says_its_own():
    other = policy(metadata={"name": "other"}, approvals={"count": 1, "signed_by": ["owner"]})

    assert [(need.sentence, need.who) for need in needs(TWO, other)] == [
        ("under other: 0 of 1 approvals; olga can give it", ("olga",)),
        ("under speech-encoder: 0 of 2 approvals; ann, bob, cid or dora can give them", ("ann", "bob", "cid", "dora")),
    ]


def test_it_is_told_in_the_order_in_which_it_is_best_supplied():
    asked = policy(*RULES, waivers={"rules": ["floor"]}, approvals={"count": 1})
    about = case(measured(), alarms())
    given = approval(asked, about, ANN, verdict="reject")

    assert [need.kind for need in needs(asked, about=replace(about, approvals=(given,)))] == [
        "evidence", "waiver", "rejection", "approval",
    ]  # fmt: skip


@hypothesis.settings(suppress_health_check=list(hypothesis.HealthCheck), max_examples=30)
@hypothesis.given(st.data())
def test_whatever_is_denied_lacks_something_and_what_is_told_is_the_same_each_time(data):
    asked = [data.draw(cases.policies()) for _ in range(data.draw(st.integers(1, 2)))]
    decision = decide(asked, data.draw(cases.cases(asked)), NOW)
    hypothesis.assume(isinstance(decision, Deny))

    found = missing(decision, HOLDERS)

    assert found
    assert found == missing(decide(asked[::-1], decision.case, NOW), HOLDERS[::-1])
    for need in found:
        assert need.kind in get_args(NeedKind)
        assert set(need.who) <= {each.name for each in HOLDERS} | {"speech@lab"} or need.kind == "rejection"
        assert need.sentence
        assert not need.sentence.endswith(".")
        assert "\n" not in need.sentence
        assert json.loads(json.dumps(need.document())) == need.document()


def test_without_a_pilot_that_ran_a_pilot_lacks_whatever_the_formula_says():
    decision = decide([policy()], case(), NOW)
    [ruling] = decision.rulings
    unproven = Deny(decision.case, (replace(ruling, findings=()),), NOW)

    [need] = missing(unproven, HOLDERS)

    assert need.sentence == "no pilot passed on a measured score, and nothing is approved without one"
    assert (need.who, need.kind) == (("cid", "svc:lab"), "evidence")
