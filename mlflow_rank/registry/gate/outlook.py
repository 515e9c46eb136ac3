"""How a model stands at the gate: what is placed, what is open, what a version still lacks. It changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from mlflow_rank.audit import ledger
from mlflow_rank.audit.entry import Entry
from mlflow_rank.audit.matters import Matter, open_matters
from mlflow_rank.audit.placements import Placement
from mlflow_rank.errors import MlflowRankError
from mlflow_rank.policy.decide import decide
from mlflow_rank.policy.decision import Deny, moment
from mlflow_rank.policy.missing import missing
from mlflow_rank.policy.model import PromotionPolicy
from mlflow_rank.policy.scope import Standing
from mlflow_rank.registry.files.version_bytes import Source, files_digest
from mlflow_rank.registry.gate.formerly import formers
from mlflow_rank.registry.gate.gate import Gate
from mlflow_rank.registry.gate.question import Hashed, Question, presented_of
from mlflow_rank.registry.gate.rules_in_force import RulesInForce
from mlflow_rank.registry.gate.version_numbers import number_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

Document = dict[str, Any]
MOST_FORMERLY = 20  # versions to which one could go back that are listed
_HASHES_KEPT = 64  # digests of files that were looked at lately: who waits for an approval asks again and again


def outlook(gate: Gate, workspace: str, model: str, version: str | None = None, target: str | None = None) -> Document:
    """Return how a model stands, JSON-ready; with a version and a target, also what the gate would say of it now.

    Args:
        gate: of the store.
        workspace: of the model.
        model: its registered name.
        version: number of one of its versions; None for the model alone.
        target: in its canonical form; None for the model alone.

    Raises:
        MlflowException: there is no such version (404).
    """
    rules = gate.rules()
    with gate.sessions.reading() as session:
        connection = session.connection()
        placed = ledger.placements(connection, workspace=workspace, model=model)
        matters = open_matters(connection, workspace=workspace, model=model)
        said: Document = {
            "workspace": workspace,
            "model": model,
            "problems": list(rules.problems),
            "placements": [_placement(session, each) for each in placed],
            "matters": [_matter(session, each, placed, gate.clock()) for each in matters],
        }
    if target is not None:
        stands = gate.standing(rules, workspace, model, target)
        said["standing"] = {"kind": stands.kind, "reason": stands.reason}
        if version is not None:
            said["version"] = _of_version(gate, rules, workspace, model, number_of(version), stands)
    return said


def outlooks(gate: Gate, workspace: str, readable: Any = None) -> Iterator[Document]:
    """Yield how every model of a workspace stands of which something is placed or open, by name.

    Args:
        gate: of the store.
        workspace: whose models.
        readable: says of a name whether it may be shown; None for all of them.
    """
    with gate.sessions.reading() as session:
        connection = session.connection()
        names = {each.model for each in ledger.placements(connection, workspace=workspace)}
        names |= {each.model for each in open_matters(connection, workspace=workspace)}
    for name in sorted(names):
        if readable is None or readable(name):
            yield outlook(gate, workspace, name)


def _of_version(
    gate: Gate, rules: RulesInForce, workspace: str, model: str, version: str, stands: Standing
) -> Document:
    target = stands.target
    with gate.sessions.reading() as session:
        question = Question.read(session, workspace, model, version, target)
        former = list(islice(formers(session, workspace, model, target), MOST_FORMERLY))
        pieces = list(_pieces(session, workspace, model, version, rules))
    said: Document = {
        "number": version,
        "files": None,
        "evidence_digest": None,
        "evidence": pieces,
        "policies": [
            {
                "name": each.metadata.name, "revision": each.metadata.revision, "digest": each.digest,
                "mode": each.mode, "promote": each.promote,
            }
            for each in stands.policies
        ],
        "decision": None,
        "missing": [],
        "formerly": [{"version": each.version, "decision": each.basis.id, "at": each.at} for each in former],
    }  # fmt: skip
    try:
        files = _files(gate, question)
    except MlflowRankError as error:
        sentence = f"{error.what}: {error.got}" if error.got else error.what
        return said | {"missing": [{"sentence": sentence, "who": [], "kind": "evidence"}]}
    champion = None if question.holder is None else question.holder.files
    with gate.sessions.reading() as session:
        case = question.case(session, rules.trust, Hashed(files, champion), None)
    said |= {"files": files, "evidence_digest": case.evidence_digest}
    if not stands.policies:
        return said
    now = gate.clock().replace(microsecond=0)
    decision = decide([each for _, each in rules.policies if isinstance(each, PromotionPolicy)], case, now)
    said["decision"] = decision.document()
    if isinstance(decision, Deny):
        said["decision"]["undecided"] = decision.undecided
        said["missing"] = [each.document() for each in missing(decision, rules.trust.people(now))]
    return said


def _files(gate: Gate, question: Question) -> str:
    """Return the digest of a version's files, hashed when they were looked at for the first time as they are now."""
    if question.state is None:
        return files_digest(question.source, gate.client())
    return _hashed(question.source, question.state, gate.client)


@lru_cache(maxsize=_HASHES_KEPT)
def _hashed(source: Source, state: str, client: Any) -> str:
    return files_digest(source, client())


def _pieces(session: Session, workspace: str, model: str, version: str, rules: RulesInForce) -> Iterator[Document]:
    received = {
        each.digest: each.received_at for each in ledger.evidence_of(session.connection(), workspace, model, version)
    }
    for each in presented_of(session, workspace, model, version, rules.trust):
        yield {
            "digest": each.digest,
            "kind": each.kind,
            "made_at": None if each.made_at is None else moment(each.made_at),
            "received_at": received.get(each.digest),
            "signed_by": sorted({one.name for one in each.signers}),
        }


def _placement(session: Session, each: Placement) -> Document:
    entry = ledger.entry_at(session.connection(), each.number)
    actor = _actor(entry)
    return {
        "target": each.target,
        "version": each.version,
        "decision": each.decision,
        "at": None if entry is None else entry.at,
        "by": actor.get("name"),
        "on_behalf_of": actor.get("on_behalf_of"),
    }


def _matter(session: Session, each: Matter, placed: Sequence[Placement], now: datetime) -> Document:
    entry = ledger.entry_at(session.connection(), each.number)
    body: Mapping[str, Any] = {} if entry is None or entry.is_erased else entry.content
    actor, review_by = _actor(entry), body.get("review_by")
    signed = _texts(body.get("signed_by"))
    by = signed[0] if signed else body.get("requester") or actor.get("name")
    return {
        "kind": each.kind,
        "number": each.number,
        "at": None if entry is None else entry.at,
        "version": each.version,
        "target": each.target,
        "placed": any((one.target, one.version) == (each.target, each.version) for one in placed),
        "by": by,
        "verified": bool(signed) or actor.get("verified") is True,
        "words": next((body[name] for name in ("comment", "reason", "sentence") if body.get(name)), ""),
        "ticket": body.get("ticket"),
        "expires_at": body.get("expires_at"),
        "review_by": review_by,
        "overdue": isinstance(review_by, str) and now > datetime.fromisoformat(review_by),
        "statement": body.get("statement"),
    }


def _actor(entry: Entry | None) -> Mapping[str, Any]:
    found = None if entry is None or entry.is_erased else entry.content.get("actor")
    return found if isinstance(found, Mapping) else {}


def _texts(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, Iterable) and not isinstance(value, str | bytes) else []
