"""What entries of the ledger are to the outside: one event each, in a sentence, with nothing that is secret or long."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from ledgers import ACTOR, START, move, new_ledger
from sqlalchemy import Engine

from mlflow_rank.audit import ledger
from mlflow_rank.audit.entry import Entry, Record
from mlflow_rank.registry.outside.hook_file import Hook, HooksInForce
from mlflow_rank.registry.outside.webhooks import LONGEST, News, letters_of, news_in, not_told

CHAMPION = "alias:champion"


@pytest.fixture
def engine(tmp_path: Any) -> Engine:
    return new_ledger(tmp_path / "mlflow.db")


def record(kind: Any, body: Mapping[str, object], *, target: str | None = CHAMPION, **more: Any) -> Record:
    return Record(kind, "default", "hubert", "7", target, {"actor": ACTOR} | dict(body), **more)


def change(door: str, decision: str | None, *moves: Mapping[str, object], **arguments: object) -> Record:
    return record("change", {"door": door, "arguments": arguments, "decision": decision, "moves": list(moves)})


def decision(verdict: str, *, enforced: bool = True) -> Record:
    document = {"id": "d1", "verdict": verdict, "enforced": enforced, "sentence": f"{verdict}: keywords fail"}
    return record("decision", {"decision": document}, reference="d1")


def entries_of(engine: Engine, *records: Record) -> list[Entry]:
    with engine.begin() as connection:
        return ledger.append(connection, ledger.lock(connection), records, at=START)[1]


def news(engine: Engine, *records: Record, earlier: str | None = None) -> list[News]:
    return list(news_in(entries_of(engine, *records), lambda _: earlier))


MOVE = move("hubert", CHAMPION, "6", "7")


def test_a_request_is_told_with_what_was_written(engine: Engine) -> None:
    (told,) = news(engine, record("request", {"comment": "as\nagreed\x1b", "signed_by": ["ann"], "requester": "ann"}))

    assert (told.event, told.by) == ("requested", ("ann",))
    assert told.sentence == f"version 7 of hubert is to go to {CHAMPION}; as agreed\\x1b"


@pytest.mark.parametrize(("verdict", "event"), [("approve", "approved"), ("reject", "refused")])
def test_a_word_for_or_against_is_told_with_whose_it_was(engine: Engine, verdict: str, event: str) -> None:
    body = {"kind": "approval", "verdict": verdict, "target": CHAMPION, "signed_by": ["ann", "bob"]}
    (told,) = news(engine, record("evidence", body, target=None))

    assert (told.event, told.target, told.by) == (event, CHAMPION, ("ann", "bob"))
    assert told.sentence == f"version 7 of hubert for {CHAMPION} is {verdict.rstrip('e')}ed by ann and bob"


def test_a_witnessed_word_is_that_of_the_user_and_not_of_the_gate(engine: Engine) -> None:
    body = {"kind": "approval", "verdict": "approve", "target": CHAMPION, "signed_by": ["gate"], "witnessed": "cid"}
    (told,) = news(engine, record("evidence", body, target=None))

    assert told.by == ("cid",)


def test_other_evidence_is_no_news(engine: Engine) -> None:
    assert news(engine, record("evidence", {"kind": "pilot", "signed_by": ["lab"]}, target=None)) == []


def test_a_denial_and_its_refusal_are_one_event(engine: Engine) -> None:
    refusal = record("refusal", {"decision": "d1", "sentence": "Refused: keywords fail; decision d1"})
    (told,) = news(engine, decision("deny"), refusal)

    assert (told.event, told.decision, told.sentence) == ("refused", "d1", "Refused: keywords fail; decision d1")


def test_a_refused_call_at_no_target_is_no_news(engine: Engine) -> None:
    assert news(engine, record("refusal", {"sentence": "tags that begin with rank. are the gate's"}, target=None)) == []


def test_a_promotion_is_told_once_with_its_decision(engine: Engine) -> None:
    (told,) = news(engine, decision("approve"), change("set_registered_model_alias", "d1", MOVE))

    assert (told.event, told.decision, told.target) == ("promoted", "d1", CHAMPION)
    assert told.sentence == f"{CHAMPION} of hubert: 6 to 7; approve: keywords fail"


def test_a_promotion_on_an_earlier_decision_is_one_too(engine: Engine) -> None:
    moved = change("set_registered_model_alias", "d0", MOVE)

    assert [each.event for each in news(engine, moved, earlier="approve")] == ["promoted"]
    assert news(engine, moved, earlier="deny") == []


def test_what_is_let_through_only_because_policies_watch_was_refused_by_them(engine: Engine) -> None:
    moved = change("set_registered_model_alias", "d1", MOVE)
    (told,) = news(engine, decision("deny", enforced=False), moved)

    assert (told.event, told.sentence) == ("refused", "deny: keywords fail; not enforced")


def test_changes_that_nobody_decided_and_that_move_nothing_are_no_news(engine: Engine) -> None:
    assert news(engine, change("create_model_version", None), change("delete_registered_model_alias", None, MOVE)) == []
    assert news(engine, decision("approve"), change("set_registered_model_alias", "d1")) == []


@pytest.mark.parametrize("door", ["rollback", "demotion"])
def test_a_version_that_gives_its_place_back_is_a_demotion(engine: Engine, door: str) -> None:
    back = change(door, "d0", move("hubert", CHAMPION, "7", "6"), reason="it hears nothing", signed_by=["bob"])
    (told,) = news(engine, back, earlier="approve")

    assert (told.event, told.by) == ("demoted", ("bob",))
    assert told.sentence == f"{CHAMPION} of hubert: 7 to 6, by {door}; it hears nothing"


def test_a_break_glass_is_told_as_such_and_not_as_a_promotion(engine: Engine) -> None:
    opened = record("break_glass", {"reason": "all calls fail", "ticket": "OPS-1", "signed_by": ["dora"]})
    (told,) = news(engine, opened, change("break_glass", "bg-123456789012", MOVE), earlier=None)

    assert (told.event, told.by) == ("break-glass", ("dora",))
    assert told.sentence == (
        f"version 7 of hubert is placed at {CHAMPION} without approval; all calls fail; ticket OPS-1"
    )


def test_its_review_is_told_too(engine: Engine) -> None:
    (told,) = news(engine, record("review", {"verdict": "reject", "comment": "no need", "signed_by": ["bob"]}))

    assert told.event == "break-glass"
    assert told.sentence == "the break-glass of version 7 of hubert is reviewed by bob: reject"


def test_a_message_leads_to_its_entry_and_holds_nothing_else_of_it(engine: Engine) -> None:
    body = {"signed_by": ["ann"], "origin": {"address": "10.0.0.9"}, "envelope": "signed bytes"}
    (told,) = news(engine, record("request", body))

    said = json.loads(told.payload("an id"))

    assert said["ledger"] == {"number": 0, "hash": told.entry.hash}
    assert (said["id"], said["event"], said["at"]) == ("an id", "requested", told.entry.at)
    assert (said["workspace"], said["model"], said["version"], said["target"]) == ("default", "hubert", "7", CHAMPION)
    assert said["actor"] == ACTOR
    assert "10.0.0.9" not in json.dumps(said)
    assert "signed bytes" not in json.dumps(said)


def test_what_people_wrote_is_cut(engine: Engine) -> None:
    long = "a" * 5000
    body = {"comment": long, "signed_by": [long], "actor": {"name": long, "verified": False}}
    (told,) = news(engine, record("request", body))

    assert long[: LONGEST + 1] not in told.payload("an id")
    assert long[: LONGEST - 1] in told.payload("an id")


def hook(name: str, events: Any, *models: str) -> Hook:
    return Hook(name=name, url="http://lab", secret_env="X", events=events, models=models or ("*",))


def test_each_receiver_gets_what_it_wants_under_an_id_of_its_own(engine: Engine) -> None:
    told = HooksInForce(
        (
            hook("every", "any"),
            hook("moves", ("promoted", "demoted")),
            hook("requests", ("requested",), "hub*"),
            hook("other", "any", "wavlm"),
        )
    )
    letters = list(letters_of(news(engine, record("request", {})), told, START))

    assert [each.hook for each in letters] == ["every", "requests"]
    assert len({each.id for each in letters}) == 2
    assert all(json.loads(each.payload)["id"] == each.id for each in letters)


def test_a_broken_file_is_recorded_once(engine: Engine) -> None:
    told = HooksInForce((), "sha256:ab", "webhooks.yaml:1:1: document: is empty")
    with engine.begin() as connection:
        first = not_told(connection, told)
        ledger.append(connection, ledger.lock(connection), first, at=START)
        again = not_told(connection, told)
        another = not_told(connection, HooksInForce((), "sha256:cd", "it is gone"))
        fine = not_told(connection, HooksInForce())

    assert [len(first), len(again), len(another), len(fine)] == [1, 0, 1, 0]
    assert "webhooks.yaml:1:1" in str(first[0].body["sentence"])
