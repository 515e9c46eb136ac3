"""Taking a version away from its target: the target goes back to the version that was approved before it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow_rank.audit import ledger
from mlflow_rank.audit.placements import Placement
from mlflow_rank.errors import MlflowRankError
from mlflow_rank.registry.files.version_bytes import Source, files_digest, state_of
from mlflow_rank.registry.gate.acts import spoken_against
from mlflow_rank.registry.gate.basis import BREAK_GLASS
from mlflow_rank.registry.gate.call import Call
from mlflow_rank.registry.gate.formerly import Former, formers
from mlflow_rank.registry.gate.gate import Gate, TakenBack
from mlflow_rank.registry.gate.hands import Hands
from mlflow_rank.registry.gate.ledger_records import append, change_record
from mlflow_rank.registry.gate.question import source_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class GoingBack:
    """Goes back by itself; people go back by a rollback."""

    gate: Gate
    hands: Hands

    def from_(self, call: Call, held: Placement, door: str, reason: str) -> str | None:
        """Go back from a version to the last one approved before it that still is what it was; return which.

        Args:
            call: in whose course it happens.
            held: what the target points at.
            door: what the ledger calls it.
            reason: why, in words.
        """
        from mlflow.exceptions import MlflowException

        for former in self._before(held):
            source = digest = None
            with suppress(MlflowException, MlflowRankError):
                with self.gate.sessions.reading() as session:
                    source = source_of(session, held.workspace, held.model, former.version)
                state = state_of(source)
                digest = files_digest(source, self.gate.client())
            if source is None or digest != former.basis.files:
                continue  # it was deleted, or its files are no longer those that were approved
            try:
                went = self._went(call, held, former, (source, state), door, reason)
            except TakenBack:
                continue  # it would leave a place to a version that nobody was asked about
            if went:
                self.hands.moved(held.model, former.version, held.target)
                return former.version
        return None

    def _before(self, held: Placement) -> list[Former]:
        """Return what could take its place, what was there last first; never what people have taken away since."""
        with self.gate.sessions.reading() as session:
            limit = _approved_at(session, held)
            found = formers(session, held.workspace, held.model, held.target)
            older = [each for each in found if each.version != held.version and (limit is None or each.number < limit)]
            kept = sorted((each for each in older if not each.taken_away), key=lambda each: each.placed, reverse=True)
            rules, now = self.gate.rules(), self.gate.clock()
            return [each for each in kept if not spoken_against(session, held.workspace, each, rules, now)]

    def _went(
        self, call: Call, held: Placement, former: Former, files: tuple[Source, str | None], door: str, reason: str
    ) -> bool:
        """Move the target, unless somebody else did so meanwhile."""
        by_gate = call.by_gate(
            door, former.version, held.target, on_behalf_of=None, reason=reason, instead_of=held.version
        )
        rules = self.gate.rules()
        with self.gate.sessions.transaction() as session:
            connection = session.connection()
            head = ledger.lock(connection)
            there = ledger.placement(connection, held.workspace, held.model, held.target)
            source = source_of(session, held.workspace, held.model, former.version)
            if there != held or (source, state_of(source)) != files:
                return False
            _, moves = self.gate.carried_out(
                session, by_gate, lambda: self.hands.place(held.model, former.version, held.target), rules, former.basis
            )
            append(session, head, by_gate, rules, [change_record(by_gate, moves, former.basis)], self.gate.clock())
            self.gate.restate(session, held.workspace, moves, new=False)
        return True


def _approved_at(session: Session, held: Placement) -> int | None:
    """Return the number of the entry that approved what is there; None where nothing did."""
    if held.decision is None or held.decision.startswith(BREAK_GLASS):
        return None
    entry = ledger.find(session.connection(), "decision", held.decision)
    return None if entry is None else entry.number
