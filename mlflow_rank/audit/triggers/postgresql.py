"""The triggers for PostgreSQL: one function for each purpose, and the triggers that call it.

They fire after the row has changed, so that no trigger of anybody else changes it afterwards. Every name in a function
has its schema, and no other is looked through: a temporary table called as the head is would be found first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from mlflow_rank.audit.tables import HEAD_ID, ledger_table
from mlflow_rank.audit.triggers.trigger import KEPT, PREFIX, WATCHED, Found, Trigger

if TYPE_CHECKING:
    from sqlalchemy import Connection

_PATH = "pg_catalog, pg_temp"
# the bits of pg_trigger.tgtype, from PostgreSQL's catalog/pg_trigger.h
_ROW, _BEFORE, _INSERT, _DELETE, _UPDATE, _TRUNCATE = 1, 2, 4, 8, 16, 32
_EVENTS = {"INSERT": _INSERT, "DELETE": _DELETE, "UPDATE": _UPDATE, "TRUNCATE": _TRUNCATE}
_CHANGES = ("INSERT", "UPDATE", "DELETE")
_HEADERS = tuple(column.name for column in ledger_table.c if column.name not in ("body", "salt"))

_FOUND = """
SELECT t.tgname, c.relname, p.proname, p.prosrc, CAST(t.tgtype AS integer), CAST(t.tgenabled AS text),
       t.tgconstraint <> 0, t.tgdeferrable, t.tginitdeferred, t.tgqual IS NULL,
       t.tgnargs = 0 AND CAST(t.tgattr AS text) = '',
       p.pronamespace = c.relnamespace, array_to_string(p.proconfig, ';')
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
WHERE NOT t.tgisinternal AND left(t.tgname, 10) = 'rank_wall_'
  AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('rank_ledger_head'))
ORDER BY c.relname, t.tgname
"""
_FUNCTIONS = """
SELECT p.proname FROM pg_proc p
WHERE left(p.proname, 10) = 'rank_wall_'
  AND p.pronamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('rank_ledger_head'))
"""
_SCHEMA = (
    "SELECT CAST(CAST(relnamespace AS regnamespace) AS text) FROM pg_class WHERE oid = to_regclass('rank_ledger_head')"
)


def triggers(connection: Connection) -> list[Trigger]:
    """Return all triggers of the wall, in the order in which they are made."""
    schema = _schema(connection)
    bodies = _functions(schema)
    return [_trigger(schema, bodies, *each) for each in _rules()]


def prepare(connection: Connection) -> None:
    """Make the functions that the triggers call."""
    schema = _schema(connection)
    for name, body in _functions(schema).items():
        connection.exec_driver_sql(
            f"CREATE OR REPLACE FUNCTION {schema}.{name}() RETURNS trigger LANGUAGE plpgsql "
            f"SET search_path = {_PATH} AS $wall${body}$wall$"
        )


def drop(connection: Connection) -> None:
    """Take down whatever stands of the wall, also of another version's."""
    schema = _schema(connection)
    for each in found(connection):
        connection.exec_driver_sql(f'DROP TRIGGER "{each.name}" ON {schema}.{each.table}')
    for name in connection.exec_driver_sql(_FUNCTIONS).scalars().all():
        connection.exec_driver_sql(f'DROP FUNCTION {schema}."{name}"()')


def found(connection: Connection) -> list[Found]:
    """Return what stands of the wall."""
    return [Found(name, table, repr(tuple(rest))) for name, table, *rest in connection.exec_driver_sql(_FOUND)]


def _rules() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield table, the purpose whose function is called, and on which events."""
    yield "registered_model_aliases", "gate", _CHANGES
    yield "model_versions", "version", _CHANGES
    yield "registered_models", "model", ("UPDATE", "DELETE")
    for table in KEPT:
        yield table, "gate", _CHANGES
    yield "rank_ledger", "entry", _CHANGES
    yield "rank_ledger_head", "head", _CHANGES
    yield "rank_ledger_head", "shut", ("UPDATE",)
    for table in (*WATCHED, *KEPT, "rank_ledger", "rank_ledger_head"):
        yield table, "truncate", ("TRUNCATE",)


def _functions(schema: str) -> Mapping[str, str]:
    head = f"{schema}.rank_ledger_head WHERE id = {HEAD_ID}"
    shut = f"(SELECT gate_open FROM {head}) IS DISTINCT FROM 1"
    versions, models = _rows(WATCHED["model_versions"]), _rows(WATCHED["registered_models"])
    bodies = {
        "gate": f"IF {shut} THEN {_refuse('changes only through the gate', table=True)} END IF;",
        "version": f"""
