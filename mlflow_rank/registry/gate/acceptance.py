"""What is submitted, at the door: who signed it, in which role, about which files; only what verifies is kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from mlflow_rank.audit import ledger
from mlflow_rank.audit.entry import Record
from mlflow_rank.audit.lookups import evidence_digests
from mlflow_rank.audit.placements import Move, moves_of
from mlflow_rank.errors import EvidenceError, MlflowRankError
from mlflow_rank.evidence.acts import Act, BreakGlass, PromotionRequest, Review, Rollback
from mlflow_rank.evidence.contents import Approval, Waiver
from mlflow_rank.evidence.envelope import read_envelope
from mlflow_rank.evidence.presented import KINDS_OF_EVIDENCE, UNREADABLE, Presented, present
from mlflow_rank.evidence.trust import TrustStore, folded
from mlflow_rank.policy.model import PromotionPolicy
from mlflow_rank.policy.terms import REVIEWERS
from mlflow_rank.registry.files.version_bytes import files_digest, state_of
from mlflow_rank.registry.gate.acts import UNSIGNED, Acts, Deed, NotTaken, flaw_of_act
from mlflow_rank.registry.gate.basis import break_glass_id
from mlflow_rank.registry.gate.call import Call
from mlflow_rank.registry.gate.consequences import Consequences
from mlflow_rank.registry.gate.gate import Gate, TakenBack
from mlflow_rank.registry.gate.hands import Hands
from mlflow_rank.registry.gate.ledger_records import append
from mlflow_rank.registry.gate.open_requests import requests_of
from mlflow_rank.registry.gate.question import source_of
from mlflow_rank.registry.gate.refusal import refused
from mlflow_rank.registry.gate.rules_in_force import RulesInForce
from mlflow_rank.registry.gate.tag_parcel import PREFIX

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

ROLES: Mapping[str, tuple[str, ...]] = {
    "measurement": ("measurer",),
    "pilot": ("measurer",),
    "alarms": ("measurer",),
    "approval": ("reviewer",),
    "waiver": ("owner",),
    "rollback": REVIEWERS,
    "break_glass": ("emergency",),
    "review": REVIEWERS,
}
LONGEST_WORD = 65_536  # bytes: some texts of 2,000 characters, the digests of 100 policies, and 32 signatures


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Takes in what is submitted for a version; `hands` leave the short tag that people see, and carry acts out."""

    gate: Gate
    hands: Hands

    def take(self, call: Call, model: str, version: str, envelope: bytes) -> None:
        """Verify an envelope, keep it, record that, and leave a short tag; an act is carried out, or not taken.

        What was taken before changes nothing.

        Raises:
            MlflowException: it does not verify (403), with the reason; that is recorded.
        """
        gate = self.gate
        rules = gate.rules()
        if rules.problems:
            self._refuse(call, model, version, None, f"the gate is shut, its rules cannot be read: {rules.problems[0]}")
        now = gate.clock()
        found = present(envelope, trust=rules.trust, named="this evidence", received_at=now)
        with gate.sessions.reading() as session:
            source = source_of(session, call.workspace, model, version)
        flaw = flaw_of_itself(found, model, rules)  # before anything that takes time
        flaw = flaw or flaw_of_hand(found, call, rules.trust) or flaw_of_place(found, call, version)
        if flaw is None and found.kind not in KINDS_OF_EVIDENCE:
            flaw = too_long(envelope)
        if flaw is None and isinstance(found.content, Act):
            flaw = flaw_of_act(found.content, call, version, rules, now)
        if flaw is not None:
            self._refuse(call, model, version, found, flaw)
        if vouches(found) and rules.key is not None:
            try:
                envelope = read_envelope(envelope, named="this evidence").signed_by(rules.key).to_json()
            except EvidenceError as error:  # it is full of signatures
                self._refuse(call, model, version, found, f"{error.what}: {error.got}")
            found = present(envelope, trust=rules.trust, named="this evidence", received_at=now)
        state = state_of(source)
        try:
            digest = files_digest(source, gate.client())
        except MlflowRankError as error:
            self._refuse(call, model, version, found, f"{error.what}: {error.got}" if error.got else error.what)
        flaw = flaw_of(found, model, version, digest)
        if flaw is not None:
            self._refuse(call, model, version, found, flaw)
        deed = Deed(call, rules, found, envelope, digest, now)
        try:
            with gate.sessions.transaction() as session:
                head = ledger.lock(session.connection())
                if source_of(session, call.workspace, model, version) != source or state_of(source) != state:
                    raise refused(f"version {version} of {model} changed while its evidence was read; try again")
                if gate.rules().digest != rules.digest:  # a key that was revoked meanwhile does nothing any more
                    raise refused("policies or trust changed while this evidence was read; try again")
                news = self._news(session, model, version, deed)
                if news is not None:
                    self._keep(session, head, model, version, news)
                    self.hands.set_tag(model, version, *_short_tag(news.found))
        except NotTaken as said:
            self._refuse(call, model, version, found, str(said))
        except TakenBack as back:
            self._refuse(call, model, version, found, back.sentence)
        if isinstance(found.content, Rollback | BreakGlass):
            self.hands.moved(model, version, found.content.target)
        consequences = Consequences(gate, self.hands)
        consequences.draw(call, model, version, digest)
        if isinstance(found.content, Review) and found.content.verdict == "reject":
            consequences.rejected(call, model, found.content.target, break_glass_id(found.content.break_glass))

    def _news(self, session: Session, model: str, version: str, deed: Deed) -> Deed | None:
        """Return what is to be kept: a statement that is new, or one that somebody else vouches for as well.

        Two people may say the same in the same second, in the very same bytes: both signatures count then. None where
        all of it is kept already.

        Raises:
            NotTaken: it is an act, which was carried out before.
        """
        connection, found = session.connection(), deed.found
        if found.digest not in evidence_digests(connection, deed.call.workspace, model, version):
            return deed
        if isinstance(found.content, PromotionRequest) and requests_of(
            session, deed.call.workspace, model, version, found.content.target
        ):
            raise NotTaken(f"version {version} of {model} is already asked for {found.content.target}")
        if isinstance(found.content, Act):
            raise NotTaken("it was handed in before, and an act is carried out once; sign it anew")
        kept = next(
            each
            for each in ledger.evidence_of(connection, deed.call.workspace, model, version)
            if each.digest == found.digest
        )
        trust, received_at = deed.rules.trust, datetime.fromisoformat(kept.received_at)
        before = present(kept.envelope, trust=trust, named="it", received_at=received_at)
        if set(found.signers) <= set(before.signers):
            return None
        both = joined(
            (kept.envelope, deed.envelope), {each.key_id for each in (*before.signers, *found.signers)}, trust
        )
        return replace(deed, envelope=both, found=present(both, trust=trust, named="it", received_at=deed.at))

    def _keep(self, session: Session, head: ledger.Head, model: str, version: str, deed: Deed) -> None:
        call, found = deed.call, deed.found
        body = {
            "kind": found.kind,
            "digest": found.digest,
            "signed_by": sorted(each.name for each in found.signers),
            **_word(found.content),
            "actor": call.actor.document(),
            "origin": dict(call.origin),
        }
        taken = Record("evidence", call.workspace, model, version, None, body, reference=found.digest)
        done = Acts(self.gate, self.hands).records(session, head, deed)
        entries = append(session, head, call, deed.rules, [taken, *done], deed.at)
        entry = next(each for each in entries if each.kind == "evidence")
        ledger.keep_evidence(
            session.connection(), call.workspace, model, version,
            digest=found.digest, kind=found.kind, envelope=deed.envelope, received_at=deed.at, number=entry.number,
        )  # fmt: skip
        if done:
            moves = [move for record in done if record.kind == "change" for move in moves_of(record.body)]
            self.gate.restate(session, call.workspace, [Move(model, "", version, version), *moves])

    def _refuse(self, call: Call, model: str, version: str, found: Presented | None, sentence: str) -> None:
        error = refused(f"this evidence is not taken: {sentence}")
        body = {
            "digest": None if found is None else found.digest,
            "sentence": error.message,
            "actor": call.actor.document(),
            "origin": dict(call.origin),
        }
        record = Record("evidence_refused", call.workspace, model, version, None, body)
        with self.gate.sessions.transaction() as session:
            head = ledger.lock(session.connection())
            append(session, head, call, self.gate.rules(), [record], self.gate.clock())
        raise error


