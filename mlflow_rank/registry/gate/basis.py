"""What allows a move: a decision that approved it, or a break-glass, by its id, and what exactly it is about."""

from __future__ import annotations

from dataclasses import dataclass

from mlflow_rank.audit.placements import Move
from mlflow_rank.policy.decision import Decision

BREAK_GLASS = "bg-"  # how the id of a break-glass begins; that of a decision is hexadecimal
_ID_CHARACTERS = 12  # as many as a decision's


@dataclass(frozen=True, slots=True)
class Basis:
    """A decision or a break-glass, and which version of which model it lets a target point at."""

    id: str
    model: str
    version: str | None
    target: str
    files: str

    @classmethod
    def of(cls, decision: Decision) -> Basis:
        """Return what a decision is about."""
        request = decision.case.request
        return cls(decision.id, request.model, request.version, request.target, request.candidate.digest)

    def covers(self, move: Move) -> bool:
        """Say whether a move is the one that this is about, or leaves a stage empty on the way to Production.

        What else a version leaves behind by changing its stage was not decided: an older version, that nobody asked
        about now, would be what consumers of that stage get.
        """
        if move.model != self.model:
            return False
        if move.target == self.target:
            return True
        return (
            self.target == "stage:Production"
            and move.target == "stage:Staging"
            and (move.before, move.after) == (self.version, None)
        )


def break_glass_id(statement: str) -> str:
    """Return the id of a break-glass by the digest of its statement.

    >>> break_glass_id("sha256:" + "0123456789abcdef" * 4)
    'bg-0123456789ab'
    """
    return BREAK_GLASS + statement.removeprefix("sha256:")[:_ID_CHARACTERS]
