"""Approvals: enough people, each another with another key, who have a say and said it about this very promotion."""

from __future__ import annotations

from dataclasses import replace

import evidence
import pytest
from evidence import (
    ANN,
    BOB,
    DAY,
    EVE,
    GATE,
    HOUR,
    LAB,
    NOW,
    SECOND,
    approval,
    case,
    digest,
    measured,
    piloted,
    policy,
    signer,
)

from mlflow_rank.errors import EvidenceError
from mlflow_rank.policy import decide
from mlflow_rank.policy.approvals import count_approvals

ASKED = policy(approvals={"count": 2})
CASE = case()


def counted(*approvals, about=CASE, asked=ASKED, now=NOW):
    return count_approvals(asked, replace(about, approvals=tuple(approvals)), now)


def set_aside(*approvals, **how) -> list[str]:
    found = counted(*approvals, **how)
    assert found.by == ()
    assert not found.enough
    return [why for _, why in found.set_aside]


def test_two_people_are_two():
    found = counted(approval(ASKED, CASE, ANN), approval(ASKED, CASE, BOB, comment="fine"))

    assert (found.by, found.enough, found.set_aside) == (("ann", "bob"), True, ())


def test_two_signatures_on_one_approval_are_two_people():
    assert counted(approval(ASKED, CASE, ANN, BOB)).by == ("ann", "bob")


def test_one_approval_signed_in_two_files_is_of_both_people():
    assert counted(approval(ASKED, CASE, ANN), approval(ASKED, CASE, BOB)).by == ("ann", "bob")


@pytest.mark.parametrize(
    "another",
    [
        approval(ASKED, CASE, ANN, comment="again"),
        approval(ASKED, CASE, signer("ann", "reviewer", key="ed25519:anns-second-key"), comment="again"),
        approval(ASKED, CASE, signer("bob", "reviewer", key=ANN.key_id), comment="with her key"),
    ],
    ids=["the same again", "one person with two keys", "two names for one key"],
)
def test_one_person_or_one_key_is_one(another):
    found = counted(approval(ASKED, CASE, ANN), another)

    assert found.by == ("ann",)
    assert not found.enough


def test_whoever_asks_does_not_approve():
    mine = case(requester="ann")

    assert set_aside(approval(ASKED, mine, ANN), about=mine) == ["ann asked for the promotion or signed the evidence"]
    shouted = case(requester="Ann")
    assert set_aside(approval(ASKED, shouted, ANN), about=shouted) == [
        "ann asked for the promotion or signed the evidence"
    ]


@pytest.mark.parametrize("by", [signer("ann", "measurer"), signer("dan", "measurer", key=ANN.key_id)])
def test_whoever_signed_the_evidence_does_not_approve(by):
    mine = case(measured(), piloted(signers=(LAB, by)))

    assert set_aside(approval(ASKED, mine, ANN), about=mine) == ["ann asked for the promotion or signed the evidence"]


def test_services_do_not_approve():
    bot = signer("svc:bot", "reviewer", person=False)

    assert set_aside(approval(ASKED, CASE, bot)) == ["svc:bot is a service; approvals are people's"]


def test_people_without_the_role_do_not_approve():
    assert "signed by olga: owner; one of reviewer is needed" in set_aside(approval(ASKED, CASE, evidence.OWNER))
    assert counted(approval(policy(approvals={"count": 1, "signed_by": ["owner"]}), CASE, evidence.OWNER)).by == ()
    owners = policy(approvals={"count": 1, "signed_by": ["owner"]})
    assert counted(approval(owners, CASE, evidence.OWNER), asked=owners).enough


@pytest.mark.parametrize("mode", ["audit", "warn", "enforce"])
def test_unsigned_approvals_count_in_no_mode(mode):
    asked = policy(approvals={"count": 1}, mode=mode)

    assert set_aside(approval(asked, CASE), asked=asked) == ["it carries no signature"]


