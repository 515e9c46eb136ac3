"""A file presented as evidence: what it says, who vouches for it, or why neither is known. Nothing is raised here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache

from mlflow_rank.errors import EvidenceError
from mlflow_rank.evidence.canonical import digest_of_bytes
from mlflow_rank.evidence.contents import Content, contents_of, made_at_of
from mlflow_rank.evidence.envelope import Envelope, read_envelope
from mlflow_rank.evidence.statement import (
    ALARMS,
    APPROVAL,
    BREAK_GLASS,
    DECISION,
    MEASUREMENT,
    PILOT,
    REQUEST,
    REVIEW,
    ROLLBACK,
    SLSA_SUMMARY,
    WAIVER,
    WITHDRAWAL,
    Statement,
    read_statement,
)
from mlflow_rank.evidence.trust import Signer, TrustStore

KINDS = {
    MEASUREMENT: "measurement",
    PILOT: "pilot",
    ALARMS: "alarms",
    APPROVAL: "approval",
    WAIVER: "waiver",
    DECISION: "decision",
    SLSA_SUMMARY: "summary",
    REQUEST: "request",
    WITHDRAWAL: "withdrawal",
    ROLLBACK: "rollback",
    BREAK_GLASS: "break_glass",
    REVIEW: "review",
}
KINDS_OF_EVIDENCE = ("measurement", "pilot", "alarms")  # what machines say; all else is somebody's own word
KINDS_OF_ACTS = ("request", "withdrawal", "rollback", "break_glass", "review")
UNREADABLE = "unreadable"
MOST_KEPT = 16  # statements that were read lately: a gate reads those of candidate and champion again and again


@dataclass(frozen=True, slots=True)
class Presented:
    """A statement as it was presented, with its signatures judged.

    `digest` is of the signed bytes (of the whole file where it could not be read), `kind` one of `KINDS`, `other` or
    `unreadable`. `signers` are those whose signatures hold and whose keys were in force when it was made. `problems`
    are pairs of a cause and a sentence: why it cannot be read, or what is wrong with its signatures.
    """

    digest: str
    kind: str
    subjects: frozenset[str] = frozenset()
    made_at: datetime | None = None
    content: Content | None = None
    signers: tuple[Signer, ...] = ()
    problems: tuple[tuple[str, str], ...] = ()
    statement: Statement | None = None

    @property
    def unsigned(self) -> bool:
        """Whether it carries no signature at all."""
        return any(cause == "unsigned" for cause, _ in self.problems)


def present(
    data: bytes, *, trust: TrustStore, named: str = "the evidence", received_at: datetime | None = None
) -> Presented:
    """Read an envelope and judge its signatures; whatever is wrong becomes a problem of the value.

    Args:
        data: the bytes of the file.
        trust: whose signatures count.
        named: what the file is called in sentences.
        received_at: when a ledger took it in, where one did: a time that its signer could not choose.
    """
    try:
        envelope, statement, content = _read(data, named)
    except EvidenceError as error:
        return Presented(digest_of_bytes(data), UNREADABLE, problems=((UNREADABLE, _one_line(error)),))
    kind = KINDS.get(statement.predicate_type, "other")
    subjects = frozenset(subject.digest for subject in statement.subjects)
    made_at = made_at_of(statement)
    if made_at is None:
        late = ((UNREADABLE, "it does not say when it was made (made_at, with a time zone)"),)
        return Presented(envelope.digest, kind, subjects, None, content, problems=late, statement=statement)
    verdict = trust.judge(envelope, made_at=made_at, received_at=received_at)
    problems = tuple(sorted((problem.cause, problem.detail) for problem in verdict.problems))
    return Presented(envelope.digest, kind, subjects, made_at, content, verdict.signers, problems, statement)


@lru_cache(maxsize=MOST_KEPT)
def _read(data: bytes, named: str) -> tuple[Envelope, Statement, Content | None]:
    """Read what is the same whenever it is read; who vouches for it is judged each time."""
    envelope = read_envelope(data, named=named)
    statement = read_statement(envelope.payload, named=named)
    return envelope, statement, contents_of(statement, named=named)


def each_once(statements: Iterable[Presented]) -> tuple[Presented, ...]:
    """Return the statements in order of digest; one that was presented twice, with the signatures of both.

    Bytes that are no envelope, but have the digest of a statement, are its payload laid bare: they take nothing away.
    """
    found: dict[str, Presented] = {}
    for each in statements:
        found[each.digest] = _joined(found[each.digest], each) if each.digest in found else each
    return tuple(found[digest] for digest in sorted(found))


def _joined(one: Presented, other: Presented) -> Presented:
    if one == other or other.kind == UNREADABLE:
        return one
    if one.kind == UNREADABLE:
        return other
    signers = sorted({*one.signers, *other.signers}, key=lambda signer: (signer.name, signer.key_id))
    problems = sorted({*one.problems, *other.problems})
    if not (one.unsigned and other.unsigned):  # one of them carries a signature, so together they do
        problems = [problem for problem in problems if problem[0] != "unsigned"]
    return replace(one, signers=tuple(signers), problems=tuple(problems))


def _one_line(error: EvidenceError) -> str:
    return error.what + (f": {error.got}" if error.got else "")
