"""The last missing piece arrives, and the store promotes by itself; what speaks against a champion later is flagged."""

from __future__ import annotations

from datetime import timedelta

import evidence
import pytest
from acting import CHAMPION, MODEL, People, later, refusal

FLAG = "rank.flag"


def worse_than_chance(row: dict[str, object]) -> dict[str, object]:
    return row | {"score": 0.05, "low": 0.01, "high": 0.09}


@pytest.fixture
def people(people: People) -> People:
    """Those of every test here, under a policy that promotes by itself."""
    people.policy(promote="automatic")
    return people


def test_evidence_that_arrives_after_the_request_promotes(people: People) -> None:
    hall = people.hall
    version = hall.version()
    people.ask(version, comment="best so far")
    called = f"models:/{MODEL}/{version}"
    hall.submit(version, hall.desk.measurement(called=called))
    assert hall.champion() is None, "a piece is missing still"
    assert not hall.entries("decision"), "that it is not approved yet is no refusal"

    hall.submit(version, hall.desk.pilot(called=called))

    assert hall.champion() == version
    change = people.last("change")
    assert change.content["door"] == "automatic_promotion"
    assert change.content["actor"] == {"name": "mlflow-rank-gate", "verified": True}
    assert change.content["decision"] == people.last("decision").reference
    assert not people.open("request")
    assert people.last("closing").content["how"] == "promoted"


def test_a_request_that_arrives_last_promotes_on_behalf_of_who_asked(people: People) -> None:
    version = people.hall.proved()
    assert people.hall.champion() is None, "nobody asked"

    people.ask(version, by="bob")

    assert people.hall.champion() == version
    assert people.last("change").content["actor"]["on_behalf_of"] == "bob"
    assert people.last("decision").content["decision"]["request"]["requester"] == "bob"


def test_an_approval_that_arrives_last_promotes(people: People) -> None:
    people.policy(promote="automatic", approvals={"count": 1})
    version = people.hall.proved()
    people.ask(version)
    assert people.hall.champion() is None

    people.approve(version, "bob")

    assert people.hall.champion() == version


def test_who_asked_cannot_approve(people: People) -> None:
    people.policy(promote="automatic", approvals={"count": 1})
    version = people.hall.proved()
    people.ask(version, by="bob")

    people.approve(version, "bob")

    assert people.hall.champion() is None
    assert people.outlook(version)["version"]["missing"][0]["kind"] == "approval"
    people.approve(version, "ann")
    assert people.hall.champion() == version


def test_where_one_policy_wants_people_to_promote_nothing_happens_by_itself(people: People) -> None:
    text = evidence.policy_text(evidence.PILOT_RULE, metadata={"name": "other", "revision": 1, "owners": ["x"]})
    people.hall.desk.write("policies/other.yaml", text)
    version = people.hall.proved()

    people.ask(version)

    assert people.hall.champion() is None
    people.hall.store.set_registered_model_alias(MODEL, "champion", version)
    assert not people.open("request"), "promoted by hand, the request is closed as well"


def test_a_withdrawn_request_promotes_nothing(people: People) -> None:
    version = people.hall.version()
    people.ask(version, by="bob")
    with refusal("only bob or an owner withdraws it"):
        people.withdraw(version, by="ann")
    people.withdraw(version, by="bob")
    called = f"models:/{MODEL}/{version}"

    people.hall.submit(version, people.hall.desk.measurement(called=called), people.hall.desk.pilot(called=called))

    assert people.hall.champion() is None
    assert people.last("closing").content["how"] == "withdrawn by bob"


def test_the_same_request_is_not_opened_twice(people: People) -> None:
    version = people.hall.version()
    people.ask(version, by="bob")

    with refusal(f"version {version} of {MODEL} is already asked for {CHAMPION}"):
        people.ask(version, by="bob", comment="please")

    assert len(people.open("request")) == 1


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"workspace": "elsewhere"}, "about the workspace elsewhere"),
        ({"model": "other"}, "about the model other"),
        ({"version": "99"}, "about version 99"),
        ({"target": "alias:Champion"}, "is written alias:champion"),
        ({"files": "sha256:" + "0" * 64}, "about other files"),
    ],
)
def test_a_request_about_something_else_is_not_taken(people: People, other: dict[str, str], said: str) -> None:
    version = people.hall.version()

    with refusal(said):
        people.ask(version, **other)

    assert not people.open("request")


def test_nobody_asks_for_a_target_that_no_policy_covers(people: People) -> None:
    people.policy(promote="automatic", match={"models": [MODEL], "targets": [CHAMPION]})
    version = people.hall.version()

    with refusal("No policy is asked when encoder goes to alias:candidate"):
        people.ask(version, target="alias:candidate")