OTHER_FILES = digest("another version")
REPLAYED = [
    ("it is about other bytes", approval(ASKED, CASE, ANN, subjects=(OTHER_FILES,))),
    ("it is for another to alias:champion", approval(ASKED, CASE, ANN, model="another")),
    ("it is for version 6", approval(ASKED, CASE, ANN, version="6")),
    ("it is for encoder to stage:Production", approval(ASKED, CASE, ANN, target="stage:Production")),
    ("it was given under another policy or revision", approval(policy(metadata={"revision": 2}), CASE, ANN)),
    ("it was given under another policy or revision", approval(ASKED, CASE, ANN, policies=[])),
    ("it was given on other evidence", approval(ASKED, case(measured()), ANN)),
    ("it was given on other evidence", approval(ASKED, CASE, ANN, evidence=OTHER_FILES)),
    ("it is no approval", measured()),
    ("it is no approval", evidence.waiver(ASKED, "pilot", ANN)),
    ("it is no JSON that we accept", evidence.unreadable()),
]  # fmt: skip


@pytest.mark.parametrize(("why", "replayed"), REPLAYED)
def test_an_approval_of_something_else_is_set_aside_with_the_reason(why, replayed):
    assert set_aside(replayed) == [why]


def test_an_approval_that_names_its_version_counts_for_that_one():
    assert counted(approval(ASKED, CASE, ANN, version="7")).by == ("ann",)


def test_a_rejection_holds_for_every_version_of_the_same_bytes():
    assert counted(approval(ASKED, CASE, EVE, verdict="reject", version="6")).rejected_by == ("eve",)


def test_an_approval_may_name_several_policies():
    assert counted(approval(ASKED, CASE, ANN, policies=[OTHER_FILES, ASKED.digest])).by == ("ann",)


@pytest.mark.parametrize(
    ("made", "expires", "counts"),
    [
        (NOW - HOUR, NOW + SECOND, True),
        (NOW - HOUR, NOW, False),
        (NOW - HOUR, NOW - SECOND, False),
        (NOW - 14 * DAY, NOW + DAY, True),
        (NOW - 14 * DAY - SECOND, NOW + DAY, False),  # the policy's 14 days, whatever it says itself
        (NOW + 300 * SECOND, NOW + DAY, True),
        (NOW + 301 * SECOND, NOW + DAY, False),
    ],
)
def test_an_approval_expires_to_the_second(made, expires, counts):
    found = counted(approval(ASKED, CASE, ANN, made_at=made, expires_at=expires))

    assert found.by == (("ann",) if counts else ())
    if not counts:
        [(_, why)] = found.set_aside
        assert "expired" in why or "yet to come" in why


def test_a_rejection_is_a_veto():
    found = counted(*(approval(ASKED, CASE, each) for each in (ANN, BOB)), approval(ASKED, CASE, EVE, verdict="reject"))

    assert (found.by, found.rejected_by, found.enough) == (("ann", "bob"), ("eve",), False)
    assert not counted(approval(policy(), CASE, EVE, verdict="reject"), asked=policy()).enough  # none was needed


def test_nobody_gets_rid_of_a_rejection_by_more_evidence_or_another_policy():
    given = approval(
        ASKED, CASE, EVE, verdict="reject", evidence=evidence.digest("less"), policies=[evidence.digest("p")]
    )

    assert counted(given).rejected_by == ("eve",)


def test_who_approves_and_rejects_has_rejected():
    both = counted(approval(ASKED, CASE, ANN), approval(ASKED, CASE, ANN, verdict="reject"))

    assert (both.by, both.rejected_by) == ((), ("ann",))


@pytest.mark.parametrize(
    "rejection",
    [
        approval(ASKED, CASE, EVE, verdict="reject", expires_at=NOW),
        approval(ASKED, CASE, evidence.OWNER, verdict="reject"),
        approval(ASKED, CASE, signer("svc:bot", "reviewer", person=False), verdict="reject"),
        approval(ASKED, CASE, EVE, verdict="reject", model="another"),
    ],
)
def test_a_rejection_counts_under_the_terms_of_an_approval(rejection):
    assert counted(approval(ASKED, CASE, ANN), approval(ASKED, CASE, BOB, comment="ok"), rejection).enough


