"""Approvals and waivers that are written to a file: a person's word, bound to what the person saw."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import evidence
import pytest
from click.testing import Result
from evidence import rule
from filed import SUFFIX, Desk, key_of, opened, trust_text
from securesystemslib.dsse import Envelope as TheirEnvelope
from securesystemslib.signer import SSlibKey

from mlflow_rank.evidence.statement import Subject
from mlflow_rank.evidence.testimony import waiver_statement
from mlflow_rank.workflow.evidencing import sealed
from mlflow_rank.workflow.policies import read_policies

Call = Callable[..., Result]
Document = dict[str, Any]

QUESTION = ("--policy", "policy.yaml", "--evidence", "evidence", "--model", "model", "--name", "encoder")
FRESH = rule("evidence_age_at_most", "fresh", age="1h", of="measurement")


@pytest.fixture
def decide(rank: Call) -> Call:
    return lambda *words: rank("decide", *QUESTION, "--json", "-", *words)


@pytest.fixture
def approve(rank: Call) -> Call:
    """Approve or reject what is asked, or something else, as somebody; into a file of their name."""

    def call(name: str, *words: str | Path, verb: str = "approve") -> Result:
        into = ("--output", f"{name}{SUFFIX}")
        return rank(verb, *into, *QUESTION, "--key", f"{name}.key", "--comment", "heard twenty clips", *words)

    return call


@pytest.fixture
def waive(rank: Call) -> Call:
    def call(name: str, *words: str | Path, rule: str = "fresh") -> Result:
        said = ("--rule", rule, "--reason", "the lab is closed", "--ticket", "OPS-7")
        return rank("waive", "--output", f"waiver{SUFFIX}", *QUESTION, "--key", f"{name}.key", *said, *words)

    return call


@pytest.fixture
def _two_must_agree(desk: Desk) -> None:
    desk.policy(approvals={"count": 2})


@pytest.fixture
def _bob_must_agree(desk: Desk) -> None:
    desk.policy(approvals={"count": 1})


def approvals(result: Result) -> Document:
    return dict(json.loads(result.stdout)["policies"][0]["approvals"])


def why_aside(result: Result) -> str:
    (aside,) = approvals(result)["set_aside"]
    return str(aside["why"])


# approving


@pytest.mark.usefixtures("_bob_must_agree")
def test_what_lacks_an_approval_is_undecided_until_a_person_gives_it(decide: Call, approve: Call) -> None:
    before = decide()
    given = approve("bob")
    after = decide("--approval", f"bob{SUFFIX}")

    assert before.exit_code == 3
    assert json.loads(before.stdout)["sentence"] == "denied: 0 of 1 approvals"
    assert given.exit_code == 0, given.output
    assert given.stdout == ""
    assert after.exit_code == 0, after.output
    assert approvals(after)["by"] == ["bob"]


@pytest.mark.usefixtures("_bob_must_agree")
def test_others_can_verify_an_approval_and_read_what_it_is_bound_to(decide: Call, approve: Call, desk: Desk) -> None:
    approve("bob")

    envelope, statement = opened(desk.place / f"bob{SUFFIX}")
    public = key_of("bob").public
    TheirEnvelope.from_dict(envelope).verify(
        [SSlibKey(public.key_id, "ed25519", "ed25519", {"public": public.raw.hex()})], 1
    )
    decision = json.loads(decide().stdout)
    predicate = statement["predicate"]
    assert statement["subject"] == [{"name": "encoder", "digest": {"sha256": desk.digest.removeprefix("sha256:")}}]
    assert predicate["policies"] == [decision["policies"][0]["digest"]]
    assert predicate["evidence"] == decision["evidence_digest"]
    assert (predicate["verdict"], predicate["comment"]) == ("approve", "heard twenty clips")
    assert (predicate["model"], predicate["target"]) == ("encoder", "alias:champion")


@pytest.mark.usefixtures("_two_must_agree")
def test_two_approvals_are_of_two_people_and_none_of_them_signed_the_evidence(
    decide: Call, approve: Call, desk: Desk
) -> None:
    for name in ("ann", "bob"):
        approve(name)
    given = ("--approval", f"ann{SUFFIX},bob{SUFFIX}")

    both = decide(*given)
    desk.pilot(by="ann")
    for name in ("ann", "bob"):
        (desk.place / f"{name}{SUFFIX}").unlink()
        approve(name)
    of_her_own = decide(*given)

    assert both.exit_code == 0, both.output
    assert of_her_own.exit_code == 3
    assert approvals(of_her_own)["by"] == ["bob"]
    assert "ann asked for the promotion or signed the evidence" in why_aside(of_her_own)


@pytest.mark.usefixtures("_bob_must_agree")
def test_who_asks_does_not_approve(decide: Call, approve: Call) -> None:
    approve("bob")

    result = decide("--approval", f"bob{SUFFIX}", "--requester", "Bob")

    assert result.exit_code == 3
    assert "bob asked for the promotion" in why_aside(result)


@pytest.mark.usefixtures("_bob_must_agree")
@pytest.mark.parametrize(
    ("name", "why"),
    [("olga", "one of reviewer is needed"), ("eve", "holds with no trusted key"), ("lab", "one of reviewer is needed")],
)
def test_who_is_no_reviewer_does_not_approve(decide: Call, approve: Call, name: str, why: str) -> None:
    approve(name)

    result = decide("--approval", f"{name}{SUFFIX}")

    assert result.exit_code == 3
    assert why in why_aside(result)


@pytest.mark.usefixtures("_bob_must_agree")
def test_a_rejection_is_a_refusal_whatever_the_evidence(decide: Call, approve: Call) -> None:
    approve("ann")
    approve("bob", verb="reject")

    result = decide("--approval", f"ann{SUFFIX}", "--approval", f"bob{SUFFIX}")

    assert result.exit_code == 1
    assert "rejected by bob" in json.loads(result.stdout)["sentence"]


@pytest.mark.usefixtures("_bob_must_agree")
def test_an_approval_is_void_when_anything_that_was_seen_changes(decide: Call, approve: Call, desk: Desk) -> None:
    approve("bob")
    given = ("--approval", f"bob{SUFFIX}")

    other_target = decide(*given, "--to", "stage:Production")
    desk.alarms("closed")
    other_evidence = decide(*given)
    (desk.evidence / f"alarms{SUFFIX}").unlink()
    desk.policy(approvals={"count": 1}, metadata={"revision": 2})
    other_policy = decide(*given)
    desk.policy(approvals={"count": 1})
    again = decide(*given)
    desk.write("model/model.safetensors", "others")
    desk.measurement()
    desk.pilot()
    other_files = decide(*given)

    assert why_aside(other_target) == "it is for encoder to alias:champion"
    assert why_aside(other_evidence) == "it was given on other evidence"
    assert why_aside(other_policy) == "it was given under another policy or revision"
    assert why_aside(other_files) == "it is about other bytes"
    assert {each.exit_code for each in (other_target, other_evidence, other_policy, other_files)} == {3}
    assert again.exit_code == 0


@pytest.mark.usefixtures("_bob_must_agree")
def test_an_approval_ends(decide: Call, approve: Call, desk: Desk) -> None:
    approve("bob", "--valid-for", "3h")

    _, statement = opened(desk.place / f"bob{SUFFIX}")

    made, ends = (datetime.fromisoformat(statement["predicate"][name]) for name in ("made_at", "expires_at"))
    assert ends - made == timedelta(hours=3)
    assert decide("--approval", f"bob{SUFFIX}").exit_code == 0


@pytest.mark.usefixtures("_bob_must_agree")
def test_an_approval_covers_every_policy_that_is_asked(decide: Call, rank: Call, desk: Desk) -> None:
    desk.policy(name="more.yaml", metadata={"name": "more"}, approvals={"count": 1})
    policies = ("--policy", "more.yaml")
    rank("approve", "--output", f"bob{SUFFIX}", *QUESTION, *policies, "--key", "bob.key", "--comment", "yes")

    result = decide(*policies, "--approval", f"bob{SUFFIX}")

    assert result.exit_code == 0, result.output
    assert [each["approvals"]["by"] for each in json.loads(result.stdout)["policies"]] == [["bob"], ["bob"]]


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [
        (["--comment", " "], 2, "an approval needs a comment"),
        (["--valid-for", "soon"], 2, "this is no duration"),
        (["--valid-for", "0d"], 2, "this is no duration"),
        (["--to", "alias:other", "--policy", "narrow.yaml", "--name", "x"], 0, ""),
        (["--evidence", "nothing.dsse.json"], 2, "this evidence cannot be read"),
        (["--to", "nowhere"], 2, "there is no such target"),
    ],
)
def test_an_approval_must_make_sense(approve: Call, desk: Desk, words: list[str], code: int, what: str) -> None:
    desk.policy(name="narrow.yaml", metadata={"name": "narrow"}, match={"models": ["x"]})

    result = approve("bob", *words)

    assert result.exit_code == code, result.output
    assert what in result.stderr
    assert (desk.place / f"bob{SUFFIX}").exists() == (code == 0)


def test_there_is_nothing_to_approve_where_no_policy_asks(approve: Call, desk: Desk) -> None:
    desk.policy(match={"models": ["other"]})

    result = approve("bob")

    assert result.exit_code == 2
    assert "no policy is asked when encoder goes to alias:champion" in result.stderr


def test_an_approval_is_signed_or_it_is_none(rank: Call) -> None:
    result = rank("approve", "--output", "it.dsse.json", *QUESTION, "--comment", "yes")

    assert result.exit_code == 2
    assert "this must be signed" in result.stderr


def test_what_was_said_is_never_written_over(approve: Call, desk: Desk) -> None:
    approve("bob")
    before = (desk.place / f"bob{SUFFIX}").read_bytes()

    again = approve("bob", verb="reject")

    assert again.exit_code == 2
    assert "this cannot be written" in again.stderr
    assert (desk.place / f"bob{SUFFIX}").read_bytes() == before


def test_it_is_written_where_it_can_be(rank: Call) -> None:
    into = ("--output", "nowhere/it.dsse.json")
    result = rank("approve", *into, *QUESTION, "--comment", "yes", "--key", "bob.key")

    assert result.exit_code == 2
    assert "this cannot be written" in result.stderr


# waiving


def waivable(desk: Desk, **more: object) -> None:
    """The measurement is older than the rule has it."""
    desk.policy(evidence.PILOT_RULE, FRESH, waivers={"rules": ["fresh"], **more})
    desk.measurement(now=datetime.now(UTC) - timedelta(hours=5))


def test_a_waiver_puts_a_rule_aside_and_shows(decide: Call, waive: Call, desk: Desk) -> None:
    waivable(desk)

    before = decide()
    given = waive("olga")
    after = decide("--waiver", f"waiver{SUFFIX}")

    assert before.exit_code == 1
    assert given.exit_code == 0, given.output
    assert after.exit_code == 0, after.output
    (found,) = (each for each in json.loads(after.stdout)["policies"][0]["findings"] if each["rule"] == "fresh")
    assert (found["result"], found["underlying"]) == ("waived", "fail")
    assert "waived by olga" in found["sentence"]
    assert "OPS-7: the lab is closed" in found["sentence"]


def test_a_waiver_that_has_expired_puts_nothing_aside(decide: Call, desk: Desk) -> None:
    waivable(desk)
    (policy,) = read_policies([desk.place / "policy.yaml"])
    now = datetime.now(UTC)
    statement = waiver_statement(
        Subject("encoder", desk.digest), policy=policy.policy.digest, rule="fresh", reason="late", ticket="OPS-7",
        now=now - timedelta(days=2), expires_at=now - timedelta(minutes=1),
    )  # fmt: skip
    desk.write(f"waiver{SUFFIX}", sealed(statement, key_of("olga")))

    result = decide("--waiver", f"waiver{SUFFIX}")

    assert result.exit_code == 1
    assert "it has expired" in result.stdout


@pytest.mark.parametrize("name", ["bob", "eve"])
def test_only_who_may_waive_does(decide: Call, waive: Call, desk: Desk, name: str) -> None:
    waivable(desk)
    waive(name)

    assert decide("--waiver", f"waiver{SUFFIX}").exit_code == 1


def test_a_waiver_is_for_these_files_and_this_policy(decide: Call, waive: Call, desk: Desk) -> None:
    waivable(desk)
    waive("olga")
    desk.policy(evidence.PILOT_RULE, FRESH, waivers={"rules": ["fresh"]}, metadata={"revision": 2})
    other_policy = decide("--waiver", f"waiver{SUFFIX}")
    waivable(desk)
    desk.write("model/model.safetensors", "others")
    desk.measurement(now=datetime.now(UTC) - timedelta(hours=5))
    desk.pilot()

    assert (other_policy.exit_code, decide("--waiver", f"waiver{SUFFIX}").exit_code) == (1, 1)


@pytest.mark.parametrize(
    ("words", "rule", "what"),
    [
        ([], "pilot", "the rule 'pilot' cannot be waived"),
        ([], "none", "the rule 'none' cannot be waived"),
        (["--reason", ""], "fresh", "a waiver needs a reason and a ticket"),
        (["--ticket", " "], "fresh", "a waiver needs a reason and a ticket"),
        (["--valid-for", "31d"], "fresh", "this is too long for a waiver"),
    ],
)
def test_a_waiver_must_be_one_that_the_policy_allows(
    waive: Call, desk: Desk, words: list[str], rule: str, what: str
) -> None:
    waivable(desk)

    result = waive("olga", *words, rule=rule)

    assert result.exit_code == 2
    assert what in result.stderr
    assert not (desk.place / f"waiver{SUFFIX}").exists()


def test_a_pilot_rule_cannot_be_made_waivable(decide: Call, desk: Desk) -> None:
    desk.policy(waivers={"rules": ["pilot"]})

    result = decide()

    assert result.exit_code == 2
    assert "'pilot' is a pilot rule, which nobody may waive" in result.stderr


def test_a_policy_that_lies_there_twice_is_one(decide: Call, waive: Call, desk: Desk) -> None:
    waivable(desk)
    desk.write("copy.yaml", (desk.place / "policy.yaml").read_bytes())

    assert waive("olga", "--policy", "copy.yaml").exit_code == 0
    assert decide("--waiver", f"waiver{SUFFIX}").exit_code == 0


def test_a_rule_of_two_policies_is_not_waived_in_one_go(waive: Call, desk: Desk) -> None:
    waivable(desk)
    desk.policy(
        evidence.PILOT_RULE, FRESH, name="more.yaml", metadata={"name": "more"}, waivers={"rules": ["fresh"]}
    )  # fmt: skip

    result = waive("olga", "--policy", "more.yaml")

    assert result.exit_code == 2
    assert "several policies have a rule 'fresh'" in result.stderr


def test_a_reviewer_s_key_counts_as_long_as_it_was_valid_when_it_signed(
    decide: Call, approve: Call, desk: Desk
) -> None:
    desk.policy(approvals={"count": 1})
    approve("bob")
    hour = timedelta(hours=1)
    now = datetime.now(UTC).replace(microsecond=0)
    revoked = {"revoked": {"at": (now - hour).isoformat(), "reason": "retired"}}
    retired_later = {"revoked": {"at": (now + hour).isoformat(), "reason": "retired"}}

    desk.write("trust.yaml", trust_text(bob=revoked))
    before = decide("--approval", f"bob{SUFFIX}")
    desk.write("trust.yaml", trust_text(bob=retired_later))
    after = decide("--approval", f"bob{SUFFIX}")

    assert before.exit_code == 3
    assert "was revoked as retired" in why_aside(before)
    assert after.exit_code == 0
