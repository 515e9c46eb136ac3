"""Requests for promotion that are open: who asked for what, and what closes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlflow_rank.audit import ledger
from mlflow_rank.audit.entry import Record
from mlflow_rank.audit.matters import CLOSING, Matter, open_matters
from mlflow_rank.registry.gate.basis import Basis

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """A request that no later entry has closed; `requester` is None where nobody known asked.

    `files` is the digest of the files that it was made for; None where that was erased.
    """

    number: int
    target: str
    requester: str | None
    files: str | None = None


def requests_of(
    session: Session, workspace: str, model: str, version: str, target: str | None = None
) -> list[OpenRequest]:
    """Return the open requests for a version, to any target or to one."""
    found = open_matters(
        session.connection(), workspace=workspace, model=model, version=version, target=target, kind="request"
    )
    return [_opened(each, _said(session, each)) for each in found]


def closing(matter: Matter, how: str, decision: str | None = None) -> Record:
    """Return the record that closes a matter, and how it ended."""
    body = {"closes": matter.number, "kind": matter.kind, "how": how, "decision": decision}
    return Record(
        CLOSING, matter.workspace, matter.model, matter.version, matter.target, body, reference=str(matter.number)
    )


def closings(session: Session, workspace: str, basis: Basis) -> Iterator[Record]:
    """Yield what closes the request and the flag of a version that is now where a decision let it go."""
    there = open_matters(
        session.connection(), workspace=workspace, model=basis.model, version=basis.version, target=basis.target
    )
    for each in there:
        if each.kind in ("request", "flag"):
            yield closing(each, "promoted", basis.id)


def requester_of(session: Session, matter: Matter) -> str | None:
    """Return who opened a request; None where nobody known did, or it was erased."""
    return _text(_said(session, matter), "requester")


def _opened(matter: Matter, body: Mapping[str, Any]) -> OpenRequest:
    return OpenRequest(matter.number, matter.target, _text(body, "requester"), _text(body, "files"))


def _said(session: Session, matter: Matter) -> Mapping[str, Any]:
    entry = ledger.entry_at(session.connection(), matter.number)
    return {} if entry is None or entry.is_erased else entry.content


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    return value if isinstance(value, str) else None
