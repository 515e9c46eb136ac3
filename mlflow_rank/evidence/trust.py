"""Whose signature is believed, in which role, and since and until when."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from mlflow_rank.errors import EvidenceError, UsageError
from mlflow_rank.evidence.envelope import Envelope, Signature
from mlflow_rank.evidence.instant import Instant
from mlflow_rank.evidence.keys import PublicKey
from mlflow_rank.evidence.strict_yaml import PLACED, YamlDocument

Role = Literal["measurer", "reviewer", "owner", "gate", "emergency"]
Cause = Literal["unsigned", "unknown_key", "bad_signature", "key_not_valid_yet", "key_expired", "key_revoked"]
Value = TypeVar("Value")
MOST_KEPT = 32  # signatures that were verified lately: a gate looks at those of candidate and champion again and again
Found = tuple[tuple[str | int, ...], str]  # a path in the document, and what is wrong there


def _parsed(kind: type[Value], reader: Callable[[str], Value]) -> PlainValidator:
    """Return a validator that takes a value of the kind, or text that the reader reads."""

    def validate(value: object) -> Value:
        if isinstance(value, kind):
            return value
        try:
            if not isinstance(value, str):
                raise EvidenceError("this is no text", got=type(value).__name__)
            return reader(value)
        except EvidenceError as error:
            expected = f"; {error.expected} is expected" if error.expected else ""
            raise ValueError(f"{error.what}: {error.got}{expected}") from error

    return PlainValidator(validate)


KeyText = Annotated[PublicKey, _parsed(PublicKey, PublicKey.from_text)]
TimeText = Annotated[Instant, _parsed(Instant, Instant.of)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=254)]


class _Closed(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", use_attribute_docstrings=True)


class Revocation(_Closed):
    """Since when a key counts no longer, and why."""

    at: TimeText
    reason: Literal["retired", "compromised"]
    """retired: what it signed before stays signed. compromised: a thief may have written any date into a statement."""


class TrustedKey(_Closed):
    """A key, whose it is, and what its signatures count as."""

    key: KeyText
    person: Name | None = None
    """Exactly one of `person` and `service` is given."""
    service: Name | None = None
    roles: Annotated[tuple[Role, ...], Field(min_length=1)]
    valid_from: TimeText | None = None
    valid_until: TimeText | None = None
    """The first moment at which it is valid no longer."""
    revoked: Revocation | None = None

    @property
    def signer(self) -> Signer:
        """Return whom this key stands for."""
        name = self.person if self.person is not None else self.service or ""
        return Signer(self.key.key_id, name, self.person is not None, frozenset(self.roles), self.ended_at)

    @property
    def ended_at(self) -> datetime | None:
        """When the key ended or will end: the earlier of its revocation and `valid_until`."""
        ends = [self.revoked.at.moment] if self.revoked else []
        ends += [self.valid_until.moment] if self.valid_until else []
        return min(ends, default=None)

    @property
    def field_of_name(self) -> str:
        """Return which of its fields has the name."""
        return "service" if self.person is None else "person"

    def flaws(self) -> Iterator[Found]:
        """Yield what in it makes no sense."""
        if (self.person is None) == (self.service is None):
            yield (), "must name exactly one of person and service"
        field, name = self.field_of_name, self.signer.name
        if not name.isprintable() or " " in name:  # invisible letters would make two people of one
            yield (field,), "must be printable and without spaces"
        if len(set(self.roles)) < len(self.roles):
            yield ("roles",), "names a role twice"
        if self.valid_from and self.valid_until and self.valid_from.moment >= self.valid_until.moment:
            yield ("valid_until",), f"must be after valid_from, {self.valid_from.text}"

    def problem(self, made_at: datetime, received_at: datetime | None) -> SignatureProblem | None:
        """Return why this key did not vouch for what was made then, or None if it did."""
        if self.revoked and not _before(self.revoked, made_at, received_at):
            why = f"was revoked as {self.revoked.reason} at {self.revoked.at.text}"
            if self.revoked.reason == "compromised" and received_at is None:
                why += ", and no ledger says that the signature is older"
            return self._problem("key_revoked", why)
        if self.valid_from and made_at < self.valid_from.moment:
            return self._problem(
                "key_not_valid_yet", f"is valid from {self.valid_from.text}, after {made_at.isoformat()}"
            )
        if self.valid_until and made_at >= self.valid_until.moment:
            return self._problem(
                "key_expired", f"was valid until {self.valid_until.text}, before {made_at.isoformat()}"
            )
        return None

    def _problem(self, cause: Cause, why: str) -> SignatureProblem:
        return SignatureProblem(cause, f"the key {self.key.key_id} of {self.signer.name} {why}")


@dataclass(frozen=True, slots=True)
class Signer:
    """A person or a service whose signature holds; one with two keys is there twice, by the same `name`.

    `ended_at` is when the key was revoked or ran out, or will; None: no end is known. What it signed before is a fact
    that stands, but a consent is of the present: approvals and waivers ask whether the key is in force still.
    """

    key_id: str
    name: str
    is_person: bool
    roles: frozenset[str]
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SignatureProblem:
    """Why a signature counts for nothing."""

    cause: Cause
    detail: str


@dataclass(frozen=True, slots=True)
class SignatureVerdict:
    """Who vouches for a document, and which signatures count for nothing."""

    signers: tuple[Signer, ...]
    problems: tuple[SignatureProblem, ...]


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """A person or a service with a key in force, and what their signatures count as."""

    name: str
    is_person: bool
    roles: frozenset[str]


class TrustStore(_Closed):
    """The keys that are believed: the content of `trust.yaml`."""

    api_version: Literal["mlflow-rank/v1"] = Field(alias="apiVersion")
    kind: Literal["TrustStore"]
    keys: tuple[TrustedKey, ...]

    @model_validator(mode="after")
    def _makes_sense(self) -> TrustStore:
        problems = list(self._flaws())
        if problems:
            message = "; ".join(dict.fromkeys(what for _, what in problems))
            raise PydanticCustomError(PLACED, "{message}", {"message": message, "problems": problems})
        return self

    def _flaws(self) -> Iterator[Found]:
        places: dict[bytes, int] = {}
        spellings: dict[str, str] = {}
        for index, each in enumerate(self.keys):
            yield from ((("keys", index, *path), what) for path, what in each.flaws())
            first = places.setdefault(each.key.raw, index)
            if first != index:
                yield ("keys", index, "key"), f"is the key of keys[{first}] again; each key stands here once"
            name = each.signer.name
            spelling = spellings.setdefault(folded(name), name)
            if spelling != name:  # two of them would count as two people
                yield ("keys", index, each.field_of_name), f"is written {spelling} elsewhere; one name has one spelling"

    def judge(self, envelope: Envelope, *, made_at: datetime, received_at: datetime | None = None) -> SignatureVerdict:
        """Return whose signatures hold, and why the others do not.

        A signature is judged by the state of its key when it was made. A retired key still vouches for what was made
        before; a compromised one only for what a ledger received before. Each key counts once, whatever key ids
        the envelope names.

        Args:
            envelope: what was signed.
            made_at: when, by the statement's own words.
            received_at: when a ledger took it in, which nobody can date back; decides instead of `made_at` whether a
                key was revoked by then.

        Raises:
            UsageError: a time has no time zone.
        """
        for time in (made_at, received_at):
            if time is not None and time.utcoffset() is None:
                raise UsageError("a time without a time zone", got=str(time), expected="a time with its zone")
        if not envelope.signatures:
            return SignatureVerdict((), (SignatureProblem("unsigned", "nobody has signed this"),))
        signers: dict[str, Signer] = {}
        problems: dict[SignatureProblem, None] = {}
        for signature in envelope.signatures:
            trusted = self._key_of(signature, envelope)
            problem = _unverified(signature, self.keys) if trusted is None else trusted.problem(made_at, received_at)
            if problem is not None:
                problems[problem] = None
            elif trusted is not None:
                signers[trusted.key.key_id] = trusted.signer
        return SignatureVerdict(tuple(signers.values()), tuple(problems))

    def people(self, now: datetime) -> tuple[KeyHolder, ...]:
        """Return who has a key in force at a time, services among them, by name; roles of several keys are joined."""
        roles: dict[tuple[str, bool], set[str]] = {}
        for each in self.keys:
            begun = each.valid_from is None or each.valid_from.moment <= now
            if begun and (each.ended_at is None or now < each.ended_at):
                roles.setdefault((each.signer.name, each.signer.is_person), set()).update(each.roles)
        return tuple(KeyHolder(name, person, frozenset(roles[name, person])) for name, person in sorted(roles))

    def _key_of(self, signature: Signature, envelope: Envelope) -> TrustedKey | None:
        ordered = sorted(self.keys, key=lambda each: each.key.key_id != signature.key_id)
        return next((each for each in ordered if _verifies(each.key, signature.signature, envelope)), None)


@lru_cache(maxsize=MOST_KEPT)
def _verifies(key: PublicKey, signature: bytes, envelope: Envelope) -> bool:
    """Say whether a signature is by a key, which never changes; whether the key counts is judged each time."""
    return key.verifies(signature, envelope.signed_bytes)


def read_trust(text: str, *, named: str) -> TrustStore:
    """Read a `trust.yaml`.

    Raises:
        DocumentError: with every place at which it makes no sense.
    """
    return YamlDocument.of(text, named=named).validate(TrustStore)


def _before(revoked: Revocation, made_at: datetime, received_at: datetime | None) -> bool:
    """Say whether a signature is surely older than the revocation of its key."""
    if revoked.reason == "compromised" and received_at is None:
        return False
    return (made_at if received_at is None else received_at) < revoked.at.moment


def _unverified(signature: Signature, keys: tuple[TrustedKey, ...]) -> SignatureProblem:
    for each in keys:
        if each.key.key_id == signature.key_id:
            detail = f"the signature does not hold with the key {each.key.key_id} of {each.signer.name}, which it names"
            return SignatureProblem("bad_signature", detail)
    named = ascii(signature.key_id[:80]) if signature.key_id else "no key"
    return SignatureProblem("unknown_key", f"the signature, which names {named}, holds with no trusted key")


def folded(name: str) -> str:
    """Return the one form of all spellings of a name that people would take for the same.

    >>> folded("Ann\N{FULLWIDTH COMMERCIAL AT}lab ") == folded("ann@lab")
    True
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip()
