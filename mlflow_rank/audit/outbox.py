"""Messages to the outside, written in the transaction of what they tell, and taken from here one at a time.

So nothing is told that did not happen, and nothing that happened is forgotten because a process ended. Whoever delivers
takes a message for a while (a lease); if he ends before he says what became of it, somebody else takes it again. Hence
a message is delivered at least once, and its id tells a repeat. The order of one receiver's messages is kept only as
long as each is taken at once: what failed comes later than what followed it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import delete, func, insert, select, update

from mlflow_rank.audit.entry import written
from mlflow_rank.audit.tables import outbox_table

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult, Update
    from sqlalchemy.orm import Session

    Database = Connection | Session

PENDING, DELIVERED, DEAD = "pending", "delivered", "dead"
LEASE = timedelta(seconds=60)  # six times what a receiver is waited for, so that a slow one is not told twice
KEPT = timedelta(days=7)  # for which a delivered message is remembered, without what it said
LONGEST_ERROR = 500  # characters: as long as the column


@dataclass(frozen=True, slots=True)
class Letter:
    """A message to one receiver: its id, the entry that it tells of, the receiver's name, and what it says.

    `attempts` counts those that began, this one included. `next_at` is when it may be taken again.
    """

    id: str
    number: int
    hook: str
    event: str
    payload: str
    attempts: int
    made_at: str
    next_at: str
    error: str | None = None

    def document(self) -> dict[str, object]:
        """Return it JSON-ready, without what it says."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "payload"}


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how long a delivery is tried, and how long is waited in between.

    The defaults try for about two and a half hours, which a receiver takes at most to be repaired or rolled out anew;
    after that somebody has to look. Where no server runs meanwhile, a message waits for a long weekend, and is then
    tried once more.
    """

    attempts: int = 12
    age: timedelta = timedelta(days=3)
    first: timedelta = timedelta(seconds=5)
    longest: timedelta = timedelta(hours=1)

    def pause(self, attempts: int, draw: float) -> timedelta:
        """Return how long to wait after so many attempts: each time twice as long, and up to a quarter longer.

        Args:
            attempts: from 1.
            draw: from 0 to 1, by chance, so that many messages that failed together do not all come back together.

        >>> [Patience().pause(attempts, 0.0).seconds for attempts in (1, 2, 3, 11)]
        [5, 10, 20, 3600]
        """
        doubled = min(self.first * 2.0 ** min(attempts - 1, 32), self.longest)  # beyond 32 no doubling is waited for
        return doubled * (1 + draw / 4)


def post(connection: Database, letters: Sequence[Letter]) -> None:
    """Put messages in, in the transaction of what they tell."""
    if letters:
        connection.execute(insert(outbox_table), [each.document() | _waiting(each) for each in letters])


def take(connection: Database, now: datetime, *, leaving_out: Collection[str] = ()) -> Letter | None:
    """Take the message that waits longest, for `LEASE`; None where none is due.

    Args:
        connection: of a transaction of its own, which must commit before the message is delivered.
        now: what time it is.
        leaving_out: receivers to whom nothing is to be delivered now.
    """
    columns = outbox_table.c
    due = select(outbox_table).where(columns.state == PENDING, columns.next_at <= written(now))
    if leaving_out:
        due = due.where(columns.hook.not_in(sorted(leaving_out)))
    until = written(now + LEASE)
    while True:
        row = connection.execute(due.order_by(columns.next_at, columns.number).limit(1)).one_or_none()
        if row is None:
            return None
        mine = update(outbox_table).where(
            columns.id == row.id, columns.state == PENDING, columns.next_at == row.next_at
        )  # of several who saw it waiting, the first changes it, and the others find it changed
        if _changed(connection, mine.values(next_at=until, attempts=row.attempts + 1)) == 1:
            fields = {name: getattr(row, name) for name in Letter.__dataclass_fields__}
            return Letter(**fields | {"attempts": row.attempts + 1, "next_at": until})


def delivered(connection: Database, letter: Letter) -> None:
    """Say that a message arrived; what it said is kept no longer."""
    _settle(connection, letter, state=DELIVERED, payload="", error=None)


def failed(
    connection: Database, letter: Letter, why: str, now: datetime, patience: Patience, draw: float, *,
    for_good: bool = False,
) -> str:  # fmt: skip
    """Say that a message did not arrive, and return its state then: it waits for its next attempt, or is dead.

    Args:
        connection: of a transaction of its own.
        letter: as it was taken.
        why: for people.
        now: what time it is.
        patience: how long is tried.
        draw: see `Patience.pause`.
        for_good: whether no other attempt makes sense.
    """
    tried_enough = letter.attempts >= patience.attempts or letter.made_at <= written(now - patience.age)
    state = DEAD if tried_enough or for_good else PENDING
    next_at = written(now + patience.pause(letter.attempts, draw))
    _settle(connection, letter, state=state, next_at=next_at, error=why[:LONGEST_ERROR])
    return state


def dead(connection: Database) -> list[Letter]:
    """Return the messages that nobody took for too long, oldest first."""
    columns = outbox_table.c
    wanted = select(outbox_table).where(columns.state == DEAD).order_by(columns.number, columns.hook)
    return [
        Letter(**{name: getattr(row, name) for name in Letter.__dataclass_fields__})
        for row in connection.execute(wanted)
    ]


def retry(connection: Database, ids: Collection[str] | None, now: datetime) -> int:
    """Have dead messages delivered from now on as if they were new, all or those of these ids; return how many."""
    columns = outbox_table.c
    again = update(outbox_table).where(columns.state == DEAD)
    if ids is not None:
        again = again.where(columns.id.in_(sorted(ids)))
    at = written(now)
    return _changed(connection, again.values(state=PENDING, attempts=0, made_at=at, next_at=at))


def counts(connection: Database) -> Mapping[tuple[str, str], int]:
    """Return how many messages there are, by receiver and state."""
    columns = outbox_table.c
    rows = connection.execute(select(columns.hook, columns.state, func.count()).group_by(columns.hook, columns.state))
    return {(hook, state): count for hook, state, count in rows}


def forget_delivered(connection: Database, now: datetime) -> None:
    """Take away what was delivered so long ago that no receiver asks about it."""
    columns = outbox_table.c
    old = columns.made_at <= written(now - KEPT)
    connection.execute(delete(outbox_table).where(columns.state == DELIVERED, old))


def forget(connection: Database, numbers: Collection[int]) -> None:
    """Take away the messages that tell of these entries, as where their bodies are erased."""
    connection.execute(delete(outbox_table).where(outbox_table.c.number.in_(sorted(numbers))))


def _changed(connection: Database, change: Update) -> int:
    """Carry out a change, and return how many rows it met."""
    return cast("CursorResult[Any]", connection.execute(change)).rowcount


def _waiting(letter: Letter) -> dict[str, object]:
    return {"payload": letter.payload, "state": PENDING}


def _settle(connection: Database, letter: Letter, **values: object) -> None:
    """Write what became of a message, unless its lease ran out and somebody else has taken it since."""
    columns = outbox_table.c
    still_mine = update(outbox_table).where(
        columns.id == letter.id, columns.state == PENDING, columns.attempts == letter.attempts
    )
    connection.execute(still_mine.values(values))
