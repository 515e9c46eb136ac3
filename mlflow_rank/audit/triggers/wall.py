"""Building the second wall, looking after it, and taking it down; each inside the transaction of whoever calls it.

The wall refuses every change of an alias, a stage or the ledger by which `rank_ledger_head.gate_open` is not 1, and
only the gate's own transactions have it so. It keeps honest mistakes out: a plain MLflow server, a script with
`sqlite3`. Who holds the database's credentials and means it can open the gate or take the wall down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from types import ModuleType
from typing import TYPE_CHECKING, Literal

from sqlalchemy import delete, insert, inspect, select

from mlflow_rank.audit import ledger
from mlflow_rank.audit.entry import Record
from mlflow_rank.audit.tables import HEAD_ID, head_table, settings_table
from mlflow_rank.audit.triggers import postgresql, sqlite
from mlflow_rank.audit.triggers.trigger import WATCHED
from mlflow_rank.errors import LedgerError, UsageError

if TYPE_CHECKING:
    from sqlalchemy import Connection

_DIALECTS = {"sqlite": sqlite, "postgresql": postgresql}
_SETTING, _INSTALLED = "triggers", "installed"
State = Literal["there", "missing", "other"]


@dataclass(frozen=True, slots=True)
class TriggerState:
    """A trigger that belongs to the wall, and whether it stands there as this version writes it."""

    name: str
    table: str
    state: State

    def document(self) -> dict[str, str]:
        """Return it JSON-ready."""
        return {"name": self.name, "table": self.table, "state": self.state}


@dataclass(frozen=True, slots=True)
class Wall:
    """How the wall stands.

    Args:
        triggers: each that belongs to it.
        wanted: whether it was installed, and not removed since; only then is it put up again by itself.
        gate_open: whether the gate stands open outside of a transaction, so that the triggers let everything through.
    """

    triggers: Sequence[TriggerState]
    wanted: bool
    gate_open: bool

    @property
    def stands(self) -> bool:
        """Whether every trigger is there as this version writes it, and the gate is shut."""
        return not self.gate_open and all(each.state == "there" for each in self.triggers)

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {
            "stands": self.stands,
            "wanted": self.wanted,
            "gate_open": self.gate_open,
            "triggers": [each.document() for each in self.triggers],
        }


def check(connection: Connection) -> Wall:
    """Return how the wall stands.

    Raises:
        UsageError: there is none for this kind of database.
    """
    states = _states(connection)
    gate = connection.execute(select(head_table.c.gate_open).where(head_table.c.id == HEAD_ID)).scalar_one_or_none()
    return Wall(states, _is_wanted(connection), gate not in (0, None))


def install(connection: Connection, actor: str, *, at: datetime) -> Sequence[TriggerState]:
    """Put up what is missing of the wall, and record who did; return which triggers there were before.

    Args:
        connection: of a transaction in which nothing was read or written before.
        actor: who does it; recorded.
        at: what time it is.

    Raises:
        UsageError: there is no wall for this kind of database.
        LedgerError: MLflow's registry is not in this database, or has other tables than this version knows.
    """
    _sql_of(connection)
    head = ledger.lock(connection)
    before = _states(connection)
    whole = all(each.state == "there" for each in before)
    if whole and _is_wanted(connection):
        ledger.release(connection)
        return before
    if not whole:
        _build(connection)
    _want(connection, True)
    _record(connection, head, "the triggers of the second wall were installed", actor, at)
    return before


def remove(connection: Connection, actor: str, *, at: datetime) -> Sequence[TriggerState]:
    """Take the wall down for good, and record who did; return which triggers there were before.

    Args:
        connection: of a transaction in which nothing was read or written before.
        actor: who does it; recorded.
        at: what time it is.

    Raises:
        UsageError: there is no wall for this kind of database.
    """
    sql = _sql_of(connection)
    head = ledger.lock(connection)
    before = _states(connection)
    if not _is_wanted(connection) and not sql.found(connection):
        ledger.release(connection)
        return before
    sql.drop(connection)
    _want(connection, False)
    _record(connection, head, "the triggers of the second wall were removed", actor, at)
    return before


def is_breached(connection: Connection) -> bool:
    """Say whether the wall is wanted and something of it is not there, as after `mlflow db upgrade`."""
    if connection.dialect.name not in _DIALECTS or not _is_wanted(connection):
        return False
    return any(each.state != "there" for each in _states(connection))


def restore(connection: Connection, *, at: datetime) -> None:
    """Put up again what is missing of a wall that is wanted, and record that it was missing.

    Args:
        connection: of a transaction that nobody else is in at the same time.
        at: what time it is.

    Raises:
        LedgerError: see `install`.
    """
    if not is_breached(connection):
        return
    head = ledger.lock(connection)
    missing = [each.name for each in _states(connection) if each.state != "there"]
    _build(connection)
    said = f"{len(missing)} triggers of the second wall were missing or changed, and were put up again"
    _record(connection, head, said, "mlflow-rank", at)


def lift(connection: Connection) -> None:
    """Take the wall down for as long as our own tables change; whoever does that calls `restore` afterwards."""
    sql = _DIALECTS.get(connection.dialect.name)
    if sql is not None and inspect(connection).has_table(head_table.name):
        sql.drop(connection)


def _build(connection: Connection) -> None:
    _refuse_unknown_tables(connection)
    sql = _sql_of(connection)
    sql.drop(connection)
    sql.prepare(connection)
    for each in sql.triggers(connection):
        connection.exec_driver_sql(each.statement)


def _states(connection: Connection) -> tuple[TriggerState, ...]:
    sql = _sql_of(connection)
    there = {(each.name, each.table): each.written for each in sql.found(connection)}
    found = []
    for each in sql.triggers(connection):
        written = there.get((each.name, each.table))
        state: State = "missing" if written is None else "there" if written == each.written else "other"
        found.append(TriggerState(each.name, each.table, state))
    return tuple(found)


def _sql_of(connection: Connection) -> ModuleType:
    sql = _DIALECTS.get(connection.dialect.name)
    if sql is None:
        raise UsageError(
            "there are no triggers for databases of this kind",
            got=connection.dialect.name,
            expected="sqlite or postgresql",
            remedy="nobody but the server may have the credentials of this database; audit reconcile finds out later",
        )
    return sql


def _refuse_unknown_tables(connection: Connection) -> None:
    known = inspect(connection)
    for table, columns in WATCHED.items():
        there = {each["name"] for each in known.get_columns(table)} if known.has_table(table) else set()
        if not there >= set(columns):
            raise LedgerError(
                "the second wall does not know this registry",
                got=f"{table} without {', '.join(sorted(set(columns) - there))}" if there else f"no table {table}",
                expected="the registry of the MLflow that this version of mlflow-rank was made for",
                remedy="start the server once, or mlflow db upgrade; else install a version of mlflow-rank that does",
            )


def _is_wanted(connection: Connection) -> bool:
    asked = select(settings_table.c.value).where(settings_table.c.name == _SETTING)
    return connection.execute(asked).scalar_one_or_none() == _INSTALLED


def _want(connection: Connection, wanted: bool) -> None:
    connection.execute(delete(settings_table).where(settings_table.c.name == _SETTING))
    if wanted:
        connection.execute(insert(settings_table).values(name=_SETTING, value=_INSTALLED))


def _record(connection: Connection, head: ledger.Head, sentence: str, actor: str, at: datetime) -> None:
    record = Record("finding", None, None, None, None, {"sentence": sentence, "actor": actor})
    ledger.append(connection, head, [record], at=at)
