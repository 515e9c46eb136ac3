"""What a signature is about: subjects by digest, and what is said of them (in-toto Statement v1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from mlflow_rank.errors import EvidenceError
from mlflow_rank.evidence.canonical import canonical_json, is_digest
from mlflow_rank.evidence.strict_json import parse_json

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"

MEASUREMENT = "urn:mlflow-rank:measurement:v1"
PILOT = "urn:mlflow-rank:pilot:v1"
ALARMS = "urn:mlflow-rank:alarms:v1"
DECISION = "urn:mlflow-rank:decision:v1"
APPROVAL = "urn:mlflow-rank:approval:v1"
WAIVER = "urn:mlflow-rank:waiver:v1"
REQUEST = "urn:mlflow-rank:request:v1"
WITHDRAWAL = "urn:mlflow-rank:withdrawal:v1"
ROLLBACK = "urn:mlflow-rank:rollback:v1"
BREAK_GLASS = "urn:mlflow-rank:break-glass:v1"
REVIEW = "urn:mlflow-rank:review:v1"
SLSA_SUMMARY = "https://slsa.dev/verification_summary/v1"


@dataclass(frozen=True, slots=True)
class Subject:
    """What is spoken of: its `digest` (`sha256:` and 64 hex digits) says which, its `name` ("" for none) is for people.

    Raises:
        EvidenceError: the digest is none.
    """

    name: str
    digest: str

    def __post_init__(self) -> None:
        if not is_digest(self.digest):
            raise EvidenceError(
                "a subject without a digest",
                got=ascii(self.digest)[:80],
                expected="sha256: and 64 lower-case hex digits",
            )


@dataclass(frozen=True, slots=True)
class Statement:
    """`predicate`, of the kind that `predicate_type` names, is said of every subject.

    Raises:
        EvidenceError: there is no subject, or no predicate type.
    """

    subjects: tuple[Subject, ...]
    predicate_type: str
    predicate: Mapping[str, object]

    def __post_init__(self) -> None:
        if not self.subjects:
            raise EvidenceError("a statement about nothing", got="no subject", expected="at least one")
        if not self.predicate_type:
            raise EvidenceError("a statement of no kind", got="an empty predicateType", expected="the URI of a kind")

    def to_bytes(self) -> bytes:
        """Return the statement as canonical JSON: the payload of an envelope.

        Raises:
            EvidenceError: the predicate holds what is no JSON; see `canonical_json`.
        """
        return canonical_json(
            {
                "_type": STATEMENT_TYPE,
                "subject": [
                    ({"name": each.name} if each.name else {})
                    | {"digest": {"sha256": each.digest.removeprefix("sha256:")}}
                    for each in self.subjects
                ],
                "predicateType": self.predicate_type,
                "predicate": dict(self.predicate),
            }
        )


def read_statement(payload: bytes, *, named: str) -> Statement:
    """Read the statement in an envelope's payload.

    Fields and digests that we do not know are ignored, as in-toto's parsing rules demand; those that we know must be
    right. Each subject needs a SHA-256.

    Args:
        payload: JSON with `_type`, `subject`, `predicateType` and `predicate`.
        named: what it is called in messages.

    Raises:
        EvidenceError: it is no such statement.
    """
    document = parse_json(payload, named=named)
    if not isinstance(document, dict) or document.get("_type") != STATEMENT_TYPE:
        got = f"_type {ascii(document.get('_type'))[:80]}" if isinstance(document, dict) else type(document).__name__
        _refuse(named, got, f"_type {STATEMENT_TYPE}")
    listed, kind, predicate = (document.get(name) for name in ("subject", "predicateType", "predicate"))
    if not isinstance(listed, list) or not listed:
        _refuse(named, "no list of subjects", "subject: a list of at least one")
    if not isinstance(kind, str) or not kind:
        _refuse(named, f"predicateType {ascii(kind)[:80]}", "the URI of a kind")
    if not isinstance(predicate, dict):
        _refuse(named, f"a predicate that is {type(predicate).__name__}", "an object")
    subjects = tuple(_subject(each, f"subject {number} of {named}") for number, each in enumerate(listed, 1))
    return Statement(subjects, kind, predicate)


def _subject(document: object, named: str) -> Subject:
    fields = document if isinstance(document, dict) else {}
    name, digests = fields.get("name", ""), fields.get("digest")
    sha256 = digests.get("sha256") if isinstance(digests, dict) else None
    if not isinstance(sha256, str) or not is_digest(f"sha256:{sha256}"):
        _refuse(named, f"sha256 {ascii(sha256)[:80]}", "digest: an object with sha256, 64 lower-case hex digits")
    if not isinstance(name, str):
        _refuse(named, f"a name that is {type(name).__name__}", "text")
    return Subject(name, f"sha256:{sha256}")


def _refuse(named: str, got: str, expected: str) -> NoReturn:
    raise EvidenceError(f"{named} is no statement that we accept", got=got, expected=expected)
