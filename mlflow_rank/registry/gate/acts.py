"""What an act does: in the very transaction that keeps it, or it is not taken at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mlflow.exceptions import MlflowException  # noqa: TID253 -- only what stands at MLflow's doors loads this

from mlflow_rank.audit import ledger
from mlflow_rank.audit.checkpoint import checkpoint_of
from mlflow_rank.audit.entry import Entry, Record
from mlflow_rank.audit.matters import Matter, open_matters
from mlflow_rank.evidence.acts import Act, BreakGlass, PromotionRequest, Review, Rollback, Withdrawal
from mlflow_rank.evidence.presented import Presented
from mlflow_rank.evidence.trust import Signer, folded
from mlflow_rank.policy.admission import CLOCK_SKEW, hours
from mlflow_rank.policy.contrary import contrary
from mlflow_rank.policy.decision import moment
from mlflow_rank.policy.model import PromotionPolicy
from mlflow_rank.policy.scope import standing
from mlflow_rank.policy.targets import canonical_target
from mlflow_rank.policy.terms import REVIEWERS
from mlflow_rank.registry.gate.actor import GATE
from mlflow_rank.registry.gate.basis import Basis, break_glass_id
from mlflow_rank.registry.gate.call import Call
from mlflow_rank.registry.gate.formerly import ROLLBACK, Former, formers, no_longer_vouched
from mlflow_rank.registry.gate.gate import Gate
from mlflow_rank.registry.gate.hands import Hands
from mlflow_rank.registry.gate.ledger_records import change_record
from mlflow_rank.registry.gate.open_requests import closing, requester_of
from mlflow_rank.registry.gate.reconsidered import reconsidered
from mlflow_rank.registry.gate.rules_in_force import RulesInForce

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

FRESH = timedelta(hours=1)  # how old an act may be when it is handed in: who signs it wants it now
UNSIGNED = ("request", "withdrawal")  # may be unsigned: they let nothing happen that policies do not approve


class NotTaken(MlflowException):  # type: ignore[misc]
    """An act that is not taken, with the sentence that says why: it rolls the transaction back.

    MLflow's sessions let errors of MLflow's own kind pass as they are; of any other they make a failure of the server.
    """


@dataclass(frozen=True, slots=True)
class Deed:
    """An act that is being taken in: by which call, what it says, about which files, with whose signatures."""

    call: Call
    rules: RulesInForce
    found: Presented
    envelope: bytes
    files: str
    at: datetime

    @property
    def people(self) -> tuple[Signer, ...]:
        """Who signed it, without the gate."""
        return tuple(each for each in self.found.signers if "gate" not in each.roles)

    @property
    def by(self) -> str | None:
        """Who does it: the first signer, else the authenticated user; None where nobody is known."""
        names = sorted(each.name for each in self.people)
        return names[0] if names else (self.call.actor.name if self.call.actor.verified else None)


def flaw_of_act(act: Act, call: Call, version: str, rules: RulesInForce, now: datetime) -> str | None:
    """Return why an act is not taken whatever the registry holds; None where it may be."""
    if act.workspace != call.workspace:
        return f"it is about the workspace {act.workspace}, not about {call.workspace}"
    if act.version != version:
        return f"it is about version {act.version}, not about version {version}"
    if act.made_at - now > CLOCK_SKEW:
        return f"it says that it was made at {moment(act.made_at)}, which is yet to come"
    if now - act.made_at > FRESH:
        return f"it was made at {moment(act.made_at)}, and is good for {int(FRESH.total_seconds() // 3600)} hour only"
    try:
        canonical = canonical_target(act.target)
    except ValueError as error:
        return str(error)
    if canonical != act.target:
        return f"{act.target} is written {canonical}"
    stands = standing([policy for _, policy in rules.policies], act.model, act.target)
    if stands.kind == "governed" or isinstance(act, Withdrawal | Review):
        return None
    return stands.reason.rstrip(".")


@dataclass(frozen=True, slots=True)
class Acts:
    """Carries acts out."""

    gate: Gate
    hands: Hands

    def records(self, session: Session, head: ledger.Head, deed: Deed) -> list[Record]:
        """Carry an act out, and return what is to be recorded of it.

        Args:
            session: of a transaction that has the ledger's lock.
            head: where the ledger ends.
            deed: the act.

        Raises:
            NotTaken: it may not be.
            MlflowException: MLflow itself refuses what it asks.
        """
        act = deed.found.content
        if isinstance(act, PromotionRequest):
            return list(self._request(session, deed, act))
        if isinstance(act, Withdrawal):
            return self._withdrawal(session, deed, act)
        if isinstance(act, Rollback):
            return self._rollback(session, deed, act)
        if isinstance(act, BreakGlass):
            return self._break_glass(session, head, deed, act)
        if isinstance(act, Review):
            return self._review(session, deed, act)
        return []

    def _request(self, session: Session, deed: Deed, act: PromotionRequest) -> Iterator[Record]:
        already = _matter(session, act, "request")
        by = None if already is None else requester_of(session, already)
        if already is not None and (by is not None or deed.by is None):  # who asked first stays who asked
            who = "" if by is None or by == deed.by else f", by {by}"
            raise NotTaken(f"version {act.version} of {act.model} is already asked for {act.target}{who}")
        yield _said("request", deed, act, requester=deed.by, comment=act.comment, files=deed.files)

    def _withdrawal(self, session: Session, deed: Deed, act: Withdrawal) -> list[Record]:
        matter = _matter(session, act, "request")
        if matter is None:
            raise NotTaken(f"nobody asks for version {act.version} of {act.model} to {act.target}")
        requester = requester_of(session, matter)
        owns = any("owner" in each.roles for each in deed.people)
        if requester is not None and not owns and (deed.by is None or folded(deed.by) != folded(requester)):
            raise NotTaken(f"{requester} asked for it; only {requester} or an owner withdraws it")
        return [closing(matter, f"withdrawn by {deed.by or 'nobody known'}")]

    def _rollback(self, session: Session, deed: Deed, act: Rollback) -> list[Record]:
        policies = _governing(deed, act)
        _refuse_unsigned(deed, ((each, each.rollback.signed_by) for each in policies), "rolls back")
        former = self._former(session, deed, act)
        held = ledger.placement(session.connection(), act.workspace, act.model, act.target)
        if held is not None and (held.version, held.decision) == (former.version, former.basis.id):
            raise NotTaken(f"version {act.version} of {act.model} is at {act.target} already")
        return [self._moved(session, deed, former.basis, ROLLBACK, act.reason)]

    def _former(self, session: Session, deed: Deed, act: Rollback) -> Former:
        """Return what once approved the version, where nothing speaks against it since."""
        found = formers(session, act.workspace, act.model, act.target)
        former = next((each for each in found if each.version == act.version), None)
        if former is None:
            raise NotTaken(
                f"version {act.version} of {act.model} was never approved for {act.target}, or is flagged since"
            )
        if former.basis.files != deed.files:
            raise NotTaken(f"the files of version {act.version} are not those that were approved then")
        said = spoken_against(session, act.workspace, former, deed.rules, deed.at)
        if said:
            raise NotTaken(f"since its approval {'; '.join(said)}")
        return former

    def _break_glass(self, session: Session, head: ledger.Head, deed: Deed, act: BreakGlass) -> list[Record]:
        policies = _governing(deed, act)
        for policy in policies:
            terms = policy.break_glass
            if terms is None:
                raise NotTaken(f"policy {policy.metadata.name} allows no break-glass")
            if act.expires_at - act.made_at > hours(terms.max_duration):
                raise NotTaken(f"it lasts longer than {terms.max_duration}")
            _refuse_unsigned(deed, [(policy, terms.signed_by)], "breaks the glass")
        if deed.at >= act.expires_at:
            raise NotTaken(f"it expired at {moment(act.expires_at)}")
        if deed.rules.key is None:
            raise NotTaken("the gate has no key to vouch for it with (MLFLOW_RANK_GATE_KEY)")
        if not any("gate" in each.roles for each in deed.found.signers):
            raise NotTaken("the trust file does not name the gate's key with the role gate")
        if _matter(session, act, "break_glass") is not None:
            raise NotTaken("its last break-glass waits for a review; until then it is not drawn out")
        within = min(hours(each.break_glass.review_within) for each in policies if each.break_glass is not None)
        basis = Basis(break_glass_id(deed.found.digest), act.model, act.version, act.target, deed.files)
        held = ledger.placement(session.connection(), act.workspace, act.model, act.target)
        opened = _said(
            "break_glass", deed, act,
            reason=act.reason, ticket=act.ticket, expires_at=moment(act.expires_at),
            review_by=moment(deed.at + within), instead_of=None if held is None else held.document(),
            envelope=deed.envelope.decode(), checkpoint=checkpoint_of(head, deed.rules.key, GATE).text,
        )  # fmt: skip
        return [replace(opened, reference=basis.id), self._moved(session, deed, basis, "break_glass", act.reason)]

    def _review(self, session: Session, deed: Deed, act: Review) -> list[Record]:
        matter = _matter(session, act, "break_glass")
        entry = None if matter is None else ledger.entry_at(session.connection(), matter.number)
        if entry is None or matter is None or not _is_of(act.break_glass, entry):
            raise NotTaken("there is no such break-glass that waits for a review")
        broke = {folded(name) for name in _names(entry)}
        if not deed.people or any(folded(each.name) in broke for each in deed.people):
            raise NotTaken("whoever broke the glass does not review it")
        asked = [(each, each.break_glass.reviewed_by if each.break_glass else REVIEWERS) for each in _all(deed, act)]
        _refuse_unsigned(deed, asked, "reviews it")
        said = _said("review", deed, act, verdict=act.verdict, comment=act.comment, of=entry.number)
        how = f"reviewed by {deed.by}: {act.verdict}ed"
        return [replace(said, reference=entry.reference), closing(matter, how, entry.reference)]

    def _moved(self, session: Session, deed: Deed, basis: Basis, door: str, reason: str) -> Record:
        """Move the target, and return the record of it."""
        version = str(basis.version)
        actor = deed.call.actor
        if not actor.verified and deed.by is not None:
            actor = replace(actor, on_behalf_of=deed.by)
        said = {"version": version, "target": basis.target, "reason": reason, "signed_by": _signers(deed)}
        stages = basis.target.startswith("stage:")
        call = replace(deed.call, door=door, version=version, arguments=said, actor=actor, stages=stages)
        _, moves = self.gate.carried_out(
            session, call, lambda: self.hands.place(basis.model, version, basis.target), deed.rules, basis
        )
        return change_record(call, moves, basis)


def spoken_against(
    session: Session, workspace: str, former: Former, rules: RulesInForce, now: datetime
) -> tuple[str, ...]:
    """Return what speaks against a version by what was handed in since it was approved; a stricter policy does not."""
    decision = reconsidered(session, workspace, former.basis, rules, now)
    statements = (*decision.case.evidence, *decision.case.approvals)
    stolen = tuple(dict.fromkeys(no_longer_vouched(former, statements, rules.trust)))
    return (*contrary(decision, former.evidence), *stolen)


def _governing(deed: Deed, act: Act) -> Sequence[PromotionPolicy]:
    return standing([policy for _, policy in deed.rules.policies], act.model, act.target).policies


def _all(deed: Deed, act: Act) -> list[PromotionPolicy]:
    """Return every policy that names the model: who may review must not depend on what was taken out since."""
    every = [policy for _, policy in deed.rules.policies]
    return [each for each in every if isinstance(each, PromotionPolicy) and each.match.names(act.model)]


def _refuse_unsigned(deed: Deed, asked: Iterable[tuple[PromotionPolicy, Sequence[str]]], does: str) -> None:
    """Refuse what no person of a right role has signed, under each policy."""
    for policy, roles in asked:
        if not any(each.is_person and each.roles & set(roles) for each in deed.people):
            who = ", ".join(_signers(deed)) or "nobody whom the gate trusts"
            named = policy.metadata.name
            raise NotTaken(f"{who} signed it; under policy {named} a person with the role {' or '.join(roles)} {does}")


def _matter(session: Session, act: Act, kind: str) -> Matter | None:
    found = open_matters(
        session.connection(), workspace=act.workspace, model=act.model, version=act.version, target=act.target,
    )  # fmt: skip
    return next((each for each in found if each.kind == kind), None)


def _said(kind: str, deed: Deed, act: Act, **more: object) -> Record:
    body = {
        "statement": deed.found.digest,
        "signed_by": _signers(deed),
        **more,
        "actor": deed.call.actor.document(),
        "origin": dict(deed.call.origin),
    }
    return Record(kind, act.workspace, act.model, act.version, act.target, body, reference=deed.found.digest)  # type: ignore[arg-type]


def _signers(deed: Deed) -> list[str]:
    return sorted({each.name for each in deed.people})


def _is_of(statement: str, entry: Entry) -> bool:
    """Say whether the entry of a break-glass is of this statement: all of its digest, where it was not erased."""
    if entry.is_erased:
        return entry.reference == break_glass_id(statement)
    return entry.content.get("statement") == statement


def _names(entry: Entry) -> list[str]:
    """Return who signed what an entry says; nobody where its body was erased."""
    listed = [] if entry.is_erased else entry.content.get("signed_by")
    return [str(each) for each in listed] if isinstance(listed, list) else []
