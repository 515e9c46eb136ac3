"""To which versions a target could go back: those that a decision approved for it, with the files they had then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlflow_rank.audit import ledger
from mlflow_rank.audit.matters import open_matters
from mlflow_rank.audit.placements import moves_of
from mlflow_rank.registry.basis import Basis

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class Former:
    """A version that was at a target on an approving decision, and the evidence that the decision knew of."""

    basis: Basis
    version: str
    number: int
    """Of the entry of the decision: later ones approved later."""
    at: str
    evidence: frozenset[str]


def formers(session: Session, workspace: str, model: str, target: str) -> Iterator[Former]:
    """Yield the versions that decisions approved for a target, each once, the last approved first.

    What was flagged since is left out; whether the files are still the same, the caller has to find out.
    """
    connection, seen = session.connection(), set()
    flagged = {
        each.version for each in open_matters(connection, workspace=workspace, model=model, target=target, kind="flag")
    }
    found: list[Former] = []
    for entry in ledger.changes_of(connection, workspace, model, target):
        decision = None if entry.is_erased else ledger.decision_of(entry.content)
        if decision is None or decision in seen:
            continue
        seen.add(decision)
        former = approved_by(session, workspace, model, target, decision)
        if former is not None and any(
            (move.model, move.target, move.after) == (model, target, former.version) for move in moves_of(entry.content)
        ):
            found.append(former)
    versions: set[str] = set()
    for former in sorted(found, key=lambda each: each.number, reverse=True):
        if former.version not in versions:
            versions.add(former.version)
            if former.version not in flagged:
                yield former


def approved_by(session: Session, workspace: str, model: str, target: str, decision: str) -> Former | None:
    """Return what a decision approved for a target; None where it did not, or was erased."""
    entry = ledger.find(session.connection(), "decision", decision)
    if entry is None or entry.is_erased or entry.workspace != workspace:
        return None
    said = _mapping(entry.content.get("decision"))
    request = _mapping(said.get("request"))
    version, files = request.get("version"), request.get("digest")
    if said.get("verdict") != "approve" or (request.get("model"), request.get("target")) != (model, target):
        return None
    if not isinstance(version, str) or not isinstance(files, str):
        return None
    listed = [*_listed(said.get("evidence")), *_listed(said.get("approvals"))]
    return Former(Basis(decision, model, version, target, files), version, entry.number, entry.at, frozenset(listed))


def _listed(value: object) -> list[str]:
    return [str(_mapping(each).get("digest")) for each in value] if isinstance(value, list) else []


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
