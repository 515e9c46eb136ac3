"""The triggers for SQLite.

A trigger refers to its own row, its own table and the ledger's head, and to nothing else: Alembic changes a table of
MLflow's by making it anew, and SQLite refuses to rename the new one while a trigger elsewhere asks for the old.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from mlflow_rank.audit.tables import HEAD_ID, ledger_table
from mlflow_rank.audit.triggers.trigger import KEPT, PREFIX, WATCHED, Found, Trigger

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SHUT = f"(SELECT gate_open FROM rank_ledger_head WHERE id = {HEAD_ID}) IS NOT 1"
_SIZE = f"(SELECT size FROM rank_ledger_head WHERE id = {HEAD_ID})"
_HEADERS = tuple(column.name for column in ledger_table.c if column.name not in ("body", "salt"))


def triggers(connection: Connection) -> list[Trigger]:
    """Return all triggers of the wall, in the order in which they are made."""
    return [_trigger(*each) for each in _rules()]


def drop(connection: Connection) -> None:
    """Take down whatever stands of the wall, also of another version's."""
    for each in found(connection):
        connection.exec_driver_sql(f'DROP TRIGGER "{each.name}"')


def prepare(connection: Connection) -> None:
    """Make what the triggers need: nothing."""


def found(connection: Connection) -> list[Found]:
    """Return what stands of the wall."""
    asked = "SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger' AND substr(name, 1, ?) = ?"
    return [Found(*row) for row in connection.exec_driver_sql(asked, (len(PREFIX), PREFIX))]


def _rules() -> Iterator[tuple[str, str, str, str]]:
    """Yield table, event, when it is refused, and in which words."""
    for event in ("INSERT", "UPDATE", "DELETE"):
        yield "registered_model_aliases", event, _SHUT, "aliases change only through the gate"
    # REPLACE takes the old row away without asking a DELETE trigger
    placed = "coalesce(NEW.current_stage, 'None') <> 'None'"
    same = " AND ".join(f"{name} = NEW.{name}" for name in ("workspace", "name", "version"))
    replaced = f"({placed} OR EXISTS (SELECT 1 FROM model_versions WHERE {same})) AND {_SHUT}"
    yield "model_versions", "INSERT", replaced, "stages and versions change only through the gate"
    moved = f"({_changed(WATCHED['model_versions'])}) AND {_SHUT}"
    yield "model_versions", "UPDATE", moved, "stages and versions change only through the gate"
    yield "model_versions", "DELETE", _SHUT, "versions are deleted only through the gate"
    renamed = f"({_changed(WATCHED['registered_models'])}) AND {_SHUT}"
    yield "registered_models", "UPDATE", renamed, "models are renamed only through the gate"
    yield "registered_models", "DELETE", _SHUT, "models are deleted only through the gate"
    for table in KEPT:
        for event in ("INSERT", "UPDATE", "DELETE"):
            yield table, event, _SHUT, f"{table} changes only through the gate"
    yield "rank_ledger", "INSERT", f"{_SHUT} OR NEW.number < {_SIZE}", "entries are appended only through the gate"
    kept = f"NEW.body IS NOT NULL OR NEW.salt IS NOT NULL OR {_changed(_HEADERS)} OR {_SHUT}"
    yield "rank_ledger", "UPDATE", kept, "nothing in an entry changes but what the gate erases"
    yield "rank_ledger", "DELETE", "1", "no entry is ever deleted"
    written = f"({_changed(('size', 'head', 'peaks'))}) AND OLD.gate_open IS NOT 1"
    shrunk = f"{_changed(('id', 'ledger_id'))} OR NEW.size < OLD.size OR ({written})"
    yield "rank_ledger_head", "INSERT", "1", "there is one head, which is never made anew"
    yield "rank_ledger_head", "UPDATE", shrunk, "the head moves only through the gate, and never back"
    yield "rank_ledger_head", "DELETE", "1", "the head is never deleted"


def _trigger(table: str, event: str, refused: str, said: str) -> Trigger:
    name = f"{PREFIX}{table}_{event.lower()}"
    statement = (
        f"CREATE TRIGGER {name} BEFORE {event} ON {table} WHEN {refused} "
        f"BEGIN SELECT RAISE(ABORT, 'mlflow_rank: {said}'); END"
    )
    return Trigger(name, table, statement, statement)  # SQLite keeps the very words


def _changed(columns: Iterable[str]) -> str:
    return " OR ".join(f"NEW.{name} IS NOT OLD.{name}" for name in columns)
