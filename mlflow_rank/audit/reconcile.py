"""Where the registry disagrees with the ledger: what a plain database client did, or a server without the gate."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from mlflow_rank.audit.entry import Record
from mlflow_rank.audit.placements import Key
from mlflow_rank.audit.tables import ledger_table
from mlflow_rank.policy.targets import canonical_target

if TYPE_CHECKING:
    from mlflow_rank.audit.ledger import Database


@dataclass(frozen=True, slots=True)
class Finding:
    """A target that resolves to something else than the ledger explains; None is nothing."""

    workspace: str
    model: str
    target: str
    ledger: str | None
    registry: str | None

    @property
    def sentence(self) -> str:
        """Say it."""
        if self.registry is None:
            return f"{self.target} of {self.model} is gone, and by the ledger it is version {self.ledger}"
        if self.ledger is None:
            return f"{self.target} of {self.model} is version {self.registry}, and nothing in the ledger put it there"
        return f"{self.target} of {self.model} is version {self.registry}, and by the ledger version {self.ledger}"

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {
            "workspace": self.workspace,
            "model": self.model,
            "target": self.target,
            "ledger": self.ledger,
            "registry": self.registry,
            "sentence": self.sentence,
        }

    def record(self) -> Record:
        """Return it as the ledger records it."""
        body = {name: value for name, value in self.document().items() if name not in ("workspace", "model")}
        return Record("finding", self.workspace, self.model, self.registry, self.target, body)


def reconcile(
    placements_of_ledger: Mapping[Key, str],
    placements_of_registry: Iterable[tuple[Key, str]],
    protected: Callable[[str, str, str], bool],
) -> list[Finding]:
    """Return every protected target that resolves to something else than the ledger says, in order.

    Args:
        placements_of_ledger: versions by workspace, model and target.
        placements_of_registry: the same from the registry; a target that stands there as `alias:Champion` is looked
            up as it stands, and then as `alias:champion`.
        protected: whether a policy governs a target of a model; it is asked about targets as they stand, also about
            aliases with letters that look like others.
    """
    found: list[Finding] = []
    seen: set[Key] = set()
    for key, version in placements_of_registry:
        known = key if key in placements_of_ledger else (key[0], key[1], _form(key[2]))
        seen.add(known)
        expected = placements_of_ledger.get(known)
        if expected != version and protected(*key):
            found.append(Finding(*key, expected, version))
    for key, version in placements_of_ledger.items():
        if key not in seen and protected(*key):
            found.append(Finding(*key, version, None))
    return sorted(found, key=lambda each: (each.workspace, each.model, each.target))


def unrecorded(connection: Database, findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings that the ledger has not recorded yet, or only before something about the model changed."""
    return [each for each in findings if not _is_recorded(connection, each)]


def _is_recorded(connection: Database, finding: Finding) -> bool:
    columns = ledger_table.c
    about = select(ledger_table).where(columns.workspace == finding.workspace, columns.model == finding.model)
    last = about.where(columns.kind == "finding", columns.target == finding.target)
    row = connection.execute(last.order_by(columns.number.desc()).limit(1)).one_or_none()
    if row is None or row.body is None or json.loads(row.body) != finding.record().body:
        return False
    later = about.where(columns.kind == "change", columns.number > row.number)
    return connection.execute(later.limit(1)).first() is None


def _form(target: str) -> str:
    try:
        return canonical_target(target)
    except ValueError:
        return target