def _word(content: object) -> dict[str, object]:
    """Return which word an approval is, and for what: what the outside is told needs it; the comment stays inside."""
    if not isinstance(content, Approval):
        return {}
    witnessed = {} if content.witnessed is None else {"witnessed": content.witnessed}
    return {"verdict": content.verdict, "target": content.target, **witnessed}


def flaw_of_itself(found: Presented, model: str, rules: RulesInForce) -> str | None:
    """Return why evidence is taken for no version of a model, whatever its files are; None where it may be."""
    if found.kind == UNREADABLE:
        return "; ".join(detail for _, detail in found.problems)
    if found.kind not in ROLES and found.kind not in UNSIGNED:
        return f"a {found.kind} is nothing that anybody submits"
    policies = _naming(rules, model)
    if found.kind in UNSIGNED or vouches(found):
        if not (found.signers or found.unsigned):
            return "; ".join(detail for _, detail in found.problems) or "nobody whom the gate trusts has signed it"
    elif not found.signers:
        if not (found.unsigned and policies and all(each.mode != "enforce" for each in policies)):
            return "; ".join(detail for _, detail in found.problems) or "nobody whom the gate trusts has signed it"
    elif not any(each.roles & _roles(found.kind, policies) for each in found.signers):
        names = ", ".join(sorted(each.name for each in found.signers))
        return f"{names} signed it, but is no {' or '.join(sorted(_roles(found.kind, policies)))}"
    if found.made_at is None or found.statement is None or found.content is None:
        return "it does not say what it must"
    said = getattr(found.content, "model", model)
    return f"it is about the model {said}, not about {model}" if said != model else None


