"""Evidence at the door: who signed it, in which role, about which files; only what verifies is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from mlflow_rank.audit import ledger
from mlflow_rank.audit.entry import Record
from mlflow_rank.audit.lookups import evidence_digests
from mlflow_rank.errors import MlflowRankError
from mlflow_rank.evidence.presented import UNREADABLE, Presented, present
from mlflow_rank.policy.model import PromotionPolicy
from mlflow_rank.registry.call import Call
from mlflow_rank.registry.gate import Gate
from mlflow_rank.registry.ledger_records import append
from mlflow_rank.registry.question import source_of
from mlflow_rank.registry.refusal import refused
from mlflow_rank.registry.rules_in_force import RulesInForce
from mlflow_rank.registry.tag_parcel import PREFIX
from mlflow_rank.registry.version_bytes import files_digest

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

ROLES = {
    "measurement": "measurer",
    "pilot": "measurer",
    "alarms": "measurer",
    "approval": "reviewer",
    "waiver": "owner",
}
SetTag = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Takes evidence in for one version; `set_tag` leaves the short tag that people see."""

    gate: Gate
    set_tag: SetTag

    def take(self, call: Call, model: str, version: str, envelope: bytes) -> None:
        """Verify an envelope, keep it, record that, and leave a short tag; what was taken before changes nothing.

        Raises:
            MlflowException: it does not verify (403), with the reason; that is recorded.
        """
        gate = self.gate
        rules = gate.rules()
        if rules.problems:
            self._refuse(call, model, version, None, f"the gate is shut, its rules cannot be read: {rules.problems[0]}")
        found = present(envelope, trust=rules.trust, named="this evidence", received_at=gate.clock())
        with gate.sessions.reading() as session:
            source = source_of(session, call.workspace, model, version)
        flaw = flaw_of_itself(found, model, rules)  # before anything that takes time
        if flaw is not None:
            self._refuse(call, model, version, found, flaw)
        try:
            digest = files_digest(source, gate.client())
        except MlflowRankError as error:
            self._refuse(call, model, version, found, f"{error.what}: {error.got}" if error.got else error.what)
        flaw = flaw_of(found, model, version, digest)
        if flaw is not None:
            self._refuse(call, model, version, found, flaw)
        with gate.sessions.transaction() as session:
            head = ledger.lock(session.connection())
            if source_of(session, call.workspace, model, version) != source:
                raise refused(f"version {version} of {model} changed while its evidence was read; try again")
            if self._is_news(session, call, model, version, found, rules):
                self._keep(session, head, call, model, version, found, envelope, rules)
            self.set_tag(*_short_tag(found))

    def _is_news(
        self, session: Session, call: Call, model: str, version: str, found: Presented, rules: RulesInForce
    ) -> bool:
        """Say whether a statement was not kept yet, or somebody vouches for it who did not vouch for what is kept."""
        connection = session.connection()
        if found.digest not in evidence_digests(connection, call.workspace, model, version):
            return True
        kept = next(
            present(each.envelope, trust=rules.trust, named="it", received_at=datetime.fromisoformat(each.received_at))
            for each in ledger.evidence_of(connection, call.workspace, model, version)
            if each.digest == found.digest
        )
        return set(found.signers) > set(kept.signers)

    def _keep(
        self,
        session: Session,
        head: ledger.Head,
        call: Call,
        model: str,
        version: str,
        found: Presented,
        envelope: bytes,
        rules: RulesInForce,
    ) -> None:
        now = self.gate.clock()
        body = {
            "kind": found.kind,
            "digest": found.digest,
            "signed_by": sorted(each.name for each in found.signers),
            "actor": call.actor.document(),
            "origin": dict(call.origin),
        }
        record = Record("evidence", call.workspace, model, version, None, body, reference=found.digest)
        entry = append(session, head, call, rules, [record], now)[-1]
        ledger.keep_evidence(
            session.connection(), call.workspace, model, version,
            digest=found.digest, kind=found.kind, envelope=envelope, received_at=now, number=entry.number,
        )  # fmt: skip

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


def flaw_of_itself(found: Presented, model: str, rules: RulesInForce) -> str | None:
    """Return why evidence is taken for no version of a model, whatever its files are; None where it may be."""
    if found.kind == UNREADABLE:
        return "; ".join(detail for _, detail in found.problems)
    if found.kind not in ROLES:
        return f"a {found.kind} is nothing that anybody submits"
    policies = _naming(rules, model)
    if not found.signers:
        if not (found.unsigned and policies and all(each.mode != "enforce" for each in policies)):
            return "; ".join(detail for _, detail in found.problems) or "nobody whom the gate trusts has signed it"
    elif not any(each.roles & _roles(found.kind, policies) for each in found.signers):
        names = ", ".join(sorted(each.name for each in found.signers))
        return f"{names} signed it, but is no {' or '.join(sorted(_roles(found.kind, policies)))}"
    if found.made_at is None or found.statement is None or found.content is None:
        return "it does not say what it must"
    said = getattr(found.content, "model", model)
    return f"it is about the model {said}, not about {model}" if said != model else None


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
    if registered and registered == named and f"models:/{model}/{version}" not in registered and found.kind in (
        "measurement", "pilot", "alarms",
    ):  # fmt: skip
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
        else:
            asked.update(policy.evidence.signed_by)
    return asked or {ROLES[kind]}


def _short_tag(found: Presented) -> tuple[str, str]:
    """Return key and value of the tag that people see: one short line."""
    sort = found.kind if found.kind in ("approval", "waiver") else f"evidence.{found.kind}"
    short = found.digest.removeprefix("sha256:")[:8]
    by = ", ".join(sorted(each.name for each in found.signers)) or "unsigned"
    day = "" if found.made_at is None else f" {found.made_at:%Y-%m-%d}"
    return f"{PREFIX}{sort}.{short}", f"ok sha256:{short}… {by}{day}"
