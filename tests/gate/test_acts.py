"""Going back, breaking the glass and reviewing it: what people do at the gate beside approving."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import evidence
import pytest
from acting import CHAMPION, MODEL, People, later, refusal
from filed import trust_text

from mlflow_rank.audit.history import history
from mlflow_rank.evidence.acts import rollback_statement
from mlflow_rank.evidence.canonical import digest_of_bytes
from mlflow_rank.registry.gate.ended_emergencies import end_emergencies
from mlflow_rank.registry.server.health import Serving, health

BREAK_GLASS = {"break_glass": {"review_within": "2d"}}


def test_one_goes_back_to_a_version_that_was_approved_before_without_new_evidence(people: People) -> None:
    first, second = people.promoted(), people.promoted()
    with people.at(later(days=300)):  # its evidence has long aged
        people.go_back(first)

    assert people.hall.champion() == first
    change = people.last("change")
    assert change.content["door"] == "rollback"
    assert change.content["arguments"]["reason"] == "hisses"
    assert change.content["arguments"]["signed_by"] == ["olga"]
    assert change.content["decision"] == people.hall.entries("decision")[0].reference
    assert [each["version"] for each in people.outlook(second)["version"]["formerly"]] == [second, first]


def test_nobody_goes_back_to_a_version_that_was_never_approved(people: People) -> None:
    people.promoted()
    never = people.hall.proved()

    with refusal(f"version {never} of {MODEL} was never approved for {CHAMPION}"):
        people.go_back(never)


def test_nobody_goes_back_to_files_that_have_changed(people: People) -> None:
    first, _ = people.promoted(), people.promoted()
    source = people.hall.store.get_model_version(MODEL, first).source
    Path(source.removeprefix("file://"), "config.json").write_text('{"changed": true}')

    with refusal("about other files"):
        people.go_back(first)


def test_nobody_goes_back_to_what_a_rejection_speaks_against_since(people: People) -> None:
    first, second = people.promoted(), people.promoted()
    people.approve(first, "bob", verdict="reject")

    with refusal("since its approval rejected by bob"):
        people.go_back(first)

    assert people.hall.champion() == second


def test_a_stricter_policy_keeps_nobody_from_going_back(people: People) -> None:
    first, _ = people.promoted(), people.promoted()
    people.policy(evidence.PILOT_RULE | {"value": 0.99})

    people.go_back(first)

    assert people.hall.champion() == first


@pytest.mark.parametrize("by", ["lab", "emma", None])
def test_who_has_no_role_for_it_does_not_go_back(people: People, by: str | None) -> None:
    first, second = people.promoted(), people.promoted()

    with refusal("Refused: this evidence is not taken"):
        people.go_back(first, by=by)

    assert people.hall.champion() == second
    assert people.last("evidence_refused").version == first


def test_an_act_is_carried_out_once(people: People) -> None:
    first, second = people.promoted(), people.promoted()
    statement = rollback_statement(people.aim(first), reason="hisses", now=people.now())
    people.hand_in(first, statement, "olga")
    people.hall.store.set_registered_model_alias(MODEL, "champion", second)

    with refusal("an act is carried out once"):
        people.hand_in(first, statement, "olga")

    assert people.hall.champion() == second


def test_in_an_emergency_a_version_is_placed_without_approval_loudly_and_for_a_while(people: People) -> None:
    people.policy(**BREAK_GLASS)
    version = people.hall.version()

    people.break_glass(version)

    assert people.hall.champion() == version
    (matter,) = people.outlook()["matters"]
    assert matter["kind"] == "break_glass"
    assert (matter["by"], matter["words"], matter["ticket"]) == ("emma", "calls drop", "OPS-1")
    assert not matter["overdue"]
    assert people.outlook()["placements"][0]["decision"].startswith("bg-")
    with people.at(later(days=3)):
        assert people.outlook()["matters"][0]["overdue"]


@pytest.mark.parametrize(
    ("parts", "by", "hours", "said"),
    [
        ({}, "emma", 24, "allows no break-glass"),
        (BREAK_GLASS, "olga", 24, "under policy speech-encoder a person with the role emergency breaks the glass"),
        (BREAK_GLASS, None, 24, "nobody whom the gate trusts signed it"),
        (BREAK_GLASS, "emma", 25, "it lasts longer than 24h"),
    ],
)
def test_glass_that_may_not_be_broken(people: People, parts: dict, by: str | None, hours: int, said: str) -> None:
    people.policy(**parts)
    version = people.hall.version()

    with refusal(said):
        people.break_glass(version, by=by, hours=hours)

    assert people.hall.champion() is None
    assert not people.open("break_glass")


def test_whoever_broke_the_glass_does_not_review_it_and_another_does(people: People) -> None:
    trust_of = {"emma": {"roles": ["emergency", "owner"]}}
    people.hall.desk.write("trust.yaml", trust_text(**trust_of))
    people.policy(**BREAK_GLASS)
    version = people.hall.version()
    digest = people.break_glass(version)
    named = digest_of_bytes(digest.to_bytes())
    with refusal("whoever broke the glass does not review it"):
        people.review(version, named, by="emma")
    assert people.open("break_glass")

    people.review(version, named, by="olga")

    assert not people.open("break_glass")
    assert people.last("closing").content["how"] == "reviewed by olga: accepted"
    with people.at(later(minutes=1)), refusal("no such break-glass that waits"):
        people.review(version, named, by="bob")


def test_a_rejected_break_glass_goes_back_to_what_was_approved_before(people: People) -> None:
    people.policy(**BREAK_GLASS)
    approved, other = people.promoted(), people.hall.version()
    statement = people.break_glass(other)
    assert people.hall.champion() == other
    people.review(other, digest_of_bytes(statement.to_bytes()), verdict="reject")

    assert people.hall.champion() == approved
    assert people.last("change").content["door"] == "break_glass_rejected"


def test_when_the_time_is_over_the_gate_goes_back(people: People) -> None:
    people.policy(**BREAK_GLASS)
    approved, other = people.promoted(), people.hall.version()
    people.break_glass(other, hours=2)
    ends = people.now() + timedelta(hours=2)

    end_emergencies(people.hall.store, ends - timedelta(seconds=30))
    assert people.hall.champion() == other
    end_emergencies(people.hall.store, ends + timedelta(seconds=30))

    assert people.hall.champion() == approved
    assert people.last("change").content["door"] == "break_glass_expired"
    assert people.open("break_glass"), "until somebody reviews it"


def test_the_history_tells_who_broke_the_glass_until_it_is_reviewed_and_after(people: People) -> None:
    people.policy(**BREAK_GLASS)
    version = people.hall.version()
    statement = people.break_glass(version)

    def told() -> str:
        (row,) = history(people.hall.entries(), MODEL)
        return str(row.verdict)

    assert told().startswith("BREAK-GLASS by emma until ")
    assert told().endswith(" (OPS-1: calls drop); NOT REVIEWED")
    people.review(version, digest_of_bytes(statement.to_bytes()))
    assert told().endswith(" (OPS-1: calls drop)")


def test_the_history_tells_who_approved(people: People) -> None:
    people.policy(approvals={"count": 2})
    version = people.hall.proved()
    for name in ("bob", "ann"):
        people.approve(version, name)
    people.hall.store.set_registered_model_alias(MODEL, "champion", version)

    (row,) = history(people.hall.entries(), MODEL)

    assert str(row.verdict).endswith("; approved by ann, bob")


def test_a_flag_on_a_version_that_was_taken_away_is_open_and_alarms_nobody(people: People) -> None:
    people.policy(**BREAK_GLASS)
    first, second = people.promoted(), people.promoted()
    people.approve(second, "bob", verdict="reject")
    (flag,) = people.outlook()["matters"]
    assert (flag["kind"], flag["placed"]) == ("flag", True)
    told = health(people.hall.store, Serving("rank+sqlite"))["open"]
    assert (told["flags"], told["expired"]) == (1, 0)

    people.go_back(first)

    (flag,) = people.outlook()["matters"]
    assert (flag["version"], flag["placed"]) == (second, False)
    assert health(people.hall.store, Serving("rank+sqlite"))["open"]["flags"] == 0


def test_an_emergency_that_is_over_is_told_while_its_version_is_there_reviewed_or_not(people: People) -> None:
    people.policy(**BREAK_GLASS)
    first, other = people.promoted(), people.hall.version()
    statement = people.break_glass(other)
    people.review(other, digest_of_bytes(statement.to_bytes()))

    with people.at(later(hours=25)):
        assert health(people.hall.store, Serving("rank+sqlite"))["open"]["expired"] == 1
        people.go_back(first)
        assert health(people.hall.store, Serving("rank+sqlite"))["open"]["expired"] == 0


def test_an_approval_after_all_ends_the_emergency(people: People) -> None:
    people.policy(**BREAK_GLASS)
    version = people.hall.proved()
    people.break_glass(version)

    people.hall.store.set_registered_model_alias(MODEL, "champion", version)

    (placement,) = people.outlook()["placements"]
    assert placement["decision"] == people.last("decision").reference
    assert people.open("break_glass"), "it is still to be reviewed"


def test_under_authentication_people_hand_in_their_own_word(people: People) -> None:
    people.policy(approvals={"count": 1})
    version = people.hall.proved()

    with people.as_user("ann"), refusal("bob signed it, and ann hands it in"):
        people.approve(version, "bob")
    with people.as_user("bob"):
        people.approve(version, "bob")

    assert people.outlook(version)["version"]["decision"]["verdict"] == "approve"


def test_the_gate_vouches_for_a_user_without_a_key_where_the_policy_takes_that(people: People) -> None:
    version = people.hall.proved()
    for allowed, verdict in ((False, "deny"), (True, "approve")):
        people.policy(approvals={"count": 1, "witnessed": allowed})
        with people.as_user("dora"):
            people.hand_in(version, people.approval(version, witnessed="dora"), None)
        assert people.outlook(version)["version"]["decision"]["verdict"] == verdict

    with people.as_user("dora"), refusal("dora hands in an approval of cid"):
        people.hand_in(version, people.approval(version, witnessed="cid"), None)
    with refusal("the server knows no user"):
        people.hand_in(version, people.approval(version, witnessed="dora"), None)


def test_who_asked_cannot_have_the_gate_vouch_for_him_either(people: People) -> None:
    people.policy(approvals={"count": 1, "witnessed": True})
    version = people.hall.proved()
    with people.as_user("dora"):
        people.ask(version)
        people.hand_in(version, people.approval(version, witnessed="dora"), None)

    assert people.outlook(version)["version"]["decision"]["verdict"] == "deny"


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"workspace": "elsewhere"}, "given in the workspace elsewhere"),
        ({"version": "99"}, "given for version 99"),
        ({"model": "other"}, "about the model other"),
        ({"digest": "sha256:" + "0" * 64}, "about other files"),
    ],
)
def test_an_approval_of_something_else_is_not_taken(people: People, other: dict[str, str], said: str) -> None:
    version = people.hall.proved()

    with refusal(said):
        people.approve(version, "bob", **other)


def test_an_approval_ends_with_the_key_that_gave_it(people: People) -> None:
    people.policy(approvals={"count": 1})
    version = people.hall.proved()
    people.approve(version, "bob")
    assert people.outlook(version)["version"]["decision"]["verdict"] == "approve"

    revoked = {"bob": {"revoked": {"at": later(minutes=1).isoformat(), "reason": "retired"}}}
    people.hall.desk.write("trust.yaml", trust_text(**revoked))
    assert people.outlook(version)["version"]["decision"]["verdict"] == "approve"

    with people.at(later(minutes=2)), refusal("0 of 1 approvals"):
        people.hall.store.set_registered_model_alias(MODEL, "champion", version)


def test_an_approval_of_an_older_policy_is_void(people: People) -> None:
    people.policy(approvals={"count": 1})
    version = people.hall.proved()
    people.approve(version, "bob")

    people.policy(evidence.PILOT_RULE, approvals={"count": 1})

    with refusal("0 of 1 approvals"):
        people.hall.store.set_registered_model_alias(MODEL, "champion", version)


def test_an_approval_is_void_once_more_evidence_has_come(people: People) -> None:
    people.policy(approvals={"count": 1})
    version = people.hall.proved()
    people.approve(version, "bob")

    people.hall.submit(version, people.hall.desk.alarms(called=f"models:/{MODEL}/{version}"))

    with refusal("0 of 1 approvals"):
        people.hall.store.set_registered_model_alias(MODEL, "champion", version)


def test_two_people_may_say_the_same_in_the_same_second(people: People) -> None:
    people.policy(approvals={"count": 2})
    version = people.hall.proved()
    statement = people.approval(version)

    people.hand_in(version, statement, "bob")
    people.hand_in(version, statement, "ann")
    people.hand_in(version, statement, "bob")

    (ruling,) = people.outlook(version)["version"]["decision"]["policies"]
    assert ruling["approvals"]["by"] == ["ann", "bob"]
    assert [each.content["signed_by"] for each in people.hall.entries("evidence")][-2:] == [["bob"], ["ann", "bob"]]


def test_two_keys_of_one_person_are_one_person(people: People) -> None:
    people.policy(approvals={"count": 2, "witnessed": True})
    version = people.hall.proved()
    people.approve(version, "bob")
    with people.as_user("bob"):
        people.hand_in(version, people.approval(version, witnessed="bob"), None)

    (ruling,) = people.outlook(version)["version"]["decision"]["policies"]
    assert ruling["approvals"]["by"] == ["bob"]