def test_a_request_is_good_for_an_hour(people: People) -> None:
    version = people.hall.version()
    aim = people.aim(version)
    from mlflow_rank.evidence.acts import request_statement

    with refusal("good for 1 hour only"):
        people.hand_in(version, request_statement(aim, comment="", now=later(hours=-1.1)), None)
    with refusal("yet to come"):
        people.hand_in(version, request_statement(aim, comment="", now=later(hours=1)), None)


def test_an_alarm_flags_the_champion_and_a_later_word_of_the_monitor_takes_the_flag_away(people: People) -> None:
    people.policy(evidence.PILOT_RULE, {"id": "calm", "kind": "no_open_alarm"}, promote="automatic")
    hall = people.hall
    version = hall.version()
    called = f"models:/{MODEL}/{version}"
    hall.submit(version, hall.desk.alarms(called=called), hall.desk.pilot(called=called))
    people.ask(version)
    assert hall.champion() == version

    now = later(minutes=-30)
    hall.submit(version, hall.desk.alarms("open", called=called, now=now))

    (flag,) = people.open("flag")
    assert (flag.version, flag.target) == (version, CHAMPION)
    assert people.last("flag").content["sentence"] == "calm fails"
    assert hall.champion() == version, "the policy only flags"
    assert hall.store.get_model_version(MODEL, version).tags[FLAG].startswith("alias:champion: calm fails")
    assert [each["words"] for each in people.outlook()["matters"]] == ["calm fails"]

    hall.submit(version, hall.desk.alarms("closed", called=called, now=later(minutes=-5)))

    assert not people.open("flag")
    assert FLAG not in hall.store.get_model_version(MODEL, version).tags


def test_a_failed_re_assessment_demotes_to_the_version_before_where_the_policy_says_so(people: People) -> None:
    people.policy(promote="automatic", on_contrary_evidence="demote")
    hall = people.hall
    first, second = hall.proved(), hall.proved()
    for version in (first, second):
        people.ask(version)
    assert hall.champion() == second

    worse = evidence.pilot(worse_than_chance)
    hall.submit(second, hall.desk.pilot(worse, called=f"models:/{MODEL}/{second}", now=later(minutes=-5)))

    assert hall.champion() == first
    change = people.last("change")
    assert change.content["door"] == "demotion"
    assert change.content["actor"]["name"] == "mlflow-rank-gate"
    assert change.content["arguments"]["instead_of"] == second
    decisions = [
        each.reference for each in hall.entries("decision") if each.content["decision"]["verdict"] == "approve"
    ]
    assert change.content["decision"] == decisions[0], "the decision that approved it then"


def test_evidence_that_has_only_aged_speaks_against_nobody(people: People) -> None:
    aged = {"id": "fresh", "kind": "evidence_age_at_most", "of": "pilot", "age": "2d"}
    people.policy(evidence.PILOT_RULE, aged, promote="automatic", on_contrary_evidence="demote")
    version = people.hall.proved()
    people.ask(version)
    assert people.hall.champion() == version

    with people.at(later(days=5)):
        people.approve(version, "bob")

    assert not people.open("flag")
    assert people.hall.champion() == version


def test_a_policy_that_has_become_stricter_speaks_against_nobody(people: People) -> None:
    version = people.hall.proved()
    people.ask(version)
    stricter = evidence.PILOT_RULE | {"value": 0.99}
    people.policy(stricter, promote="automatic", on_contrary_evidence="demote")

    people.hall.submit(version, people.hall.desk.alarms(called=f"models:/{MODEL}/{version}"))
    assert not people.open("flag")

    worse = people.hall.desk.pilot(
        evidence.pilot(worse_than_chance), called=f"models:/{MODEL}/{version}", now=later(minutes=-5)
    )
    people.hall.submit(version, worse)
    assert people.open("flag")


def test_a_rejection_flags_the_champion(people: People) -> None:
    version = people.hall.proved()
    people.ask(version)

    people.approve(version, "bob", verdict="reject")

    assert people.last("flag").content["sentence"] == "rejected by bob"


def test_an_approval_ends_at_the_second(people: People) -> None:
    people.policy(approvals={"count": 1})
    version = people.hall.proved()
    given = later().replace(microsecond=0)
    with people.at(given):
        people.approve(version, "bob", lasts=timedelta(hours=1))

    with people.at(given + timedelta(minutes=59, seconds=59)):
        assert people.outlook(version)["version"]["decision"]["verdict"] == "approve"
    with people.at(given + timedelta(hours=1)):
        assert people.outlook(version)["version"]["decision"]["verdict"] == "deny"
        with refusal("0 of 1 approvals"):
            people.hall.store.set_registered_model_alias(MODEL, "champion", version)
