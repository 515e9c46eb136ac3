"""What is open: entries open it, later ones close it, and a table that says otherwise is found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import hypothesis
import hypothesis.strategies as st
import pytest
from ledgers import new_ledger
from sqlalchemy import Engine, delete, insert, update

from mlflow_rank.audit import ledger
from mlflow_rank.audit.entry import Entry, Record
from mlflow_rank.audit.erasing import erase
from mlflow_rank.audit.matters import OPENING, Matters, open_matters
from mlflow_rank.audit.stored import verify_database
from mlflow_rank.audit.tables import matters_table

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
CHAMPION = "alias:champion"


def opening(kind: str = "request", version: str = "7", model: str = "encoder") -> Record:
    return Record(kind, "default", model, version, CHAMPION, {"requester": "ann"})  # type: ignore[arg-type]


def closing(number: int) -> Record:
    return Record("closing", "default", "encoder", "7", CHAMPION, {"closes": number}, reference=str(number))


def append(engine: Engine, *records: Record) -> list[Entry]:
    with engine.begin() as connection:
        return ledger.append(connection, ledger.lock(connection), records, at=NOW)[1]


def numbers(engine: Engine, **asked: str) -> list[int]:
    with engine.connect() as connection:
        return [each.number for each in open_matters(connection, **asked)]  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", OPENING)
def test_an_entry_opens_and_another_closes(engine: Engine, kind: str) -> None:
    (entry,) = append(engine, opening(kind))
    assert numbers(engine) == [entry.number]

    append(engine, closing(entry.number))

    assert numbers(engine) == []
    assert verify_database(engine).holds


def test_of_each_kind_one_is_open_at_a_time_and_the_last_counts(engine: Engine) -> None:
    first, flag, second = append(engine, opening(), opening("flag"), opening())

    assert numbers(engine) == [flag.number, second.number]
    append(engine, closing(first.number))
    assert numbers(engine) == [flag.number, second.number], "what was replaced is closed already"


def test_what_is_asked_for_is_told_and_nothing_else(engine: Engine) -> None:
    one, other, flag = append(engine, opening(version="7"), opening(version="8"), opening("flag", version="8"))

    assert numbers(engine, version="7") == [one.number]
    assert numbers(engine, version="8", kind="request") == [other.number]
    assert numbers(engine, kind="flag") == [flag.number]
    assert numbers(engine, model="another") == []


def test_it_stays_open_when_its_body_is_erased(engine: Engine) -> None:
    (entry,) = append(engine, opening("break_glass"))

    with engine.begin() as connection:
        erase(connection, [entry.number], "asked to", "olga", at=NOW + timedelta(days=1))

    assert numbers(engine) == [entry.number]
    assert verify_database(engine).holds


@pytest.mark.parametrize(
    "change",
    [
        delete(matters_table),
        update(matters_table).values(number=99),
        insert(matters_table).values(
            workspace="default", model="encoder", version="9", target=CHAMPION, kind="flag", number=0
        ),
    ],
    ids=["deleted", "changed", "slipped in"],
)
def test_a_table_that_says_otherwise_is_found(engine: Engine, change: object) -> None:
    append(engine, opening())
    assert verify_database(engine).holds

    with engine.begin() as connection:
        connection.execute(change)  # type: ignore[call-overload]

    (problem,) = verify_database(engine).problems
    assert problem.startswith("rank_matters says of a ")


@hypothesis.given(st.lists(st.tuples(st.sampled_from([*OPENING, "closing"]), st.integers(0, 9)), max_size=12))
@hypothesis.settings(max_examples=25)
def test_the_table_is_the_sum_of_the_entries(tmp_path_factory: pytest.TempPathFactory, steps: list) -> None:
    engine = new_ledger(tmp_path_factory.mktemp("sum") / "mlflow.db")
    summed = Matters()
    for kind, which in steps:
        record = closing(which) if kind == "closing" else opening(kind, version=str(which % 3 + 1))
        for entry in append(engine, record):
            summed.take(entry)

    with engine.connect() as connection:
        assert {each.key: each for each in open_matters(connection)} == summed.open
    engine.dispose()
