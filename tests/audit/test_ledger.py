from __future__ import annotations

import multiprocessing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from appending import append_often
from ledgers import ACTOR, GATE, START, accepted, appended, change, move, new_ledger, refusal
from sqlalchemy import Engine, delete, insert, update
from sqlalchemy.orm import Session

from mlflow_rank.audit import ledger, tables
from mlflow_rank.audit.entry import Entry, Record, start_of
from mlflow_rank.audit.merkle import root_of
from mlflow_rank.audit.stored import verify_database
from mlflow_rank.errors import LedgerError
from mlflow_rank.evidence.envelope import Envelope

PROCESSES, EACH = 8, 40


def head(engine: Engine) -> ledger.Head:
    with engine.connect() as connection:
        return ledger.head_of(connection)


def placed(engine: Engine) -> dict[tuple[str, str], str]:
    with engine.connect() as connection:
        return {(each.model, each.target): each.version for each in ledger.placements(connection)}


def test_each_entry_names_the_hash_of_the_one_before_it(engine: Engine, told: list[Entry]) -> None:
    assert [entry.number for entry in told] == list(range(11))
    assert told[0].previous == start_of(head(engine).ledger_id)
    assert [entry.previous for entry in told[1:]] == [entry.hash for entry in told[:-1]]
    assert all(entry.hash == entry.computed_hash.hex() for entry in told)


def test_the_head_says_how_many_entries_there_are_and_their_root(engine: Engine, told: list[Entry]) -> None:
    found = head(engine)

    assert (found.size, found.hash) == (11, told[-1].hash)
    assert found.tree.root == root_of(bytes.fromhex(entry.hash) for entry in told)
    assert found.origin == f"mlflow-rank/{found.ledger_id}"


def test_several_records_in_one_call_are_the_same_chain_as_one_by_one(engine: Engine) -> None:
    with engine.begin() as connection:
        after, entries = ledger.append(
            connection, ledger.lock(connection), [change("1", None), refusal(), change("2", "1")], at=START
        )

    assert head(engine) == after
    assert [entry.number for entry in entries] == [0, 1, 2]
    assert placed(engine) == {("hubert", "alias:champion"): "2"}
    assert verify_database(engine).holds


def test_nothing_to_append_changes_nothing(engine: Engine, told: list[Entry]) -> None:
    before = head(engine)

    assert appended(engine) == []
    assert head(engine) == before


def test_what_is_rolled_back_was_never_there(engine: Engine, told: list[Entry]) -> None:
    before = head(engine)
    with engine.connect() as connection:
        ledger.append(connection, ledger.lock(connection), [change("7", "1", model="other")], at=START)
        connection.rollback()

    assert head(engine) == before
    assert placed(engine)["other", "alias:champion"] == "1"


