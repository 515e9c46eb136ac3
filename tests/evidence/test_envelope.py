"""Envelopes: DSSE's test vector, what is signed and what holds, other implementations, and whatever comes in."""

from __future__ import annotations

import base64
import json

import hypothesis
import pytest
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope as TheirEnvelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey
from securesystemslib.signer import Signature as TheirSignature

from mlflow_rank.errors import EvidenceError
from mlflow_rank.evidence.canonical import canonical_json, digest_of_bytes
from mlflow_rank.evidence.envelope import MOST_SIGNATURES, PAYLOAD_TYPE, Envelope, Signature, pae, read_envelope
from mlflow_rank.evidence.keys import PrivateKey
from tests.evidence.test_strict_json import mutated

KEYS = [PrivateKey.from_seed(bytes([number]) * 32) for number in range(4)]
ANN, BOB, CID, DOT = KEYS
SIGNED = Envelope(b'{"a":1}').signed_by(ANN)
signings = st.lists(st.sampled_from(KEYS), max_size=6)


def base(data: bytes) -> str:
    return base64.b64encode(data).decode()


def document(**changed):
    """An envelope with one signature, as JSON values, with fields changed, or left out where None."""
    fields = json.loads(SIGNED.to_json()) | changed
    return {name: value for name, value in fields.items() if value is not None}


def signature(**changed):
    fields = document()["signatures"][0] | changed
    return document(signatures=[{name: value for name, value in fields.items() if value is not None}])


def read(value) -> Envelope:
    return read_envelope(value if isinstance(value, bytes) else json.dumps(value).encode(), named="it")


# signing and verifying


def test_the_test_vector_of_dsse():
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert Envelope(b"hello world", (), "http://example.com/HelloWorld").signed_bytes.endswith(b" 11 hello world")


def test_lengths_are_of_bytes():
    assert pae("é", b"\xff") == b"DSSEv1 2 \xc3\xa9 1 \xff"


@hypothesis.given(st.tuples(st.text("a 1"), st.binary(max_size=4)), st.tuples(st.text("a 1"), st.binary(max_size=4)))
def test_no_two_things_are_signed_as_the_same_bytes(one, other):
    assert (pae(*one) == pae(*other)) == (one == other)


@hypothesis.given(st.binary(), signings)
def test_an_envelope_verifies_by_exactly_those_who_signed(payload, signers):
    envelope = Envelope(payload)
    for key in signers:
        envelope = envelope.signed_by(key)
    for key in KEYS:
        found = envelope.verified_by(key.public)
        assert (found is not None) == (key in signers)
        assert found is None or found.key_id == key.public.key_id
    assert len(envelope.signatures) == len(set(signers))


@hypothesis.given(st.binary(), signings, st.randoms(use_true_random=False))
def test_the_order_of_signing_changes_nothing(payload, signers, random):
    one = other = Envelope(payload)
    shuffled = signers.copy()
    random.shuffle(shuffled)
    for key in signers:
        one = one.signed_by(key)
    for key in shuffled:
        other = other.signed_by(key)
    assert one == other
    assert one.to_json() == other.to_json()


@hypothesis.given(st.binary(), signings)
def test_what_is_written_reads_the_same(payload, signers):
    envelope = Envelope(payload)
    for key in signers:
        envelope = envelope.signed_by(key)
    assert read_envelope(envelope.to_json(), named="it") == envelope
    assert envelope.digest == digest_of_bytes(payload)


@hypothesis.given(st.binary(min_size=1), st.data())
def test_with_any_bit_of_payload_signature_or_type_changed_nothing_verifies(payload, data):
    envelope = Envelope(payload).signed_by(ANN)

    def flipped(content: bytes) -> bytes:
        bit = data.draw(st.integers(0, 8 * len(content) - 1))
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        return bytes(changed)

    (signed,) = envelope.signatures
    for changed in (
        Envelope(flipped(payload), (signed,)),
        Envelope(payload, (Signature(signed.key_id, flipped(signed.signature)),)),
        Envelope(payload, (signed,), "application/vnd.in-toto+jsom"),
        Envelope(payload + b"\0", (signed,)),
        Envelope(payload[:-1], (signed,)),
    ):
        assert changed.verified_by(ANN.public) is None


