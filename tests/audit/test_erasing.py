from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from ledgers import START
from sqlalchemy import Engine

from mlflow_rank.audit import ledger
from mlflow_rank.audit.checkpoint import checkpoint_of
from mlflow_rank.audit.database import opened
from mlflow_rank.audit.entry import Entry
from mlflow_rank.audit.erasing import erase
from mlflow_rank.audit.history import as_of, history
from mlflow_rank.audit.stored import verify_database
from mlflow_rank.errors import UsageError

LATER = START + timedelta(days=30)


def erased(engine: Engine, *numbers: int) -> Entry:
    with engine.begin() as connection:
        return erase(connection, numbers, "asked by ann", "privacy officer", at=LATER)


def entries(engine: Engine) -> list[Entry]:
    with engine.connect() as connection:
        return list(ledger.entries(connection))


def test_the_proof_stays_whole_and_the_body_is_gone(engine: Engine, told: list[Entry]) -> None:
    with engine.connect() as connection:
        before = {"the kept checkpoint": checkpoint_of(ledger.head_of(connection))}

    erasure = erased(engine, 4, 7)

    found = verify_database(engine, before)
    assert found.holds
    assert found.erased == 2
    after = entries(engine)
    assert [entry.number for entry in after if entry.body is None] == [4, 7]
    assert [entry.hash for entry in after[:11]] == [entry.hash for entry in told]
    assert erasure.content["entries"] == [4, 7]
    assert erasure.content["reason"] == "asked by ann"


def test_what_lay_where_stays_known_and_who_did_it_does_not(engine: Engine, told: list[Entry]) -> None:
    before = history(told, "hubert"), as_of(told, START + timedelta(hours=7))

    erased(engine, 3, 7, 8)

    rows = history(entries(engine), "hubert")
    assert as_of(entries(engine), START + timedelta(hours=7)) == before[1]
    assert [(row.number, row.before, row.after, row.decision, row.verdict) for row in rows] == [
        (row.number, row.before, row.after, row.decision, row.verdict) for row in before[0]
    ]
    assert {row.actor for row in rows} == {"(erased)"}
    assert "bob" not in str(rows)


def test_erased_evidence_is_kept_no_longer(engine: Engine, told: list[Entry]) -> None:
    erased(engine, 1)

    with engine.connect() as connection:
        assert ledger.evidence_of(connection, "default", "hubert", "1") == []
        assert len(ledger.evidence_of(connection, "default", "hubert", "2")) == 1
    assert verify_database(engine).holds


def test_an_erased_decision_takes_its_checkpoint_with_it(engine: Engine, told: list[Entry]) -> None:
    erased(engine, 2)

    found = verify_database(engine)
    assert (found.holds, found.checkpoints) == (True, 1)


@pytest.mark.parametrize("numbers", [(), (99,), (4, 99), (4, 4, -1)])
def test_nothing_is_erased_where_one_of_them_is_not_there(
    engine: Engine, told: list[Entry], numbers: tuple[int, ...]
) -> None:
    with pytest.raises(UsageError):
        erased(engine, *numbers)
    assert entries(engine) == told


def test_an_entry_is_erased_once_and_an_erasure_never(engine: Engine, told: list[Entry]) -> None:
    erased(engine, 4)

    with pytest.raises(UsageError, match="erased before"):
        erased(engine, 4)
    with pytest.raises(UsageError, match="stays"):
        erased(engine, 11)


def test_a_body_that_came_back_from_a_copy_is_remarked(engine: Engine, told: list[Entry]) -> None:
    from sqlalchemy import update

    from mlflow_rank.audit.tables import ledger_table

    erased(engine, 4)
    with engine.begin() as connection:
        back = update(ledger_table).where(ledger_table.c.number == 4)
        connection.execute(back.values(body=told[4].body, salt=told[4].salt))

    found = verify_database(engine)
    assert found.holds
    assert found.remarks == ("entry 4 has its body, although entry 11 erased it: it came back from a copy",)


def test_what_is_erased_by_the_command_is_nowhere_in_the_file(engine: Engine, told: list[Entry], place: Path) -> None:
    assert b'"sentence":"no 0"' in place.read_bytes()

    with opened(f"sqlite:///{place}", writes=True) as writing:
        erased(writing, 4, 9)

    assert b'"sentence":"no 0"' not in place.read_bytes()