def test_a_session_serves_as_well_as_a_connection(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        _, (entry,) = ledger.append(session, ledger.lock(session), [change("1", None, decision="d")], at=START)
        placement = ledger.placement(session, "default", "hubert", "alias:champion")

    assert placement is not None
    assert (placement.version, placement.decision, placement.number) == ("1", "d", entry.number)


def test_placements_follow_the_moves(engine: Engine, told: list[Entry]) -> None:
    assert placed(engine) == {("wavlm", "alias:champion"): "2", ("other", "alias:champion"): "1"}
    with engine.connect() as connection:
        assert ledger.placement(connection, "default", "hubert", "alias:champion") is None
        renamed = ledger.placement(connection, "default", "wavlm", "alias:champion")
    assert renamed is not None
    assert renamed.files == f"sha256:{'a' * 64}"
    assert renamed.document()["number"] == 8


def test_a_workspace_has_placements_of_its_own(engine: Engine) -> None:
    appended(engine, change("1", None), replace(change("5", None), workspace="lab"))

    with engine.connect() as connection:
        ours = ledger.placement(connection, "default", "hubert", "alias:champion")
        theirs = ledger.placement(connection, "lab", "hubert", "alias:champion")
    assert ours is not None
    assert theirs is not None
    assert (ours.version, theirs.version) == ("1", "5")


@pytest.mark.parametrize(
    "moves", [None, "all", [1], [{"model": "m"}], [{**move("m", "alias:a", None, "1"), "after": 1}]]
)
def test_moves_that_nobody_could_read_are_refused(engine: Engine, moves: object) -> None:
    with pytest.raises(LedgerError, match="no move that the ledger writes"):
        appended(engine, Record("change", "default", "m", "1", None, {"actor": ACTOR, "moves": moves}))
    assert head(engine).size == 0


def test_entries_of_one_model_come_in_order_and_from_a_number_on(engine: Engine, told: list[Entry]) -> None:
    with engine.connect() as connection:
        of_other = list(ledger.entries(connection, model="other", workspace="default"))
        last = list(ledger.entries(connection, first=9))

    assert of_other == [told[10]]
    assert last == told[9:]


def test_entries_come_in_pages_and_all_of_them(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    appended(engine, *(refusal(number) for number in range(10)))
    for page in (1, 3, 5, 10, 11):
        monkeypatch.setattr(ledger, "PAGE", page)
        with engine.connect() as connection:
            assert [entry.number for entry in ledger.entries(connection)] == list(range(10))


def test_a_decision_is_found_by_its_id(engine: Engine, told: list[Entry]) -> None:
    with engine.connect() as connection:
        assert ledger.find(connection, "decision", "d2") == told[6]
        assert ledger.find(connection, "change", "d2") is None
        assert ledger.find(connection, "decision", "d3") is None


def test_the_last_of_several_with_one_reference_is_found(engine: Engine) -> None:
    accepted(engine, b"same", version="1")
    digest = accepted(engine, b"same", version="2")

    with engine.connect() as connection:
        found = ledger.find(connection, "evidence", digest)
    assert found is not None
    assert found.number == 1


def test_kept_evidence_comes_back_as_the_bytes_that_were_signed(engine: Engine, told: list[Entry]) -> None:
    with engine.connect() as connection:
        (kept,) = ledger.evidence_of(connection, "default", "hubert", "1")
        nothing = ledger.evidence_of(connection, "default", "hubert", "3")

    assert kept.envelope == Envelope(b"measurement of 1").signed_by(GATE).to_json()
    assert kept.digest == Envelope(b"measurement of 1").digest
    assert (kept.kind, kept.received_at) == ("rank", "2026-11-25T13:00:00.000000Z")
    assert nothing == []


def test_evidence_that_comes_again_takes_the_place_of_what_was_kept(engine: Engine) -> None:
    accepted(engine, b"same", version="1")
    accepted(engine, b"same", version="1", at=START + timedelta(hours=1))

    with engine.connect() as connection:
        (kept,) = ledger.evidence_of(connection, "default", "hubert", "1")
    assert kept.received_at.startswith("2026-11-25T13")
    assert verify_database(engine).holds


@pytest.mark.parametrize("packed", [b"", b"no zlib", b"x\x9c\x03\x00\x00\x00\x00\x01more"])
def test_kept_evidence_that_is_damaged_is_not_given_out(packed: bytes) -> None:
    with pytest.raises(LedgerError, match="the kept evidence sha256:a"):
        ledger.unpacked(packed, "sha256:a")


def test_whoever_appends_without_the_lock_fails_instead_of_forking_the_chain(engine: Engine) -> None:
    stale = head(engine)
    appended(engine, refusal())

    with pytest.raises(LedgerError, match="somebody else appended"), engine.begin() as connection:
        ledger.append(connection, stale, [refusal(1)], at=START)
    assert verify_database(engine).holds


def test_a_database_without_a_head_takes_no_entry(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(delete(tables.head_table))

    with pytest.raises(LedgerError, match="has no head"):
        appended(engine, refusal())


@pytest.mark.parametrize("peaks", ["[]", "{", '["xy"]', "null"])
def test_a_damaged_head_takes_no_entry(engine: Engine, told: list[Entry], peaks: str) -> None:
    with engine.begin() as connection:
        connection.execute(update(tables.head_table).values(peaks=peaks))

    with pytest.raises(LedgerError, match=r"damaged|no perfect subtrees"):
        appended(engine, refusal())


def test_no_two_entries_can_follow_one_another_by_the_same_hash(engine: Engine, told: list[Entry]) -> None:
    from sqlalchemy.exc import IntegrityError

    forked = {name: getattr(told[3], name) for name in Entry.__dataclass_fields__} | {"number": 11, "hash": "0" * 64}

    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(insert(tables.ledger_table), [forked])


def together(uri: str) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=append_often, args=(uri, EACH)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
    assert [process.exitcode for process in processes] == [0] * PROCESSES


def test_eight_processes_that_append_at_once_leave_one_chain(place: Path) -> None:
    engine = new_ledger(place)

    together(f"sqlite:///{place}")

    found = verify_database(engine)
    assert (found.problems, found.size) == ((), PROCESSES * EACH)


def test_eight_processes_that_append_at_once_leave_one_chain_in_postgresql(postgres: str) -> None:
    engine = new_ledger(postgres)

    together(postgres)

    found = verify_database(engine)
    engine.dispose()
    assert (found.problems, found.size) == ((), PROCESSES * EACH)
