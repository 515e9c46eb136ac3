"""To which versions a target could go back: those that a decision approved for it, with the files they had then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlflow_rank.audit import ledger
from mlflow_rank.audit.matters import open_matters
from mlflow_rank.audit.placements import moves_of
from mlflow_rank.evidence.presented import Presented
from mlflow_rank.evidence.trust import TrustStore
from mlflow_rank.registry.gate.basis import BREAK_GLASS, Basis

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

ROLLBACK = "rollback"  # the door by which people go back


@dataclass(frozen=True, slots=True)
class Former:
    """A version that was at a target on an approving decision, and the evidence that the decision knew of."""

    basis: Basis
    version: str
    number: int
    """Of the entry of the decision: later ones approved later."""
    at: str
    evidence: frozenset[str]
    keys: frozenset[tuple[str, str]]
    """Statements that it knew of, by digest, each with the id of a key whose signature counted then."""
    placed: int = 0
    """Number of the entry that put it there last."""
    taken_away: bool = False
    """Whether people have gone back from it since."""


def formers(session: Session, workspace: str, model: str, target: str) -> Iterator[Former]:
    """Yield the versions that decisions approved for a target, each once, the last approved first.

    What was flagged since is left out; whether the files are still the same, the caller has to find out.
    """
    connection, seen = session.connection(), set()
    flagged = {
        each.version for each in open_matters(connection, workspace=workspace, model=model, target=target, kind="flag")
    }
    placed: dict[str, int] = {}
    left: dict[str, int] = {}
    found: list[Former] = []
    for entry in ledger.changes_of(connection, workspace, model, target):
        decision = None if entry.is_erased else ledger.decision_of(entry.content)
        if decision is None or decision.startswith(BREAK_GLASS):
            continue
        moves = [each for each in moves_of(entry.content) if (each.model, each.target) == (model, target)]
        for move in moves:
            placed.setdefault(str(move.after), entry.number)
            if entry.content.get("door") == ROLLBACK:
                left.setdefault(str(move.before), entry.number)
        if decision in seen:
            continue
        seen.add(decision)
        former = approved_by(session, workspace, model, target, decision)
        if former is not None and any(move.after == former.version for move in moves):
            found.append(former)
    versions: set[str] = set()
    for former in sorted(found, key=lambda each: each.number, reverse=True):
        if former.version not in versions:
            versions.add(former.version)
            if former.version not in flagged:
                last = placed[former.version]
                yield replace(former, placed=last, taken_away=left.get(former.version, -1) > last)


def no_longer_vouched(former: Former, statements: Iterable[Presented], trust: TrustStore) -> Iterator[str]:
    """Yield which signatures counted when a version was approved, and were a thief's, as is known now.

    Args:
        former: the version.
        statements: about it, with their signatures judged today.
        trust: that says which keys were compromised, and since when.
    """
    stolen = {
        each.key.key_id: each.signer.name
        for each in trust.keys
        if each.revoked is not None and each.revoked.reason == "compromised"
    }
    for each in statements:
        held = {one.key_id for one in each.signers}
        for digest, key in sorted(former.keys):
            if digest == each.digest and key in stolen and key not in held:
                yield f"the key of {stolen[key]}, which signed for it, turned out to be compromised by then"


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
    digests = frozenset(str(each.get("digest")) for each in listed)
    keys = frozenset((str(each.get("digest")), str(one.get("key"))) for each in listed for one in _signed_by(each))
    return Former(Basis(decision, model, version, target, files), version, entry.number, entry.at, digests, keys)


def _signed_by(statement: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return _listed(statement.get("signed_by"))


def _listed(value: object) -> list[Mapping[str, Any]]:
    return [_mapping(each) for each in value] if isinstance(value, list) else []


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