def joined(envelopes: Sequence[bytes], key_ids: Collection[str], trust: TrustStore) -> bytes:
    """Return one envelope of a statement that was signed in several, with the signatures of these keys that hold."""
    read = [read_envelope(each, named="this evidence") for each in envelopes]
    keys = [each.key for each in trust.keys if each.key.key_id in key_ids]
    held = [signature for key in keys for one in read if (signature := one.verified_by(key)) is not None]
    return replace(read[0], signatures=tuple({each.signature: each for each in held}.values())).to_json()


def vouches(found: Presented) -> bool:
    """Say whether the gate has to sign as well: that a user gave an approval, or that a break-glass went through it."""
    witnessed = isinstance(found.content, Approval) and found.content.witnessed is not None
    return witnessed or isinstance(found.content, BreakGlass)


def too_long(envelope: bytes) -> str | None:
    """Return that somebody's word is longer than people write: it is kept, and read at every decision."""
    if len(envelope) <= LONGEST_WORD:
        return None
    return f"it has {len(envelope):,} bytes; what people ask and say has {LONGEST_WORD:,} at most"


def flaw_of_hand(found: Presented, call: Call, trust: TrustStore) -> str | None:
    """Return why nobody hands this in: under authentication people hand in their own word, and nobody else's.

    An approval without a key is the authenticated user's, or it is nobody's.
    """
    user = call.actor.name if call.actor.verified else None
    if isinstance(found.content, Approval) and found.content.witnessed is not None:
        if user is None:
            return "the server knows no user, so the gate cannot vouch for one; sign it with a key"
        if folded(user) != folded(found.content.witnessed):
            return f"{user} hands in an approval of {found.content.witnessed}; people hand in their own word"
        services = {folded(each.service) for each in trust.keys if each.service is not None}
        return f"{user} is a service; approvals are people's" if folded(user) in services else None
    if user is None or found.kind in KINDS_OF_EVIDENCE:
        return None
    others = sorted(each.name for each in found.signers if folded(each.name) != folded(user))
    return f"{', '.join(others)} signed it, and {user} hands it in; people hand in their own word" if others else None


