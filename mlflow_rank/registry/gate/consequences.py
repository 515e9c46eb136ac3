"""What follows when something was taken in: a promotion that needed just that, or a flag on what it speaks against.

Each happens in a transaction of its own, after that of what was taken: that stays taken whatever follows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from mlflow_rank.audit import ledger
from mlflow_rank.audit.entry import Record
from mlflow_rank.audit.lookups import placed_on
from mlflow_rank.audit.matters import Matter, open_matters
from mlflow_rank.audit.placements import Move, Placement
from mlflow_rank.policy.contrary import contrary
from mlflow_rank.policy.decision import Decision
from mlflow_rank.policy.scope import standing
from mlflow_rank.registry.gate.basis import BREAK_GLASS, Basis
from mlflow_rank.registry.gate.call import Call
from mlflow_rank.registry.gate.formerly import approved_by
from mlflow_rank.registry.gate.gate import Gate
from mlflow_rank.registry.gate.going_back import GoingBack
from mlflow_rank.registry.gate.hands import Hands
from mlflow_rank.registry.gate.ledger_records import append, decision_record
from mlflow_rank.registry.gate.open_requests import OpenRequest, closing, requests_of
from mlflow_rank.registry.gate.reconsidered import reconsidered
from mlflow_rank.registry.gate.refusal import Refused
from mlflow_rank.registry.gate.rules_in_force import RulesInForce
from mlflow_rank.registry.gate.tag_parcel import FLAG

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class Consequences:
    """Draws the consequences of what was taken in about a version."""

    gate: Gate
    hands: Hands

    def draw(self, call: Call, model: str, version: str, files: str) -> None:
        """Promote what is asked for and approved by now, and look again at what is placed already.

        Args:
            call: by which something came.
            model: whose version.
            version: that it is about.
            files: the digest of its files, found out just now.
        """
        rules = self.gate.rules()
        if rules.problems:
            return
        with self.gate.sessions.reading() as session:
            asked = requests_of(session, call.workspace, model, version)
            held = ledger.placements(session.connection(), workspace=call.workspace, model=model)
        for request in asked:
            if _is_automatic(rules, model, request.target):
                self._promote(call, model, version, request)
        for each in held:
            if each.version == version:
                self._look_again(call, each, files, rules)

    def end_break_glasses(self, call: Call, now: datetime) -> None:
        """Go back from every version of a workspace whose break-glass has expired, where there is something to go to.

        Whether it was reviewed makes no difference; one that was not stays open until it is. Where nothing was approved
        before, the version stays where it is: that is shown, and consumers who verify refuse it.
        """
        with self.gate.sessions.reading() as session:
            found = placed_on(session.connection(), BREAK_GLASS, call.workspace)
            expired = [each for each in found if _has_expired(session, each, now)]
        for placement in expired:
            about = replace(call, models=(placement.model,))
            self._going_back.from_(about, placement, "break_glass_expired", "its break-glass has expired")

    @property
    def _going_back(self) -> GoingBack:
        return GoingBack(self.gate, self.hands)

    def rejected(self, call: Call, model: str, target: str, statement: str) -> None:
        """Go back from a version whose break-glass a reviewer rejected, if it is still there."""
        with self.gate.sessions.reading() as session:
            held = ledger.placement(session.connection(), call.workspace, model, target)
        if held is not None and held.decision == statement:
            self._going_back.from_(call, held, "break_glass_rejected", "its break-glass was reviewed and rejected")

    def _promote(self, call: Call, model: str, version: str, request: OpenRequest) -> None:
        by_gate = call.by_gate(
            "automatic_promotion", version, request.target, on_behalf_of=request.requester, request=request.number
        )
        try:
            promoted = self.gate.place_once_approved(
                by_gate, model, version, request, lambda: self.hands.place(model, version, request.target)
            )
        except Refused:
            return  # that is recorded; what was taken in stays taken, and the request open
        if promoted:
            self.hands.moved(model, version, request.target)

    def _look_again(self, call: Call, held: Placement, files: str, rules: RulesInForce) -> None:
        """Flag a version that something speaks against now, or take the flag away; see `GoingBack` for demotion."""
        stands = standing([policy for _, policy in rules.policies], held.model, held.target)
        if not any(policy.mode == "enforce" for policy in stands.policies):
            return
        basis = Basis(held.decision or "", held.model, held.version, held.target, files)
        now = self.gate.clock()
        with self.gate.sessions.transaction() as session:
            head = ledger.lock(session.connection())
            if ledger.placement(session.connection(), *held.key) != held:
                return  # it was moved meanwhile
            flag = _flag(session, held)
            decision = reconsidered(session, held.workspace, basis, rules, now)
            known = _known(session, held)
            said = contrary(decision, known)
            by_gate = call.by_gate("look_again", held.version, held.target, on_behalf_of=None)
            if said and flag is None:
                body = {"decision": decision.id, "sentence": "; ".join(said), "actor": by_gate.actor.document()}
                raised = Record("flag", held.workspace, held.model, held.version, held.target, body, decision.id)
                records = [decision_record(head, by_gate, decision, rules.key), raised]
                append(session, head, by_gate, rules, records, now)
                words = f"{held.target}: {'; '.join(said)}; decision {decision.id}"
                self.hands.set_tag(held.model, held.version, FLAG, words[:_LONGEST])
                self.gate.restate(session, held.workspace, [_where_it_is(held)])
            elif flag is not None and not said:
                records = [closing(flag, "nothing speaks against it any more", decision.id)]
                append(session, head, by_gate, rules, records, now)
                self.hands.delete_tag(held.model, held.version, FLAG)
                self.gate.restate(session, held.workspace, [_where_it_is(held)])
        # what was placed in an emergency, in spite of everything, is judged by its review and ended by the clock
        if said and not (held.decision or "").startswith(BREAK_GLASS) and _demotes(decision, known):
            self._going_back.from_(call, held, "demotion", "; ".join(said))


_LONGEST = 200  # characters of a tag: it stands in a narrow column


def _where_it_is(held: Placement) -> Move:
    return Move(held.model, held.target, held.version, held.version)


def _is_automatic(rules: RulesInForce, model: str, target: str) -> bool:
    stands = standing([policy for _, policy in rules.policies], model, target)
    return stands.kind == "governed" and all(policy.promote == "automatic" for policy in stands.policies)


def _demotes(decision: Decision, known: frozenset[str]) -> bool:
    """Say whether a policy by which something speaks against what is placed wants that to go."""
    return any(
        ruling.policy.on_contrary_evidence == "demote"
        and ruling.policy.mode == "enforce"
        and contrary(replace(decision, rulings=(ruling,)), known)
        for ruling in decision.rulings
    )


def _flag(session: Session, held: Placement) -> Matter | None:
    found = open_matters(
        session.connection(), workspace=held.workspace, model=held.model, version=held.version, target=held.target,
        kind="flag",
    )  # fmt: skip
    return next(iter(found), None)


def _known(session: Session, held: Placement) -> frozenset[str]:
    """Return the digests of what the approval of a version knew of; of nothing where it was placed without one."""
    if held.decision is None:
        return frozenset()
    former = approved_by(session, held.workspace, held.model, held.target, held.decision)
    return frozenset() if former is None else former.evidence


def _has_expired(session: Session, held: Placement, now: datetime) -> bool:
    """Say whether the break-glass behind a placement is over; one that was erased, and tells no time, is."""
    entry = ledger.find(session.connection(), "break_glass", str(held.decision))
    if entry is None or entry.is_erased:
        return True
    return now >= datetime.fromisoformat(str(entry.content["expires_at"]))
