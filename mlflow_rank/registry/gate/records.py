"""What the record says of decisions and placements, for whoever may read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow_rank.registry.gate.basis import BREAK_GLASS

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session

    from mlflow_rank.audit.entry import Entry

API = "/mlflow-rank/api/v1"
GATED = "rank+"


@dataclass(frozen=True, slots=True)
class Placed:
    """A version at a target of a model, and the id of the decision that put it there; None where there was none."""

    target: str
    version: str
    decision: str | None


def entry_of(connection: Connection | Session, basis: str) -> Entry | None:
    """Return the entry of a decision by its id, or of a break-glass (`bg-…`); None where there is none."""
    from mlflow_rank.audit import ledger

    return ledger.find(connection, "break_glass" if basis.startswith(BREAK_GLASS) else "decision", basis)


def placed(connection: Connection | Session, workspace: str, model: str) -> list[Placed]:
    """Return what the ledger put at the targets of a model, by target."""
    from mlflow_rank.audit import ledger

    found = ledger.placements(connection, workspace=workspace, model=model)
    return [Placed(each.target, each.version, each.decision) for each in found]
