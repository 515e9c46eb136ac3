"""One entry of the ledger: a header that nothing may change, and a body that may be erased without breaking the proof.

The header holds a salted digest of the body, so that whoever keeps the header of an erased body cannot find it by
guessing. Its canonical JSON is a leaf of the tree, and each header names the hash of the one before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from json.encoder import encode_basestring
from typing import Literal, cast

from mlflow_rank.audit.merkle import leaf_hash
from mlflow_rank.errors import EvidenceError, LedgerError, UsageError
from mlflow_rank.evidence.canonical import canonical_json, digest_of_bytes
from mlflow_rank.evidence.strict_json import parse_json

Kind = Literal[
    "change", "refusal", "decision", "evidence", "evidence_refused", "policies", "finding", "erasure",
    "request", "flag", "break_glass", "review", "closing",
]  # fmt: skip

SALT_BYTES = 16
# as long as the columns are
LONGEST = {"kind": 32, "workspace": 63, "model": 256, "version": 32, "target": 272, "reference": 128}


@dataclass(frozen=True, slots=True)
class Record:
    """What is to be appended; what it is about is None where it is about no workspace, model, version or target."""

    kind: Kind
    workspace: str | None
    model: str | None
    version: str | None
    target: str | None
    body: Mapping[str, object]
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as it is stored; `body` is canonical JSON, and None together with `salt` where it was erased."""

    number: int
    at: str
    kind: str
    workspace: str | None
    model: str | None
    version: str | None
    target: str | None
    reference: str | None
    body_digest: str
    previous: str
    hash: str
    body: str | None
    salt: str | None

    @property
    def leaf(self) -> bytes:
        """Return the canonical JSON of the header (RFC 8785), written out, since verifying writes it for every entry.

        Raises:
            LedgerError: a field holds what the ledger never writes.
        """
        try:
            return (
                f'{{"at":{_text(self.at)},"body_digest":{_text(self.body_digest)},"kind":{_text(self.kind)},'
                f'"model":{_text(self.model)},"number":{self.number:d},"previous":{_text(self.previous)},'
                f'"reference":{_text(self.reference)},"target":{_text(self.target)},'
                f'"version":{_text(self.version)},"workspace":{_text(self.workspace)}}}'
            ).encode()
        except (TypeError, ValueError) as error:
            raise LedgerError(f"entry {self.number} holds what no ledger writes", got=str(error)[:200]) from error

    @property
    def computed_hash(self) -> bytes:
        """Return the hash that the header really has; see `leaf`."""
        return leaf_hash(self.leaf)

    @property
    def is_erased(self) -> bool:
        """Whether the body is gone."""
        return self.body is None

    @property
    def content(self) -> dict[str, object]:
        """Return the body as a value.

        Raises:
            LedgerError: it was erased, or is not what the ledger writes.
        """
        if self.body is None:
            raise LedgerError(f"the body of entry {self.number} was erased", expected="an entry with its body")
        try:
            value = parse_json(self.body, named=f"the body of entry {self.number}")
        except EvidenceError as error:
            raise LedgerError(error.what, got=error.got, expected=error.expected) from error
        if not isinstance(value, dict):
            raise LedgerError(f"the body of entry {self.number} is no object", got=type(value).__name__)
        return cast("dict[str, object]", value)

    @property
    def moment(self) -> datetime:
        """Return when it was written, in UTC, by the clock of whoever wrote it.

        Raises:
            LedgerError: it says no time.
        """
        try:
            return datetime.fromisoformat(self.at).astimezone(UTC)
        except (ValueError, TypeError) as error:
            raise LedgerError(f"entry {self.number} has no time", got=ascii(self.at)[:60]) from error


def sealed(record: Record, *, number: int, at: datetime, previous: str, salt: bytes) -> Entry:
    """Return the entry that says this, after the entry whose hash is `previous`.

    Raises:
        LedgerError: something in it is no JSON value, or too long for its column.
        UsageError: the time has no zone.
    """
    for name, longest in LONGEST.items():
        value = getattr(record, name)
        if value is not None and (len(value) > longest or "\x00" in value):
            raise LedgerError(
                "this does not fit into the ledger",
                got=f"{name} of {len(value)} characters: {ascii(value)[:60]}",
                expected=f"at most {longest}, and no zero byte",
            )
    try:
        body = canonical_json(dict(record.body))
    except EvidenceError as error:
        raise LedgerError("this does not fit into the ledger", got=error.got, expected=error.expected) from error
    header = Entry(
        number=number,
        at=written(at),
        kind=record.kind,
        workspace=record.workspace,
        model=record.model,
        version=record.version,
        target=record.target,
        reference=record.reference,
        body_digest=digest_of_bytes(salt + body),
        previous=previous,
        hash="",
        body=body.decode(),
        salt=salt.hex(),
    )
    return replace(header, hash=header.computed_hash.hex())


def start_of(ledger_id: str) -> str:
    """Return what the first entry names as the hash before it."""
    return hashlib.sha256(ledger_id.encode()).hexdigest()


def written(at: datetime) -> str:
    """Return a time as the ledger writes it: UTC, with microseconds, so that text sorts as time does.

    Raises:
        UsageError: it has no zone.

    >>> written(datetime(2026, 11, 25, 12, 0, tzinfo=UTC))
    '2026-11-25T12:00:00.000000Z'
    """
    if at.utcoffset() is None:
        raise UsageError("a time without a time zone", got=str(at), expected="a time with its zone")
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _text(value: str | None) -> str:
    return "null" if value is None else encode_basestring(value)
