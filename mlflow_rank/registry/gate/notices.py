"""What nobody may overlook on a version's page: a flag, and a break-glass that is in force or waits for its review."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from mlflow_rank.audit import ledger
from mlflow_rank.audit.entry import Entry
from mlflow_rank.audit.matters import open_matters
from mlflow_rank.registry.gate.basis import BREAK_GLASS

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class Notice:
    """One of them: about which version at which target, since when, and what the ledger's entry says of it.

    `basis` is the id of the decision or break-glass behind it; `placed` says whether the version is there now, and
    `waits` whether nobody has closed it yet. `said` is empty where it was erased.
    """

    kind: Literal["flag", "break_glass"]
    model: str
    version: str
    target: str
    at: str
    basis: str
    placed: bool
    waits: bool
    said: Mapping[str, object] = field(default_factory=dict)

    def words(self, name: str) -> str | None:
        """Return what the entry says under a name; None where it says nothing."""
        value = self.said.get(name)
        return value if isinstance(value, str) and value else None

    @property
    def signed_by(self) -> tuple[str, ...]:
        """Who signed it."""
        listed = self.said.get("signed_by")
        return tuple(map(str, listed)) if isinstance(listed, list | tuple) else ()


def notices_of(session: Session, workspace: str, model: str, version: str) -> list[Notice]:
    """Return what is to be said of a version, in the order in which it happened.

    A break-glass is told of as long as it is open or the version is where it put it, reviewed or not.
    """
    connection = session.connection()
    held = {
        each.target: each.decision or ""
        for each in ledger.placements(connection, workspace=workspace, model=model)
        if each.version == version
    }
    found: dict[int, tuple[Entry, bool]] = {}
    for decision in held.values():
        entry = ledger.find(connection, "break_glass", decision) if decision.startswith(BREAK_GLASS) else None
        if entry is not None:
            found[entry.number] = entry, False
    for matter in open_matters(connection, workspace=workspace, model=model, version=version):
        entry = None if matter.kind == "request" else ledger.entry_at(connection, matter.number)
        if entry is not None:
            found[entry.number] = entry, True
    return [_notice(entry, waits, held) for _, (entry, waits) in sorted(found.items())]


def _notice(entry: Entry, waits: bool, held: Mapping[str, str]) -> Notice:
    target, basis = entry.target or "", entry.reference or ""
    flag = entry.kind == "flag"
    return Notice(
        kind="flag" if flag else "break_glass",
        model=entry.model or "",
        version=entry.version or "",
        target=target,
        at=entry.at,
        basis=basis,
        placed=target in held if flag else held.get(target) == basis,
        waits=waits,
        said={} if entry.is_erased else entry.content,
    )
