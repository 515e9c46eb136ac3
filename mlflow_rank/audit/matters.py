"""What is open: requests, flags and break-glasses, each opened by one entry of the ledger and closed by a later one.

All of it stands in the headers of entries, so it stays provable when bodies are erased: an entry of such a kind opens,
and one of kind `closing` names in its `reference` the number of the entry that it closes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import bindparam, delete, insert, select

from mlflow_rank.audit.entry import Entry
from mlflow_rank.audit.tables import matters_table

if TYPE_CHECKING:
    from sqlalchemy import Connection, Select
    from sqlalchemy.orm import Session

    Database = Connection | Session

MatterKind = Literal["request", "flag", "break_glass"]
OPENING: tuple[MatterKind, ...] = ("request", "flag", "break_glass")
CLOSING: Literal["closing"] = "closing"
Key = tuple[str, str, str, str, str]  # workspace, model, version, target, kind


@dataclass(frozen=True, slots=True)
class Matter:
    """Something that is open about a version and a target, since the entry with this number."""

    workspace: str
    model: str
    version: str
    target: str
    kind: MatterKind
    number: int

    @property
    def key(self) -> Key:
        """Return what it is about: of each kind one is open at a time."""
        return self.workspace, self.model, self.version, self.target, self.kind


@dataclass(slots=True)
class Matters:
    """The sum of entries: what they opened, and what they closed of before."""

    open: dict[Key, Matter] = field(default_factory=dict)
    closed: set[int] = field(default_factory=set)
    """Numbers of entries that were closed, and opened before these entries."""

    def take(self, entry: Entry) -> None:
        """Take in the next entry."""
        if entry.kind in OPENING:
            matter = Matter(
                entry.workspace or "", entry.model or "", entry.version or "", entry.target or "",
                entry.kind, entry.number,
            )  # fmt: skip
            self.open[matter.key] = matter
        elif entry.kind == CLOSING and (entry.reference or "").isdecimal():
            number = int(entry.reference or "")
            self.closed.add(number)
            self.open = {key: each for key, each in self.open.items() if each.number != number}


def store_matters(connection: Database, matters: Matters) -> None:
    """Write down what entries opened and closed, in the transaction that appends them."""
    columns = matters_table.c
    if matters.closed:
        connection.execute(delete(matters_table).where(columns.number.in_(sorted(matters.closed))))
    for each in matters.open.values():
        connection.execute(
            delete(matters_table).where(
                columns.workspace == each.workspace, columns.model == each.model, columns.version == each.version,
                columns.target == each.target, columns.kind == each.kind,
            )
        )  # fmt: skip
        row = {name: getattr(each, name) for name in Matter.__dataclass_fields__}
        connection.execute(insert(matters_table), [row])


def open_matters(
    connection: Database, *, workspace: str | None = None, model: str | None = None, version: str | None = None,
    target: str | None = None, kind: MatterKind | None = None,
) -> list[Matter]:  # fmt: skip
    """Return what is open, in the order in which it was opened; of everything, or of what is named."""
    asked = {"workspace": workspace, "model": model, "version": version, "target": target, "kind": kind}
    named = {name: value for name, value in asked.items() if value is not None}
    return [Matter(**row._mapping) for row in connection.execute(_asked(tuple(named)), named)]


@cache
def _asked(names: tuple[str, ...]) -> Select[Any]:
    """Return how matters are asked for by these columns: said once, as the gate asks at every call."""
    about = (matters_table.c[name] == bindparam(name) for name in names)
    return select(matters_table).where(*about).order_by(matters_table.c.number)
