"""Who signed what: a payload and its signatures as one JSON document (DSSE v1, github.com/secure-systems-lab/dsse)."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from typing import NoReturn

from mlflow_rank.errors import EvidenceError
from mlflow_rank.evidence.canonical import canonical_json, digest_of_bytes
from mlflow_rank.evidence.keys import PrivateKey, PublicKey
from mlflow_rank.evidence.strict_base64 import decode_base64
from mlflow_rank.evidence.strict_json import parse_json

PAYLOAD_TYPE = "application/vnd.in-toto+json"
MOST_SIGNATURES = 32
SIGNATURE_BYTES = 64


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return what is signed: the payload with its type and both lengths (DSSE's pre-authentication encoding).

    >>> pae("http://example.com/HelloWorld", b"hello world")
    b'DSSEv1 29 http://example.com/HelloWorld 11 hello world'
    """
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


@dataclass(frozen=True, slots=True, order=True)
class Signature:
    """64 bytes, and a hint at the key: anyone may write any `key_id`, or none (""), so it decides nothing."""

    key_id: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """Bytes and the signatures over them, kept in the order of key ids; none is unsigned evidence."""

    payload: bytes
    signatures: tuple[Signature, ...] = ()
    payload_type: str = PAYLOAD_TYPE

    def __post_init__(self) -> None:
        object.__setattr__(self, "signatures", tuple(sorted(self.signatures)))

    @property
    def digest(self) -> str:
        """Return `sha256:…` of the payload, which names it whoever has signed it."""
        return digest_of_bytes(self.payload)

    @property
    def signed_bytes(self) -> bytes:
        """Return what each signature is over."""
        return pae(self.payload_type, self.payload)

    def signed_by(self, key: PrivateKey) -> Envelope:
        """Return the envelope with this key's signature, in place of any that it had.

        Raises:
            EvidenceError: it has as many signatures as an envelope may have.
        """
        public, signed = key.public, self.signed_bytes
        others = [
            each
            for each in self.signatures
            if each.key_id != public.key_id and not public.verifies(each.signature, signed)
        ]
        if len(others) >= MOST_SIGNATURES:
            raise EvidenceError(
                "no signature fits into this envelope", got=f"{len(others)} of others", expected="fewer than 32"
            )
        return replace(self, signatures=(*others, Signature(public.key_id, key.sign(signed))))

    def verified_by(self, key: PublicKey) -> Signature | None:
        """Return a signature that is by this key, whatever key id it names, or None."""
        signed, hint = self.signed_bytes, key.key_id
        for each in sorted(self.signatures, key=lambda each: each.key_id != hint):
            if key.verifies(each.signature, signed):
                return each
        return None

    def to_json(self) -> bytes:
        """Return the envelope as canonical JSON: the same bytes in whatever order it was signed."""
        return canonical_json(
            {
                "payload": base64.b64encode(self.payload).decode(),
                "payloadType": self.payload_type,
                "signatures": [
                    ({"keyid": each.key_id} if each.key_id else {}) | {"sig": base64.b64encode(each.signature).decode()}
                    for each in self.signatures
                ],
            }
        )


def read_envelope(data: bytes, *, named: str) -> Envelope:
    """Read an envelope, and nothing that is not exactly one; who signed it, and whether that holds, is not looked at.

    Args:
        data: JSON with `payload`, `payloadType`, and `signatures` of `sig` and perhaps `keyid`; base64 in the
            standard or the URL-safe alphabet, as DSSE demands.
        named: what it is called in messages.

    Raises:
        EvidenceError: a field too many or too few, another payload type, text that is no base64, a signature that is
            not 64 bytes, more than 32 signatures, or the same signature twice.
    """
    document = parse_json(data, named=named)
    fields = _fields(document, named, "an envelope", required={"payload", "payloadType", "signatures"})
    payload = _base64(fields["payload"], f"the payload of {named}")
    if fields["payloadType"] != PAYLOAD_TYPE:
        _refuse(named, f"payloadType {ascii(fields['payloadType'])[:80]}", PAYLOAD_TYPE)
    listed = fields["signatures"]
    if not isinstance(listed, list) or len(listed) > MOST_SIGNATURES:
        got = f"{len(listed)} signatures" if isinstance(listed, list) else "signatures that are no list"
        _refuse(named, got, f"a list of at most {MOST_SIGNATURES}")
    signatures = tuple(_signature(each, f"signature {number} of {named}") for number, each in enumerate(listed, 1))
    if len({each.signature for each in signatures}) < len(signatures):
        _refuse(named, "the same signature twice", "each signature once")
    return Envelope(payload, signatures)


def _signature(document: object, named: str) -> Signature:
    fields = _fields(document, named, "a signature", required={"sig"}, optional={"keyid"})
    key_id = fields.get("keyid", "")
    if not isinstance(key_id, str):
        _refuse(named, f"a keyid that is {type(key_id).__name__}", "text")
    signature = _base64(fields["sig"], named)
    if len(signature) != SIGNATURE_BYTES:
        _refuse(named, f"{len(signature)} bytes", f"{SIGNATURE_BYTES} bytes, an Ed25519 signature")
    return Signature(key_id, signature)


def _fields(
    document: object, named: str, what: str, *, required: set[str], optional: frozenset[str] | set[str] = frozenset()
) -> dict[str, object]:
    if not isinstance(document, dict):
        _refuse(named, type(document).__name__, f"{what}: an object")
    names = set(document)
    if not required <= names <= required | optional:
        wrong = [f"no {name}" for name in sorted(required - names)]
        wrong += [f"{ascii(name)[:60]}" for name in sorted(names - required - optional)]
        _refuse(named, ", ".join(wrong[:5]), f"{what}: {', '.join(sorted(required | optional))}")
    return document


def _base64(value: object, named: str) -> bytes:
    if not isinstance(value, str):
        _refuse(named, type(value).__name__, "text, as base64")
    return decode_base64(value, named=named, url_safe=True)


def _refuse(named: str, got: str, expected: str) -> NoReturn:
    raise EvidenceError(f"{named} is no envelope that we accept", got=got, expected=expected)