def test_missing_approvals_leave_it_undecided_and_a_rejection_does_not():
    without = decide([ASKED], CASE, NOW)
    given = approval(ASKED, CASE, ANN), approval(ASKED, CASE, BOB, comment="ok")

    assert (without.verdict, without.undecided, without.sentence) == ("deny", True, "denied: 0 of 2 approvals")
    assert decide([ASKED], replace(CASE, approvals=given), NOW).verdict == "approve"
    vetoed = replace(CASE, approvals=(*given, approval(ASKED, CASE, EVE, verdict="reject")))
    denied = decide([ASKED], vetoed, NOW)
    assert (denied.verdict, denied.undecided, denied.sentence) == ("deny", False, "denied: rejected by eve")


def test_one_more_statement_asks_for_approval_again():
    given = approval(ASKED, CASE, ANN, BOB)
    more = case(*evidence.evidence(), measured(made_at=NOW - 2 * DAY))

    assert set_aside(given, about=more) == ["it was given on other evidence"]


def test_statements_about_other_models_do_not():
    given = approval(ASKED, CASE, ANN, BOB)
    more = case(*evidence.evidence(), measured(subjects=(OTHER_FILES,)))

    assert counted(given, about=more).enough


# whose approval a policy bars

MINE = case(requester="ann")
AUTHORED = {"author": "Ann"}


@pytest.mark.parametrize(
    ("not_by", "about", "why"),
    [
        (["requester"], MINE, "ann asked for the promotion"),
        (["evidence_signer"], case(measured(signers=(LAB, signer("ann", "measurer", key="k")))),
         "ann signed the evidence"),
        (["policy_author"], CASE, "ann wrote the policy"),
        (["policy_author", "requester"], MINE, "ann asked for the promotion"),
    ],
)  # fmt: skip
def test_a_policy_says_whose_approval_does_not_count(not_by, about, why):
    asked = policy(metadata=AUTHORED, approvals={"count": 1, "not_by": not_by})

    assert set_aside(approval(asked, about, ANN), about=about, asked=asked) == [why]
    assert counted(approval(asked, about, BOB), about=about, asked=asked).enough


@pytest.mark.parametrize("not_by", [[], ["policy_author"], ["evidence_signer"]])
def test_whoever_asks_may_approve_where_the_policy_says_so(not_by):
    asked = policy(metadata={"author": "olga"}, approvals={"count": 1, "not_by": not_by})

    assert counted(approval(asked, MINE, ANN), about=MINE, asked=asked).by == ("ann",)


def test_the_author_may_approve_where_the_policy_does_not_say_otherwise():
    asked = policy(metadata=AUTHORED, approvals={"count": 1})

    assert counted(approval(asked, CASE, ANN), asked=asked).enough


def test_services_do_not_approve_whatever_the_policy_bars():
    asked = policy(approvals={"count": 1, "not_by": []})

    [why] = set_aside(approval(asked, CASE, signer("svc:bot", "reviewer", person=False)), asked=asked)

    assert why == "svc:bot is a service; approvals are people's"


# keys that ended

ENDED = "the key of ann was revoked or ran out at 2026-11-25T12:00:00Z"


def test_an_approval_ends_with_its_key_to_the_second():
    assert counted(approval(ASKED, CASE, signer("ann", "reviewer", ended=NOW + SECOND))).by == ("ann",)
    assert set_aside(approval(ASKED, CASE, signer("ann", "reviewer", ended=NOW))) == [ENDED]


def test_another_key_of_the_same_person_still_counts():
    old, new = signer("ann", "reviewer", key="ed25519:1", ended=NOW), signer("ann", "reviewer", key="ed25519:2")

    assert counted(approval(ASKED, CASE, old), approval(ASKED, CASE, new, comment="again")).by == ("ann",)
    assert counted(approval(ASKED, CASE, old, new)).by == ("ann",)