def flaw_of_place(found: Presented, call: Call, version: str) -> str | None:
    """Return why somebody's word is not about this version in this workspace; None where it is, or does not say."""
    if not isinstance(found.content, Approval | Waiver):
        return None
    workspace, named = found.content.workspace, getattr(found.content, "version", None)
    if workspace not in (None, call.workspace):
        return f"it was given in the workspace {workspace}, not in {call.workspace}"
    return f"it was given for version {named}, not for version {version}" if named not in (None, version) else None


def flaw_of(found: Presented, model: str, version: str, digest: str) -> str | None:
    """Return why evidence, which itself is without flaw, is not taken for a version whose files have this digest.

    Evidence for any version of equal files would be about these files too; it is taken only where it does not say that
    it is of another registered version, so that nobody's word is carried where he did not give it.
    """
    if digest not in found.subjects:
        return f"it is about other files than version {version} of {model} has now ({digest[:19]}…)"
    subjects = () if found.statement is None else found.statement.subjects
    named = {each.name for each in subjects if each.digest == digest}
    registered = {each for each in named if each.startswith("models:/")}
    if registered and registered == named and f"models:/{model}/{version}" not in registered:
        return f"it is about {', '.join(sorted(registered))}, not about models:/{model}/{version}"
    return None


def _naming(rules: RulesInForce, model: str) -> list[PromotionPolicy]:
    return [each for _, each in rules.policies if isinstance(each, PromotionPolicy) and each.match.names(model)]


def _roles(kind: str, policies: list[PromotionPolicy]) -> set[str]:
    """Return the roles that may sign a kind: those that policies of the model ask for, else the usual one."""
    asked: set[str] = set()
    for policy in policies:
        if kind == "approval":
            asked.update(policy.approvals.signed_by)
        elif kind == "waiver":
            asked.update(policy.waivers.signed_by if policy.waivers else ())
        elif kind == "rollback":
            asked.update(policy.rollback.signed_by)
        elif kind == "break_glass":
            asked.update(policy.break_glass.signed_by if policy.break_glass else ())
        elif kind == "review":
            asked.update(policy.break_glass.reviewed_by if policy.break_glass else REVIEWERS)
        else:
            asked.update(policy.evidence.signed_by)
    return asked or set(ROLES[kind])


def _short_tag(found: Presented) -> tuple[str, str]:
    """Return key and value of the tag that people see: one short line."""
    sort = f"evidence.{found.kind}" if found.kind in KINDS_OF_EVIDENCE else found.kind
    short = found.digest.removeprefix("sha256:")[:8]
    who = {each.name for each in found.signers if found.kind != "break_glass" or "gate" not in each.roles}
    by = ", ".join(sorted(who)) or "unsigned"
    day = "" if found.made_at is None else f" {found.made_at:%Y-%m-%d}"
    return f"{PREFIX}{sort}.{short}", f"{_in_a_word(found)} sha256:{short}… {by}{day}"


def _in_a_word(found: Presented) -> str:
    """Return what a tag says first: `ok`, which is of the signature, would be misread of what is not well."""
    if found.kind == "break_glass":
        return "WITHOUT APPROVAL"
    return "rejected" if getattr(found.content, "verdict", None) == "reject" else "ok"