IF TG_OP = 'INSERT' AND coalesce(NEW.current_stage, 'None') = 'None' THEN RETURN NULL; END IF;
IF TG_OP = 'UPDATE' AND {versions[0]} IS NOT DISTINCT FROM {versions[1]} THEN RETURN NULL; END IF;
IF {shut} THEN {_refuse("stages and versions change only through the gate")} END IF;""",
        "model": f"""
IF TG_OP = 'UPDATE' AND {models[0]} IS NOT DISTINCT FROM {models[1]} THEN RETURN NULL; END IF;
IF {shut} THEN {_refuse("models are renamed and deleted only through the gate")} END IF;""",
        "entry": _entry(head, shut),
        "head": _head(),
        "shut": f"""
IF (SELECT gate_open FROM {head}) IS DISTINCT FROM 0 THEN
  {_refuse("a transaction that opens the gate shuts it again")}
END IF;""",
        "truncate": _refuse("is never emptied", table=True),
    }
    return {f"{PREFIX}{name}": f"\nBEGIN\n{body.strip()}\nRETURN NULL;\nEND\n" for name, body in bodies.items()}


def _entry(head: str, shut: str) -> str:
    new, old = _rows(_HEADERS)
    return f"""
IF TG_OP = 'DELETE' THEN {_refuse("no entry is ever deleted")} END IF;
IF TG_OP = 'INSERT' AND ({shut} OR NEW.number < (SELECT size FROM {head})) THEN
  {_refuse("entries are appended only through the gate")}
END IF;
IF TG_OP = 'UPDATE' AND ({shut} OR NEW.body IS NOT NULL OR NEW.salt IS NOT NULL OR {new} IS DISTINCT FROM {old}) THEN
  {_refuse("nothing in an entry changes but what the gate erases")}
END IF;"""


def _head() -> str:
    new, old = _rows(("size", "head", "peaks"))
    return f"""
IF TG_OP <> 'UPDATE' THEN {_refuse("there is one head, which is never made anew nor deleted")} END IF;
IF NEW.id <> OLD.id OR NEW.ledger_id <> OLD.ledger_id OR NEW.size < OLD.size
   OR ({new} IS DISTINCT FROM {old} AND OLD.gate_open <> 1) THEN
  {_refuse("the head moves only through the gate, and never back")}
END IF;"""


def _refuse(said: str, *, table: bool = False) -> str:
    """Return the statement that refuses; its class is 23000, as SQLite's is, which SQLAlchemy calls IntegrityError."""
    words = f"'mlflow_rank: ' || TG_TABLE_NAME || ' {said}'" if table else f"'mlflow_rank: {said}'"
    return f"RAISE EXCEPTION USING MESSAGE = {words}, ERRCODE = 'integrity_constraint_violation';"


def _rows(columns: tuple[str, ...]) -> tuple[str, str]:
    new, old = (", ".join(f"{row}.{name}" for name in columns) for row in ("NEW", "OLD"))
    return f"ROW({new})", f"ROW({old})"


def _trigger(schema: str, bodies: Mapping[str, str], table: str, purpose: str, events: tuple[str, ...]) -> Trigger:
    name = function = f"{PREFIX}{purpose}"
    deferred, each_row = purpose == "shut", events != ("TRUNCATE",)
    kind = sum(_EVENTS[event] for event in events) + (_ROW if each_row else _BEFORE)
    written = (function, bodies[function], kind, "O", deferred, deferred, deferred, True, True, True)
    statement = (
        f"CREATE {'CONSTRAINT ' if deferred else ''}TRIGGER {name} {'AFTER' if each_row else 'BEFORE'} "
        f"{' OR '.join(events)} ON {schema}.{table} {'DEFERRABLE INITIALLY DEFERRED ' if deferred else ''}"
        f"FOR EACH {'ROW' if each_row else 'STATEMENT'} EXECUTE FUNCTION {schema}.{function}()"
    )
    return Trigger(name, table, statement, repr((*written, f"search_path={_PATH}")))


def _schema(connection: Connection) -> str:
    return str(connection.exec_driver_sql(_SCHEMA).scalar_one())
