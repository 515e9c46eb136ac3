"""What a gate says of itself: of each part as it is, and nothing that is secret."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from acting import CHAMPION, Hall, People
from filed import key_of, trust_text

from mlflow_rank.audit import triggers
from mlflow_rank.errors import EvidenceError
from mlflow_rank.registry.clients.health_document import Health, read_health
from mlflow_rank.registry.server.health import Serving, health

HERE = Serving("rank+sqlite")


def read(hall: Hall, **how: object) -> Health:
    return read_health(health(hall.store, HERE, **how))  # type: ignore[arg-type]


@pytest.fixture
def hall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hall:
    return Hall.built(tmp_path, monkeypatch)


def test_a_gate_in_order_says_so(hall: Hall) -> None:
    version = hall.proved()
    hall.store.set_registered_model_alias("encoder", "champion", version)
    with hall.store.engine.begin() as connection:
        triggers.install(connection, "ann", at=datetime.now(UTC))

    said = read(hall)

    assert said.doors.undecided == ()
    assert said.rules.problems == ()
    assert [(each.name, each.mode, each.models) for each in said.rules.policies] == [
        ("speech-encoder", "enforce", ("*",))
    ]
    assert said.trust.roles == {"emergency": 1, "gate": 1, "measurer": 2, "owner": 1, "reviewer": 2}
    assert (said.gate_key.present, said.gate_key.problem) == (True, None)
    assert (said.triggers.stands, said.triggers.wanted, said.triggers.lacking) == (True, True, 0)
    assert said.ledger.size == len(hall.entries())
    assert said.ledger.at is not None
    assert said.ledger.back is None
    assert said.deviations.count == 0
    assert said.canary.governed


def test_it_tells_no_secret_and_no_place_of_a_key(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    hall.desk.write("gate.key", "no key any more")
    monkeypatch.setenv("MLFLOW_RANK_WEBHOOKS", str(hall.desk.place / "nowhere.yaml"))

    said = health(hall.store, HERE)

    assert len(said["rules"]["problems"]) == 1
    assert said["webhooks"]["problem"] is not None
    assert str(hall.desk.place) not in json.dumps(said)


def test_a_broken_policy_is_told_with_its_line(hall: Hall) -> None:
    hall.desk.write("policies/policy.yaml", "apiVersion: mlflow-rank/v1\nkind: PromotionPolicy\nmode: perhaps\n")

    (problem,) = read(hall).rules.problems

    assert "policy.yaml:3:7: mode:" in problem


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"roles": ["measurer"]}, "the trust file gives it the roles measurer, and not gate"),
        ({"valid_until": "2026-01-01T00:00:00Z"}, "by the trust file it is not in force now"),
        ({"valid_from": "2099-01-01T00:00:00Z"}, "by the trust file it is not in force now"),
    ],
)
def test_a_key_of_the_gate_that_counts_for_nothing_is_told(hall: Hall, entry: dict[str, object], problem: str) -> None:
    hall.desk.write("trust.yaml", trust_text(gate=entry))

    assert read(hall).gate_key.problem == problem


def test_a_gate_that_nobody_trusts_is_told(hall: Hall) -> None:
    hall.desk.write("trust.yaml", trust_text(gate={"key": key_of("eve").public.text}))

    assert read(hall).gate_key.problem == "the trust file does not name it"


def test_keys_that_end_are_named_and_those_that_were_revoked_are_no_news(hall: Hall) -> None:
    now = datetime.now(UTC)
    soon, gone, late = ((now + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ") for days in (29, -1, 31))
    revoked = {"revoked": {"at": gone, "reason": "retired"}}
    ends = {"ann": {"valid_until": soon}, "bob": {"valid_until": gone}, "olga": {"valid_until": late}, "emma": revoked}
    hall.desk.write("trust.yaml", trust_text(**ends))

    trust = read(hall).trust

    assert [(each.name, each.ended) for each in trust.ending] == [("ann", False), ("bob", True)]
    assert trust.roles == {"gate": 1, "measurer": 2, "owner": 1, "reviewer": 1}


def test_a_wall_with_a_gap_and_a_gate_left_open_are_told(hall: Hall) -> None:
    with hall.store.engine.begin() as connection:
        triggers.install(connection, "ann", at=datetime.now(UTC))
        connection.exec_driver_sql("DROP TRIGGER rank_wall_registered_model_aliases_update")
        connection.exec_driver_sql("UPDATE rank_ledger_head SET gate_open = 1")

    said = read(hall).triggers

    assert (said.stands, said.wanted, said.gate_open, said.lacking) == (False, True, True, 1)


def test_an_alias_that_was_set_behind_the_gate_is_found_and_told_to_its_readers_alone(hall: Hall) -> None:
    version = hall.version()
    with hall.store.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO registered_model_aliases (workspace, name, alias, version) "
            f"VALUES ('default', 'encoder', 'champion', {version})"
        )

    told, hidden = read(hall).deviations, read(hall, readable=lambda _: False).deviations

    assert (told.count, hidden.count) == (1, 1)
    assert told.sentences == ("alias:champion of encoder is version 1, and nothing in the ledger put it there",)
    assert hidden.sentences == ()


def test_a_break_glass_that_nobody_reviews_is_counted_and_in_time_is_overdue(hall: Hall) -> None:
    people, version = People(hall), hall.version()
    people.policy(break_glass={"review_within": "3d"})
    people.break_glass(version)

    fresh = read(hall).open
    with people.at(datetime.now(UTC) + timedelta(days=4)):
        late = read(hall, readable=lambda _: False).open

    assert (fresh.break_glass, fresh.overdue, fresh.expired) == (1, 0, 0)
    assert fresh.named == (f"encoder/{version} at {CHAMPION}",)
    assert (late.break_glass, late.overdue, late.expired, late.named) == (1, 1, 1, ())


def test_entries_that_go_back_in_time_are_found(hall: Hall) -> None:
    hall.version()
    gate = hall.store.gate
    hall.store.gate = replace(gate, clock=lambda: datetime.now(UTC) - timedelta(hours=1))
    hall.version()
    hall.store.gate = gate

    back = read(hall).ledger.back

    assert back is not None
    assert back.number == hall.entries()[-1].number
    assert back.seconds == pytest.approx(3600, abs=60)


def test_what_is_no_health_is_not_read(hall: Hall) -> None:
    said = health(hall.store, HERE)
    del said["triggers"]["stands"]

    with pytest.raises(EvidenceError) as raised:
        read_health(said)
    assert raised.value.got == "triggers.stands: Field required"