def test_a_rejection_outlasts_its_key():
    gone = signer("eve", "reviewer", ended=NOW - DAY)

    assert counted(approval(ASKED, CASE, ANN, BOB), approval(ASKED, CASE, gone, verdict="reject")).rejected_by == (
        "eve",
    )


# users without keys, for whom the gate vouches

WITNESSED = policy(approvals={"count": 2, "witnessed": True})


def witnessed(name, *signers, asked=WITNESSED, **said):
    return approval(asked, CASE, *signers, witnessed=name, **said)


def test_the_gate_s_word_counts_where_the_policy_takes_it():
    found = counted(witnessed("cid", GATE), approval(WITNESSED, CASE, ANN), asked=WITNESSED)

    assert (found.by, found.enough, found.set_aside) == (("ann", "cid"), True, ())


def test_a_policy_that_does_not_take_it_says_so():
    assert set_aside(witnessed("cid", GATE, asked=ASKED)) == [
        "the policy takes no approval without a key, as that of cid is (approvals.witnessed)"
    ]


@pytest.mark.parametrize("by", [(), (ANN,), (signer("cid", "reviewer"),), (LAB,), (signer("gate", "gate"),)])
def test_nobody_but_a_gate_s_service_key_vouches(by):
    assert set_aside(witnessed("cid", *by), asked=WITNESSED) == ["no gate vouches that cid gave it"]


def test_what_the_gate_signed_without_saying_for_whom_is_nobody_s():
    takes_gates = policy(approvals={"count": 1, "signed_by": ["gate"], "witnessed": True})

    for asked in (WITNESSED, takes_gates):
        assert set_aside(approval(asked, CASE, GATE), asked=asked) == [
            "the gate signed it, but it does not say for whom (witnessed)"
        ]


def test_a_person_who_signed_beside_the_gate_counts_as_ever():
    assert counted(approval(WITNESSED, CASE, GATE, ANN), asked=WITNESSED).by == ("ann",)


@pytest.mark.parametrize("spelling", ["ann", "Ann"])
def test_who_signed_and_was_witnessed_is_one_person(spelling):
    found = counted(witnessed(spelling, GATE), approval(WITNESSED, CASE, ANN), asked=WITNESSED)

    assert len(found.by) == 1
    assert not found.enough


def test_only_the_user_whom_the_gate_names_counts_in_its_word():
    assert counted(witnessed("cid", GATE, BOB), asked=WITNESSED).by == ("cid",)


def test_a_witnessed_rejection_is_a_veto():
    found = counted(witnessed("Ann", GATE, verdict="reject"), approval(WITNESSED, CASE, ANN, BOB), asked=WITNESSED)

    assert (found.by, found.rejected_by) == (("bob",), ("Ann",))


def test_a_gate_vouches_while_its_key_is_in_force():
    ended = signer("svc:gate", "gate", person=False, ended=NOW)

    assert set_aside(witnessed("cid", ended), asked=WITNESSED) == [
        "the key of svc:gate was revoked or ran out at 2026-11-25T12:00:00Z"
    ]
    assert counted(witnessed("cid", ended, GATE), asked=WITNESSED).by == ("cid",)


@pytest.mark.parametrize(("requester", "author"), [("cid", None), ("req", "Cid")])
def test_who_is_barred_is_barred_without_a_key_too(requester, author):
    terms = {"count": 1, "witnessed": True, "not_by": ["requester", "policy_author"]}
    asked, about = policy(metadata={"author": author or "olga"}, approvals=terms), case(requester=requester)

    assert set_aside(approval(asked, about, GATE, witnessed="cid"), about=about, asked=asked) == [
        f"cid {'wrote the policy' if author else 'asked for the promotion'}"
    ]


@pytest.mark.parametrize("name", ["", "c i d", "ci\u200bd", "\u202ecid", "c" * 255, 7])
def test_a_name_that_people_could_mistake_is_no_name(name):
    with pytest.raises(EvidenceError, match="witnessed"):
        witnessed(name, GATE)
