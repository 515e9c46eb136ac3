"""Deciding: total, the same bytes for the same inputs in whatever order, and no wherever it is not surely yes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime

import cases
import evidence
import hypothesis
import pytest
from evidence import DAY, NOW, PILOT_RULE, alarms, approval, case, first, measured, piloted, policy, rule
from hypothesis import strategies as st

from mlflow_rank.errors import UsageError
from mlflow_rank.policy import Approve, Case, Deny, decide
from mlflow_rank.policy.decision import MOST_REASONS, moment

FLOOR = rule("rank_at_least", "floor")
LOOSE = hypothesis.settings(suppress_health_check=list(hypothesis.HealthCheck), max_examples=12)


# laws


@hypothesis.settings(LOOSE, max_examples=30)
@hypothesis.given(st.data())
def test_whatever_is_presented_there_is_a_decision_that_can_be_written_down(data):
    asked = data.draw(st.lists(cases.policies(), max_size=3))
    about = data.draw(cases.cases(asked))
    now = data.draw(cases.times)

    decision = decide(asked, about, now)

    document = json.loads(decision.to_bytes())
    assert document["verdict"] == decision.verdict == ("approve" if isinstance(decision, Approve) else "deny")
    assert document["id"] == decision.id
    if isinstance(decision, Approve):
        for ruling in decision.rulings:
            assert any(each.shows_a_pilot for each in ruling.findings)
            assert ruling.formula_passes
            assert len(ruling.approvals.by) >= ruling.policy.approvals.count
            assert not ruling.approvals.rejected_by


@hypothesis.settings(LOOSE)
@hypothesis.given(st.data())
def test_no_order_of_anything_changes_a_byte(data):
    asked = data.draw(st.lists(cases.policies(), max_size=3))
    about = data.draw(cases.cases(asked))
    turned = Case(
        about.request,
        tuple(data.draw(st.permutations([*about.evidence, *about.evidence[:1]]))),
        about.champion,
        tuple(data.draw(st.permutations(about.approvals))),
        tuple(data.draw(st.permutations(about.waivers))),
    )

    again = decide(data.draw(st.permutations([*asked, *asked[:1]])), turned, NOW)

    assert again.to_bytes() == decide(asked, about, NOW).to_bytes()


@hypothesis.settings(LOOSE)
@hypothesis.given(st.data())
def test_the_order_of_rules_and_fields_in_the_text_changes_no_byte(data):
    asked = data.draw(cases.policies())
    written = asked.model_dump(mode="json", exclude_none=True)
    written["rules"] = data.draw(st.permutations(written["rules"]))
    written["decide"]["all"] = data.draw(st.permutations(written["decide"]["all"]))
    turned = {name: written[name] for name in data.draw(st.permutations(sorted(written)))}
    about = data.draw(cases.cases([asked]))

    from mlflow_rank.policy import load_policy

    read = load_policy(json.dumps(turned), named="p")

    assert decide([read], about, NOW).to_bytes() == decide([asked], about, NOW).to_bytes()


def test_one_statement_in_two_envelopes_counts_with_the_signatures_of_both():
    signed, other = measured(), measured(signers=(evidence.ANN,))
    asked = policy(PILOT_RULE, FLOOR)

    one, two = (decide([asked], case(*each, piloted()), NOW) for each in ((signed, other), (other, signed)))

    assert one.to_bytes() == two.to_bytes()
    assert one.verdict == "approve"
    [listed] = [each for each in one.document()["evidence"] if each["kind"] == "measurement"]
    assert [each["name"] for each in listed["signed_by"]] == ["ann", "svc:lab"]


def test_a_copy_without_signatures_takes_nothing_from_one_with():
    for pair in ((measured(), measured(signers=())), (measured(signers=()), measured())):
        assert decide([policy(PILOT_RULE, FLOOR)], case(*pair, piloted()), NOW).verdict == "approve"


# which policies are asked


def test_one_that_matches_and_passes_approves():
    decision = decide([policy()], case(), NOW)

    assert isinstance(decision, Approve)
    assert decision.sentence == "approved under speech-encoder r1: 1 pilot rules pass on measured scores"
    assert decision.enforced


@pytest.mark.parametrize(
    "asked",
    [[], [policy(match={"models": ["other*"]})], [policy(match={"targets": ["stage:Production"]})]],
    ids=["none", "of other models", "of other targets"],
)
def test_where_none_matches_the_answer_is_no(asked):
    decision = decide(asked, case(), NOW)

    assert isinstance(decision, Deny)
    assert decision.sentence == "denied: no policy covers encoder to alias:champion"
    assert (decision.rulings, decision.undecided, decision.enforced) == ((), False, True)


def test_all_that_match_must_pass():
    strict = policy(PILOT_RULE | {"value": 0.99}, metadata={"name": "strict"})
    elsewhere = policy(PILOT_RULE | {"value": 0.99}, match={"models": ["other"]}, metadata={"name": "elsewhere"})

    both = decide([policy(), strict], case(), NOW)

    assert both.verdict == "deny"
    assert [ruling.passes for ruling in both.rulings] == [True, False]
    assert decide([policy(), elsewhere], case(), NOW).verdict == "approve"
    assert decide([policy(), policy()], case(), NOW).to_bytes() == decide([policy()], case(), NOW).to_bytes()


def test_two_revisions_of_a_policy_are_two():
    decision = decide([policy(metadata={"revision": 2}), policy()], case(), NOW)

    assert [ruling.policy.metadata.revision for ruling in decision.rulings] == [1, 2]


@pytest.mark.parametrize(
    ("modes", "enforced"), [(["audit"], False), (["warn"], False), (["audit", "enforce"], True), (["enforce"], True)]
)
def test_it_is_enforced_where_one_of_the_policies_is(modes, enforced):
    asked = [policy(mode=mode, metadata={"name": mode}) for mode in modes]

    assert decide(asked, case(), NOW).enforced == enforced


# no evidence, no rules


def test_no_evidence_at_all_is_a_no_in_which_no_rule_ran():
    asked = policy(PILOT_RULE, FLOOR)
    decision = decide([asked], case(evidence.unreadable()), NOW)

    assert decision.verdict == "deny"
    assert decision.rulings[0].ran == 0
    assert decision.document()["policies"][0]["rules_ran"] == {"ran": 0, "of": 2}


def test_everything_waived_or_first_promoted_is_a_no():
    lenient = rule("pilot_not_worse", "not-worse", no_champion="pass")
    asked = policy(
        PILOT_RULE,
        FLOOR,
        lenient,
        waivers={"rules": ["floor"]},
        decide={
            "all": [
                {"any": ["pilot"]},
                "floor",
                "not-worse",
            ]
        },
    )
    about = first(measured(), alarms())

    decision = decide([asked], replace(about, waivers=(evidence.waiver(asked, "floor"),)), NOW)

    assert decision.verdict == "deny"
    assert not decision.rulings[0].shows_a_pilot


# undecided: exit 3, or 1


@pytest.mark.parametrize(
    ("about", "undecided"),
    [
        (case(measured(), alarms()), True),  # no pilot yet
        (case(piloted(), alarms()), True),
        (case(evidence.unreadable()), True),
        (case(measured(), piloted(evidence.pilot(evidence.with_rows({}, {"low": 0.1})))), False),
        (case(measured(evidence.measurement(change=evidence.with_rows({}, {"low": 0.1})))), False),  # and no pilot
    ],
)
def test_it_is_undecided_where_nothing_speaks_against_and_something_is_missing(about, undecided):
    decision = decide([policy(PILOT_RULE, FLOOR)], about, NOW)

    assert isinstance(decision, Deny)
    assert decision.undecided == undecided


def test_a_failure_in_a_branch_that_is_not_needed_leaves_it_undecided():
    asked = policy(
        PILOT_RULE, FLOOR, rule("no_open_alarm", "alarms"), decide={"all": ["pilot", {"any": ["floor", "alarms"]}]}
    )

    assert decide([asked], case(measured(), alarms("open")), NOW).undecided


def test_one_policy_that_fails_leaves_nothing_undecided():
    asked = [policy(), policy(PILOT_RULE | {"value": 0.99}, metadata={"name": "strict"})]

    assert not decide(asked, case(), NOW).undecided
    assert decide(asked, case(measured()), NOW).undecided


def test_rules_that_warn_decide_nothing():
    warning = rule("rank_at_least", "floor", value=15.0, severity="warn")
    decision = decide([policy(PILOT_RULE, warning)], case(), NOW)

    assert decision.verdict == "approve"
    assert [each.result for _, each in decision.findings] == ["fail", "pass"]
    assert decide([policy(PILOT_RULE, warning)], case(measured()), NOW).undecided


# the first promotion


def test_a_first_promotion_passes_or_fails_by_what_each_rule_says():
    for envelope, worse, verdict in (
        ("pass", "pass", "approve"),
        ("pass", "fail", "deny"),
        ("fail", "pass", "deny"),
        ("fail", "fail", "deny"),
    ):
        asked = policy(
            PILOT_RULE,
            rule("rank_within_envelope", no_champion=envelope),
            rule("pilot_not_worse", no_champion=worse),
        )
        decision = decide([asked], first(), NOW)
        assert decision.verdict == verdict
        said = {each.rule: each.sentence for _, each in decision.findings}
        assert f"first promotion, no champion to compare with: the policy says {worse}" in said["pilot-not-worse"]
        assert decision.document()["champion"] == {"none": "first promotion"}


# what is written down


def test_it_names_the_digests_of_policy_evidence_and_model():
    asked, about = policy(), case()
    document = decide([asked], about, NOW).document()

    assert document["policies"][0]["digest"] == asked.digest
    assert {each["digest"] for each in document["evidence"]} == {each.digest for each in about.evidence}
    assert document["request"]["digest"] == evidence.MODEL
    assert document["champion"]["digest"] == evidence.CHAMPION
    assert document["evidence_digest"] == about.evidence_digest


def test_its_id_changes_with_whatever_it_rests_on():
    asked, about = policy(), case()
    ids = {
        decide([each], of, at).id
        for each, of, at in (
            (asked, about, NOW),
            (asked, about, NOW + evidence.SECOND),
            (policy(metadata={"revision": 2}), about, NOW),
            (asked, case(measured(), piloted()), NOW),
            (asked, first(), NOW),
            (asked, case(checked=False), NOW),
            (asked, case(requester=None), NOW),
            (asked, replace(about, approvals=(approval(asked, about, evidence.ANN),)), NOW),
        )
    }

    assert len(ids) == 8
    assert decide([asked], about, NOW).id in ids


def test_a_denial_names_the_first_reasons_and_counts_the_rest():
    rules = [rule("no_open_alarm", f"alarms-{number}") for number in range(9)]
    sentence = decide([policy(PILOT_RULE, *rules)], case(measured(), piloted(), alarms("open")), NOW).sentence

    assert sentence == "denied: " + "; ".join(f"alarms-{n} fails" for n in range(MOST_REASONS)) + "; and 5 more"


def test_a_denial_names_failures_then_unknowns_then_approvals():
    asked = policy(PILOT_RULE, FLOOR, rule("no_open_alarm", "alarms"), approvals={"count": 1})

    sentence = decide([asked], case(measured(), alarms("open")), NOW).sentence

    assert sentence == "denied: alarms fails; pilot is unknown (missing_evidence); 0 of 1 approvals"


@hypothesis.settings(LOOSE)
@hypothesis.given(st.data())
def test_its_sentence_is_one_line_that_fits_a_dialog(data):
    asked = data.draw(st.lists(cases.policies(), max_size=3))
    sentence = decide(asked, data.draw(cases.cases(asked)), NOW).sentence

    assert len(sentence) <= 400
    assert "\n" not in sentence


def test_times_are_written_in_utc_to_the_second():
    assert moment(datetime.fromisoformat("2026-11-25T13:00:00.9+01:00")) == "2026-11-25T12:00:00Z"
    assert moment(datetime.fromisoformat("0007-11-25T13:00:00+00:00")) == "0007-11-25T13:00:00Z"


def test_evidence_of_another_model_is_listed_and_is_not_what_approvals_are_bound_to():
    other = measured(subjects=(evidence.digest("another"),), made_at=NOW - 2 * DAY)

    assert case(*evidence.evidence(), other).evidence_digest == case().evidence_digest
    assert len(decide([policy()], case(*evidence.evidence(), other), NOW).document()["evidence"]) == 4


@pytest.mark.parametrize("how", [{"target": "alias:Champion"}, {"target": "stage:production"}, {"target": "champion"}])
def test_a_target_that_policies_would_not_know_cannot_be_asked_for(how):
    with pytest.raises(UsageError):
        replace(case().request, **how)


def test_a_name_that_cannot_be_written_cannot_be_asked_for():
    with pytest.raises(UsageError, match="cannot be asked for"):
        replace(case().request, model="encoder\ud800")
