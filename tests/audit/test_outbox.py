"""The outbox: nothing is posted that did not happen, each message is taken by one, and none is lost by his end."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledgers import START, new_ledger
from sqlalchemy import Engine, create_engine, select

from mlflow_rank.audit import outbox
from mlflow_rank.audit.entry import written
from mlflow_rank.audit.outbox import DEAD, DELIVERED, LEASE, PENDING, Letter, Patience
from mlflow_rank.audit.tables import outbox_table

SECOND = timedelta(seconds=1)
LATER = START + LEASE + SECOND


def letter(number: int = 0, hook: str = "chat") -> Letter:
    at = written(START)
    return Letter(str(uuid.uuid4()), number, hook, "promoted", f'{{"number":{number}}}', 0, at, at)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """A ledger in either database, whose connections several threads may have at once."""
    if request.param == "sqlite":
        made = new_ledger(request.getfixturevalue("place"))
        engine = create_engine(made.url, connect_args={"timeout": 60})
    else:
        made = new_ledger(request.getfixturevalue("postgres"))
        engine = create_engine(made.url)
    yield engine
    engine.dispose()
    made.dispose()


def posted(engine: Engine, *letters: Letter) -> list[Letter]:
    with engine.begin() as connection:
        outbox.post(connection, letters)
    return list(letters)


def taken(engine: Engine, now: object = START, **how: object) -> Letter:
    with engine.begin() as connection:
        found = outbox.take(connection, now, **how)  # type: ignore[arg-type]
    assert found is not None
    return found


def states(engine: Engine) -> dict[str, str]:
    with engine.connect() as connection:
        return {row.id: row.state for row in connection.execute(select(outbox_table))}


def test_what_is_rolled_back_is_told_to_nobody(engine: Engine) -> None:
    with engine.connect() as connection:
        outbox.post(connection, [letter()])
        connection.rollback()

    with engine.begin() as connection:
        assert outbox.take(connection, START) is None


def test_messages_are_taken_in_the_order_of_the_ledger_and_for_a_while(database: Engine) -> None:
    posted(database, letter(2), letter(1))

    assert [taken(database).number, taken(database).number] == [1, 2]
    with database.begin() as connection:
        assert outbox.take(connection, START + LEASE - SECOND) is None
    again = taken(database, LATER)
    assert (again.number, again.attempts) == (1, 2)


def test_of_many_who_deliver_each_message_is_taken_by_one(database: Engine) -> None:
    sent = posted(database, *(letter(number) for number in range(40)))
    found: list[str] = []

    def work() -> None:
        while True:
            with database.begin() as connection:
                mine = outbox.take(connection, START)
            if mine is None:
                return
            found.append(mine.id)
            with database.begin() as connection:
                outbox.delivered(connection, mine)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(found) == sorted(each.id for each in sent)
    assert set(states(database).values()) == {DELIVERED}


def test_who_is_late_changes_nothing_that_another_took_since(engine: Engine) -> None:
    posted(engine, letter())
    late = taken(engine)
    other = taken(engine, LATER)

    with engine.begin() as connection:
        outbox.failed(connection, late, "too late", LATER, Patience(attempts=1), 0.0)
    assert states(engine) == {late.id: PENDING}
    with engine.begin() as connection:
        outbox.delivered(connection, other)
    assert states(engine) == {late.id: DELIVERED}


def test_what_was_delivered_is_remembered_for_a_week_without_what_it_said(engine: Engine) -> None:
    posted(engine, letter())
    with engine.begin() as connection:
        outbox.delivered(connection, taken(engine))
        (row,) = connection.execute(select(outbox_table)).all()
        assert (row.payload, row.state) == ("", DELIVERED)
        outbox.forget_delivered(connection, START + outbox.KEPT - SECOND)
        assert len(connection.execute(select(outbox_table)).all()) == 1
        outbox.forget_delivered(connection, START + outbox.KEPT)
        assert connection.execute(select(outbox_table)).all() == []


def test_a_receiver_that_is_left_out_holds_up_nobody(engine: Engine) -> None:
    posted(engine, letter(1, "down"), letter(2, "up"))

    assert taken(engine, leaving_out={"down"}).hook == "up"
    with engine.begin() as connection:
        assert outbox.take(connection, START, leaving_out={"down"}) is None


def test_it_dies_with_its_last_attempt(engine: Engine) -> None:
    posted(engine, letter())
    now, patience, waited = START, Patience(attempts=3), []

    for _ in range(3):
        mine = taken(engine, now)
        with engine.begin() as connection:
            state = outbox.failed(connection, mine, "refused", now, patience, 0.0)
        waited.append(state)
        now += patience.longest

    assert waited == [PENDING, PENDING, DEAD]
    with engine.connect() as connection:
        (left,) = outbox.dead(connection)
    assert (left.attempts, left.error) == (3, "refused")


def test_it_dies_of_age_but_never_untried(engine: Engine) -> None:
    posted(engine, letter())
    old = START + Patience().age

    mine = taken(engine, old)
    with engine.begin() as connection:
        assert outbox.failed(connection, mine, "refused", old, Patience(), 0.0) == DEAD


def test_what_no_attempt_can_help_dies_at_once(engine: Engine) -> None:
    posted(engine, letter())

    mine = taken(engine)
    with engine.begin() as connection:
        assert outbox.failed(connection, mine, "gone", START, Patience(), 0.0, for_good=True) == DEAD


def test_the_dead_are_delivered_again_as_if_they_were_new(engine: Engine) -> None:
    first, second = posted(engine, letter(1), letter(2))
    for _ in range(2):
        mine = taken(engine)
        with engine.begin() as connection:
            outbox.failed(connection, mine, "no", START, Patience(attempts=1), 0.0)

    much_later = START + timedelta(days=30)
    with engine.begin() as connection:
        assert outbox.retry(connection, [first.id], much_later) == 1
        assert [each.id for each in outbox.dead(connection)] == [second.id]
    again = taken(engine, much_later)
    assert (again.id, again.attempts, again.payload) == (first.id, 1, first.payload)
    with engine.begin() as connection:
        assert outbox.failed(connection, again, "no", much_later, Patience(), 0.0) == PENDING
        assert outbox.retry(connection, None, much_later) == 1
        assert outbox.dead(connection) == []


def test_messages_of_an_erased_entry_can_be_taken_away(engine: Engine) -> None:
    kept, _, _ = posted(engine, letter(1), letter(2), letter(2, "other"))

    with engine.begin() as connection:
        outbox.forget(connection, [2])

    assert set(states(engine)) == {kept.id}


def test_they_are_counted_by_receiver_and_state(engine: Engine) -> None:
    posted(engine, letter(1), letter(2), letter(3, "other"))
    with engine.begin() as connection:
        outbox.delivered(connection, taken(engine))
        assert outbox.counts(connection) == {("chat", DELIVERED): 1, ("chat", PENDING): 1, ("other", PENDING): 1}


def test_a_long_reason_is_cut_to_its_column(database: Engine) -> None:
    posted(database, letter())
    mine = taken(database)
    with database.begin() as connection:
        outbox.failed(connection, mine, "x" * 2000, START, Patience(attempts=1), 0.0)
        (left,) = outbox.dead(connection)
    assert left.error == "x" * outbox.LONGEST_ERROR


@given(st.integers(1, 10_000), st.floats(0.0, 1.0))
def test_a_pause_never_shrinks_and_never_exceeds_the_longest_by_more_than_a_quarter(attempts: int, draw: float) -> None:
    patience = Patience()

    assert patience.pause(attempts, 0.0) <= patience.pause(attempts, draw) <= patience.longest * 1.25
    assert patience.pause(attempts, 0.0) <= patience.pause(attempts + 1, 0.0)


def test_all_attempts_together_take_as_long_as_is_said() -> None:
    patience = Patience()
    total = sum((patience.pause(each, 0.0) for each in range(1, patience.attempts)), timedelta())

    assert timedelta(hours=2) < total < timedelta(hours=3)