def test_a_key_id_is_only_a_hint():
    (signed,) = SIGNED.signatures
    for key_id in ("", "anything", BOB.public.key_id):
        renamed = Envelope(SIGNED.payload, (Signature(key_id, signed.signature),))
        assert renamed.verified_by(ANN.public) is not None
        assert renamed.verified_by(BOB.public) is None


def test_a_signature_that_names_the_key_is_found_among_others():
    (signed,) = SIGNED.signatures
    forged = Signature(signed.key_id, bytes(64))
    anonymous = Signature("", signed.signature)
    assert Envelope(SIGNED.payload, (forged, anonymous)).verified_by(ANN.public) == anonymous
    assert Envelope(SIGNED.payload, (forged,)).verified_by(ANN.public) is None


def test_signing_again_replaces_what_names_the_key_and_what_is_by_it():
    (signed,) = SIGNED.signatures
    forged, anonymous = Signature(signed.key_id, bytes(64)), Signature("x", signed.signature)
    envelope = Envelope(SIGNED.payload, (forged, anonymous)).signed_by(BOB)
    assert envelope.signed_by(ANN) == SIGNED.signed_by(BOB)


def test_no_more_signatures_fit_than_are_read():
    others = tuple(Signature(str(number), bytes([number]) * 64) for number in range(MOST_SIGNATURES - 1))
    full = Envelope(b"", others).signed_by(ANN)
    assert len(read(full.to_json()).signatures) == MOST_SIGNATURES
    assert full.signed_by(ANN) == full
    with pytest.raises(EvidenceError, match="no signature fits"):
        full.signed_by(BOB)


# reading


def test_unsigned_evidence_is_read():
    assert read(document(signatures=[])) == Envelope(SIGNED.payload)


def test_url_safe_base64_is_read_too():
    envelope = Envelope(b"\xfb\xff\xfe\xfa").signed_by(ANN)
    fields = json.loads(envelope.to_json())
    fields["payload"] = base64.urlsafe_b64encode(envelope.payload).decode()
    fields["signatures"][0]["sig"] = base64.urlsafe_b64encode(envelope.signatures[0].signature).decode()
    assert read(fields) == envelope


def test_a_key_id_may_be_left_out_or_empty():
    assert read(signature(keyid=None)) == read(signature(keyid=""))
    assert read(signature(keyid=None)).verified_by(ANN.public)
    assert b"keyid" not in read(signature(keyid="")).to_json()


REFUSED = [
    ([], "list"),
    (None, "NoneType"),
    ("text", "str"),
    ({}, "no payload, no payloadType, no signatures"),
    (document(payload=None), "no payload"),
    (document(payloadType=None), "no payloadType"),
    (document(signatures=None), "no signatures"),
    (document(extra=1), "'extra'"),
    (document(payloadtype=PAYLOAD_TYPE), "'payloadtype'"),
    (document(payloadType="application/json"), "'application/json'"),
    (document(payloadType="application/vnd.in-toto+JSON"), "in-toto+JSON"),
    (document(payloadType=["application/vnd.in-toto+json"]), "payloadType"),
    (document(payload=1), "int"),
    (document(payload="e30"), "no base64"),
    (document(payload="e30=\n"), "no base64"),
    (document(payload="e31="), "no base64"),
    (document(payload="e3 0="), "no base64"),
    (document(payload="é==="), "no base64"),
    (document(signatures={}), "no list"),
    (document(signatures="sig"), "no list"),
    (document(signatures=[None]), "signature 1 of it"),
    (document(signatures=[{}]), "no sig"),
    (document(signatures=2 * document()["signatures"]), "the same signature twice"),
    (signature(sig=None), "no sig"),
    (signature(extra=1), "'extra'"),
    (signature(cert="x"), "'cert'"),
    (signature(keyid=1), "keyid that is int"),
    (signature(keyid=[]), "keyid that is list"),
    (signature(sig=1), "int"),
    (signature(sig=""), "0 bytes"),
    (signature(sig=base(bytes(63))), "63 bytes"),
    (signature(sig=base(bytes(65))), "65 bytes"),
    (signature(sig=base(SIGNED.signatures[0].signature)[:-4]), "63 bytes"),
    (signature(sig=base(SIGNED.signatures[0].signature).rstrip("=")), "no base64"),
    (document(signatures=[{"sig": base(bytes([number]) * 64)} for number in range(33)]), "33 signatures"),
]


