"""Ways in which somebody tried to misuse what people do at the gate, each played once more in this process."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import evidence
import pytest
from acting import CHAMPION, MODEL, People, later, refusal
from filed import key_of, trust_text
from mlflow.entities.model_registry import ModelVersionTag

from mlflow_rank.evidence import acts
from mlflow_rank.evidence.canonical import digest_of_bytes
from mlflow_rank.evidence.envelope import Signature, read_envelope
from mlflow_rank.evidence.file_manifest import file_manifest
from mlflow_rank.registry.gate import question
from mlflow_rank.registry.gate.ended_emergencies import end_emergencies
from mlflow_rank.workflow.evidencing import sealed

GLASS = {"break_glass": {"review_within": "2d"}}
ALARMED = {"id": "calm", "kind": "no_open_alarm"}


def files_of(people: People, version: str) -> Path:
    return Path(people.hall.store.get_model_version(MODEL, version).source.removeprefix("file://"))


def called(version: str) -> str:
    return f"models:/{MODEL}/{version}"


def speak_against(people: People, version: str) -> None:
    """Hand in a pilot, well signed, that a policy with a pilot rule fails."""
    worse = evidence.pilot(lambda row: row | {"score": 0.05, "low": 0.01, "high": 0.09})
    people.hall.submit(version, people.hall.desk.pilot(worse, called=called(version), now=later(minutes=-5)))


def named(statement: acts.Statement) -> str:
    return digest_of_bytes(statement.to_bytes())


# requests


def test_nobody_takes_the_place_of_who_asked_so_that_he_may_approve(people: People) -> None:
    people.policy(promote="automatic", approvals={"count": 1})
    version = people.hall.proved()
    with people.as_user("bob"):
        people.ask(version, by="bob")
        people.approve(version, "bob")

    with people.as_user("dora"), refusal(f"already asked for {CHAMPION}, by bob"):
        people.ask(version, comment="me too")
    with refusal(f"already asked for {CHAMPION}, by bob"):
        people.ask(version, comment="me too")

    assert people.hall.champion() is None
    assert [each.number for each in people.open("request")] == [people.last("request").number]


def test_a_request_promotes_no_other_bytes_than_it_was_made_for(people: People) -> None:
    people.policy(promote="automatic")
    version = people.hall.version()
    people.ask(version, by="bob")
    (files_of(people, version) / "model.safetensors").write_text("other weights")
    other = people.hall.desk.write("other/model.safetensors", "other weights").parent
    people.hall.desk.write("other/config.json", "{}")
    how = {"called": called(version), "about": file_manifest(other).digest}
    people.hall.submit(version, people.hall.desk.measurement(**how), people.hall.desk.pilot(**how))

    assert people.hall.champion() is None
    people.hall.store.set_registered_model_alias(MODEL, "champion", version)
    assert people.hall.champion() == version, "whoever wants these asks for these"


def test_a_request_that_is_withdrawn_while_files_are_hashed_promotes_nothing(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.policy(promote="automatic")
    version = people.hall.version()
    people.hall.submit(version, people.hall.desk.measurement(called=called(version)))
    people.ask(version, by="bob")
    hashing = question.files_digest

    def withdrawn_meanwhile(*arguments: object) -> str:
        monkeypatch.setattr(question, "files_digest", hashing)
        people.withdraw(version, by="bob")
        return hashing(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(question, "files_digest", withdrawn_meanwhile)
    people.hall.submit(version, people.hall.desk.pilot(called=called(version)))

    assert people.hall.champion() is None
    assert people.last("closing").content["how"] == "withdrawn by bob"


# approvals


def test_evidence_that_the_rejecter_signed_rids_nobody_of_the_rejection(people: People) -> None:
    version = people.hall.proved()
    people.approve(version, "ann", verdict="reject")

    people.hall.submit(version, people.hall.desk.measurement(called=called(version), by="ann", now=later(hours=-2)))

    with refusal("rejected by ann"):
        people.hall.store.set_registered_model_alias(MODEL, "champion", version)


def test_who_asked_may_still_reject(people: People) -> None:
    version = people.hall.proved()
    people.ask(version, by="bob")
    people.approve(version, "bob", verdict="reject")

    with refusal("rejected by bob"):
        people.hall.store.set_registered_model_alias(MODEL, "champion", version)


def test_an_envelope_that_is_full_of_signatures_is_refused_in_words(people: People) -> None:
    people.policy(**GLASS)
    version = people.hall.version()
    statement = acts.break_glass_statement(
        people.aim(version), reason="calls drop", ticket="OPS-1", now=people.now(), expires_at=later(hours=1)
    )
    envelope = read_envelope(sealed(statement, key_of("emma")), named="it")
    junk = tuple(Signature("", bytes([number]) * 64) for number in range(31))
    full = replace(envelope, signatures=(*envelope.signatures, *junk)).to_json().decode()

    with refusal("no signature fits into this envelope"):
        people.hall.store.set_model_version_tag(MODEL, version, ModelVersionTag("rank.break_glass.x", full))

    assert people.hall.champion() is None


def test_a_tag_goes_on_telling_all_who_signed(people: People) -> None:
    people.policy(approvals={"count": 2})
    version = people.hall.proved()
    statement = people.approval(version)
    for by in ("bob", "ann", "bob"):
        people.hand_in(version, statement, by)

    tags = people.hall.store.get_model_version(MODEL, version).tags
    (told,) = (value for key, value in tags.items() if key.startswith("rank.approval."))
    assert "ann, bob" in told


# emergencies


def test_an_emergency_that_was_reviewed_ends_as_well(people: People) -> None:
    people.policy(**GLASS)
    approved, other = people.promoted(), people.hall.version()
    statement = people.break_glass(other, hours=2)
    people.review(other, named(statement))
    assert people.hall.champion() == other

    end_emergencies(people.hall.store, people.now() + timedelta(hours=2, seconds=30))

    assert people.hall.champion() == approved
    assert people.last("change").content["door"] == "break_glass_expired"


def test_an_emergency_is_not_drawn_out_before_somebody_has_reviewed_it(people: People) -> None:
    people.policy(**GLASS)
    version = people.hall.version()
    statement = people.break_glass(version, hours=2)
    review_by = people.outlook()["matters"][0]["review_by"]

    with people.at(later(minutes=30)), refusal("waits for a review"):
        people.break_glass(version)

    (matter,) = people.outlook()["matters"]
    assert matter["review_by"] == review_by
    people.review(version, named(statement))
    with people.at(later(minutes=31)):
        people.break_glass(version)


def test_a_review_is_of_the_statement_that_it_names_and_of_no_other_with_such_an_id(people: People) -> None:
    people.policy(**GLASS)
    version = people.hall.version()
    statement = people.break_glass(version)
    digest = named(statement)
    alike = digest[:-4] + ("0000" if digest[-4:] != "0000" else "1111")

    with refusal("no such break-glass that waits"):
        people.review(version, alike)

    people.review(version, digest)
    assert not people.open("break_glass")


def test_the_version_of_an_emergency_is_kept_until_it_is_reviewed(people: People) -> None:
    people.policy(**GLASS)
    approved, other = people.promoted(), people.hall.version()
    statement = people.break_glass(other)
    people.go_back(approved)

    with refusal("waits for a review"):
        people.hall.store.delete_model_version(MODEL, other)

    people.review(other, named(statement))
    people.hall.store.delete_model_version(MODEL, other)


def test_a_model_with_an_emergency_is_neither_deleted_nor_renamed_until_it_is_reviewed(people: People) -> None:
    people.policy(**GLASS, mode="audit")
    version = people.hall.version()
    statement = people.break_glass(version)
    for call in (
        lambda: people.hall.store.delete_registered_model(MODEL),
        lambda: people.hall.store.rename_registered_model(MODEL, "encoder-b"),
    ):
        with refusal("waits for a review"):
            call()

    people.review(version, named(statement))
    people.hall.store.delete_registered_model(MODEL)


def test_an_emergency_lowers_no_bar_that_the_champion_before_it_has_set(people: People) -> None:
    people.policy(evidence.PILOT_RULE, evidence.rule("rank_within_envelope", no_champion="pass"), **GLASS)
    people.promoted()
    weak = people.hall.desk.write("weak/model.safetensors", "weak weights").parent
    version = people.hall.version(weak)
    files = file_manifest(weak).digest
    how = {"called": called(version), "about": files}
    half = evidence.measurement(
        change=lambda row: row | {each: row[each] / 10 for each in ("value", "corrected", "low", "high")}
    )
    people.hall.submit(version, people.hall.desk.measurement(half, **how), people.hall.desk.pilot(**how))
    place = people.hall.store.set_registered_model_alias
    with refusal("fails"):
        place(MODEL, "champion", version)

    people.break_glass(version, files=files)

    with refusal("fails"):
        place(MODEL, "champion", version)
    assert people.outlook()["placements"][0]["decision"].startswith("bg-")


# what the gate does by itself


def test_who_has_no_key_makes_the_gate_reconsider_nothing(people: People) -> None:
    people.policy(on_contrary_evidence="demote")
    _, second = people.promoted(), people.promoted()
    people.policy(evidence.PILOT_RULE | {"value": 0.99}, on_contrary_evidence="demote", promote="manual")

    people.hall.submit(second, *sorted(people.hall.desk.evidence.iterdir()))
    people.ask(second)
    people.withdraw(second)

    assert not people.open("flag")
    assert people.hall.champion() == second


def test_what_speaks_against_a_version_demotes_it_only_where_a_policy_that_hears_it_says_so(people: People) -> None:
    hall = people.hall
    people.policy(evidence.PILOT_RULE, ALARMED, on_contrary_evidence="flag")
    other = {"metadata": {"name": "other", "revision": 1, "owners": ["x"]}, "on_contrary_evidence": "demote"}
    hall.desk.write("policies/other.yaml", evidence.policy_text(evidence.PILOT_RULE, **other, approvals={"count": 1}))
    first, second = hall.version(), hall.version()
    for version in (first, second):
        hall.submit(version, hall.desk.alarms(called=called(version)), hall.desk.pilot(called=called(version)))
        policies = people.outlook(version)["version"]["policies"]
        assert len(policies) == 2
        people.approve(version, "bob")
        hall.store.set_registered_model_alias(MODEL, "champion", version)

    hall.submit(second, hall.desk.alarms("open", called=called(second), now=later(minutes=-30)))

    assert people.open("flag")
    assert hall.champion() == second, "the policy that wants it to go says nothing against it"


def test_the_gate_goes_back_to_what_was_there_before_and_not_to_what_people_took_away(people: People) -> None:
    people.policy(**GLASS)
    first, second = people.promoted(), people.promoted()
    third = people.promoted()
    people.go_back(first)
    other = people.hall.version()
    people.break_glass(other, hours=2)

    end_emergencies(people.hall.store, people.now() + timedelta(hours=2, seconds=30))

    assert people.hall.champion() == first, f"neither {third}, which people took away, nor {second}"


def test_nobody_goes_back_to_what_a_thief_had_approved(people: People) -> None:
    first, second = people.promoted(), people.promoted()
    stolen = {"lab": {"revoked": {"at": later(hours=-3).isoformat(), "reason": "compromised"}}}
    people.hall.desk.write("trust.yaml", trust_text(**stolen))

    with refusal("the key of lab"):
        people.go_back(first)

    assert people.hall.champion() == second


def test_one_emergency_that_cannot_end_keeps_no_other_from_ending(people: People) -> None:
    people.policy(**GLASS, match={"models": [MODEL], "targets": "any"})
    hall = people.hall
    approved = people.promoted()
    staged, former, latest = hall.proved(), hall.proved(), hall.proved()
    for version, stage in ((staged, "Staging"), (former, "Production"), (latest, "Production"), (former, "Staging")):
        hall.store.transition_model_version_stage(MODEL, version, stage, stage == "Production")
    broken, other = hall.version(), hall.version()
    people.break_glass(broken, hours=2, target="stage:Production")
    hall.store.delete_model_version(MODEL, latest)
    people.break_glass(other, hours=2)

    for _ in range(2):
        end_emergencies(hall.store, people.now() + timedelta(hours=2, seconds=30))

    assert hall.champion() == approved
    in_stage = {each.version for each in hall.store.get_latest_versions(MODEL, ["Production"])}
    assert {str(each) for each in in_stage} == {broken}, f"going back to {former} would uncover {staged} in Staging"


@pytest.mark.parametrize("against", ["evidence", "a rejection"])
def test_the_gate_does_not_undo_an_emergency_for_what_was_known_to_speak_against_the_version(
    people: People, against: str
) -> None:
    people.policy(on_contrary_evidence="demote", **GLASS)
    people.promoted()
    version = people.hall.version()
    if against == "evidence":
        speak_against(people, version)
    else:
        people.approve(version, "bob", verdict="reject")

    people.break_glass(version)

    assert people.hall.champion() == version


def test_files_that_are_flagged_come_back_under_no_other_number(people: People) -> None:
    people.policy(promote="automatic", on_contrary_evidence="demote")
    hall = people.hall
    first, second = people.promoted(), hall.version()
    run = {"called": "runs:/0/model"}  # evidence of the files, which names no version
    good = [each.read_bytes() for each in (hall.desk.measurement(**run), hall.desk.pilot(**run))]

    def assessed_well(version: str) -> None:
        for number, envelope in enumerate(good):
            hall.submit(version, hall.desk.write(f"evidence/good-{number}.dsse.json", envelope))
        people.ask(version)

    assessed_well(second)
    assert hall.champion() == second
    speak_against(people, second)
    assert hall.champion() == first

    assessed_well(hall.version())

    assert hall.champion() == first
    assert len(people.open("request")) == 1


def test_whoever_asks_asks_in_few_words(people: People) -> None:
    version = people.hall.version()
    statement = acts.request_statement(people.aim(version), comment="", now=people.now())
    long = replace(statement, predicate={**statement.predicate, "more": "x" * 70_000})

    with refusal("what people ask and say has 65,536 at most"):
        people.hand_in(version, long, None)