@pytest.mark.parametrize(
    ("value", "said"), REFUSED, ids=[f"{number} {said}" for number, (_, said) in enumerate(REFUSED)]
)
def test_what_is_not_exactly_an_envelope_is_refused(value, said):
    with pytest.raises(EvidenceError) as caught:
        read(value)
    assert said in str(caught.value)
    assert "it" in caught.value.what


def test_one_signature_under_two_key_ids_is_refused():
    sig = document()["signatures"][0]["sig"]
    with pytest.raises(EvidenceError, match="twice"):
        read(document(signatures=[{"keyid": "a", "sig": sig}, {"keyid": "b", "sig": sig}]))


@pytest.mark.parametrize("doubled", ['"payload"', '"payloadType"', '"signatures"', '"sig"', '"keyid"'])
def test_a_field_that_is_there_twice_is_refused(doubled):
    text = SIGNED.to_json().decode().replace(doubled, f"{doubled}:null,{doubled}", 1)
    with pytest.raises(EvidenceError, match="twice in one object"):
        read(text.encode())


def test_a_document_of_100_mb_is_refused():
    with pytest.raises(EvidenceError, match="bytes"):
        read(b'{"payload":"' + 100_000_000 * b"A" + b'"}')


@hypothesis.given(st.binary() | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["payload", "payloadType", "signatures", "sig", "keyid"]), inner),
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_whatever_comes_only_evidence_errors_escape(data):
    with pytest.raises(EvidenceError):
        read(data)


@hypothesis.given(st.data())
def test_a_changed_envelope_is_refused_or_says_the_same_or_does_not_verify(data):
    changed = mutated(SIGNED.to_json(), data.draw)
    try:
        envelope = read(changed)
    except EvidenceError:
        return
    assert envelope.verified_by(ANN.public) is None or envelope.payload == SIGNED.payload
    assert read(envelope.to_json()) == envelope


# securesystemslib


def their_key(key: PrivateKey, key_id: str | None = None) -> SSlibKey:
    return SSlibKey.from_crypto(key.key.public_key(), key_id or key.public.key_id)


@hypothesis.given(st.binary(), st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True))
def test_securesystemslib_verifies_ours(payload, signers):
    envelope = Envelope(payload)
    for key in signers:
        envelope = envelope.signed_by(key)
    theirs = TheirEnvelope.from_dict(json.loads(envelope.to_json()))
    assert len(theirs.verify([their_key(key) for key in KEYS], len(signers))) == len(signers)
    with pytest.raises(VerificationError):
        theirs.verify([their_key(key) for key in KEYS], len(signers) + 1)


@hypothesis.given(st.binary(), st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True))
def test_ours_verifies_securesystemslibs(payload, signers):
    theirs = TheirEnvelope(payload, PAYLOAD_TYPE, {})
    for key in signers:
        theirs.sign(CryptoSigner(key.key, their_key(key)))
    envelope = read(theirs.to_dict())
    assert {key for key in KEYS if envelope.verified_by(key.public)} == set(signers)
    assert envelope.signed_bytes == theirs.pae()


def test_their_threshold_of_two_is_met_by_one_key_under_two_key_ids_and_our_reader_refuses_the_envelope():
    theirs = TheirEnvelope(b"{}", PAYLOAD_TYPE, {})
    names = ["one", "two"]
    for name in names:
        signed = CryptoSigner(ANN.key, their_key(ANN, name)).sign(theirs.pae())
        theirs.signatures[name] = TheirSignature(name, signed.signature)
    assert len(theirs.verify([their_key(ANN, name) for name in names], 2)) == 2
    with pytest.raises(EvidenceError, match="the same signature twice"):
        read(theirs.to_dict())


def test_the_bytes_of_an_envelope_are_canonical():
    assert SIGNED.to_json() == canonical_json(json.loads(SIGNED.to_json()))
