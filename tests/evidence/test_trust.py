"""Who is believed: reading `trust.yaml`, and judging signatures by the state of their keys when they were made."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta, timezone

import hypothesis
import pytest
from hypothesis import strategies as st
from pydantic import ValidationError

from mlflow_rank.errors import UsageError
from mlflow_rank.evidence.envelope import Envelope, Signature, read_envelope
from mlflow_rank.evidence.keys import PrivateKey
from mlflow_rank.evidence.strict_yaml import DocumentError
from mlflow_rank.evidence.trust import KeyHolder, Signer, TrustStore, read_trust

KEYS = [PrivateKey.from_seed(bytes([number]) * 32) for number in range(4)]
ANN, BOB, CID, DOT = KEYS
HEAD = "apiVersion: mlflow-rank/v1\nkind: TrustStore\nkeys:\n"
NOW = datetime(2026, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def entry(signer: PrivateKey = ANN, /, **fields: str | None) -> str:
    """One key in `trust.yaml`, with fields changed, or left out where None."""
    given = {"key": signer.public.text, "person": "ann@example.org", "roles": "[reviewer]"} | fields
    lines = [f"{name}: {value}\n" for name, value in given.items() if value is not None]
    return "  - " + "    ".join(lines)


def trust(*entries: str) -> TrustStore:
    return read_trust(HEAD + "".join(entries), named="trust.yaml")


def signed(*keys: PrivateKey) -> Envelope:
    envelope = Envelope(b"{}")
    for key in keys:
        envelope = envelope.signed_by(key)
    return envelope


def causes(store: TrustStore, envelope: Envelope, made_at=NOW, received_at=None) -> list[str]:
    return [problem.cause for problem in store.judge(envelope, made_at=made_at, received_at=received_at).problems]


def names(store: TrustStore, envelope: Envelope, made_at=NOW, received_at=None) -> list[str]:
    return [signer.name for signer in store.judge(envelope, made_at=made_at, received_at=received_at).signers]


# reading


def test_a_whole_trust_store_is_read():
    store = trust(
        entry(
            ANN,
            roles="[reviewer, owner]",
            valid_from="2026-01-01T00:00:00Z",
            valid_until="2027-01-01T01:00:00+01:00",
            revoked="{at: 2026-06-01T00:00:00Z, reason: retired}",
        ),
        entry(BOB, person=None, service="nightly-pilot", roles="[measurer]"),
    )
    ann, bob = store.keys
    assert (ann.key, ann.person, ann.roles) == (ANN.public, "ann@example.org", ("reviewer", "owner"))
    assert ann.valid_until is not None
    assert ann.valid_until.text == "2027-01-01T01:00:00+01:00"
    assert ann.valid_until.moment == datetime(2027, 1, 1, tzinfo=UTC)
    assert ann.revoked is not None
    assert ann.revoked.reason == "retired"
    assert bob.signer == Signer(BOB.public.key_id, "nightly-pilot", False, frozenset({"measurer"}))
    assert (store.api_version, store.kind) == ("mlflow-rank/v1", "TrustStore")


def test_a_store_that_trusts_nobody_is_one():
    assert read_trust(HEAD.replace("keys:", "keys: []"), named="trust.yaml").keys == ()


def test_a_trust_store_does_not_change():
    store = trust(entry())
    with pytest.raises(ValidationError):
        store.keys = ()  # type: ignore[misc]


REFUSED = [
    (entry(key="ed25519:AAAA"), "trust.yaml:4:10: keys[0].key: this is no Ed25519 public key: 3 bytes"),
    (entry(key="ssh-ed25519"), "keys[0].key: this is no public key: 'ssh-ed25519'"),
    (entry(key="ed25519:" + 43 * "A" + "="), "no public key that we trust"),
    (entry(key="ed25519:AQ" + 41 * "A" + "="), "no public key that we trust"),
    (entry(key=ANN.public.text.replace("=", "")), "a public key is no base64"),
    (entry(key="12"), "keys[0].key: this is no text: int"),
    (entry(key="[a]"), "keys[0].key: this is no text: list"),
    (entry(person=None), "trust.yaml:4:5: keys[0]: must name exactly one of person and service"),
    (entry(service="x"), "exactly one of person and service"),
    (entry(person="''"), "keys[0].person: "),
    (entry(person="12"), "keys[0].person: "),
    (entry(person='"ann\\u200b@example.org"'), "keys[0].person: must be printable and without spaces"),
    (entry(person="Ann Example"), "keys[0].person: must be printable and without spaces"),
    (entry(person=255 * "a"), "keys[0].person: "),
    (entry(roles="[]"), "keys[0].roles: "),
    (entry(roles="reviewer"), "keys[0].roles: "),
    (entry(roles="[reviewer, admin]"), "keys[0].roles[1]: "),
    (entry(roles="[Reviewer]"), "keys[0].roles[0]: "),
    (entry(roles="[owner, owner]"), "keys[0].roles: names a role twice"),
    (entry(roles=None), "keys[0].roles: is missing"),
    (entry(valid_from="2026-01-01"), "keys[0].valid_from: this is no time with a zone: '2026-01-01'"),
    (entry(valid_from="2026-01-01T00:00:00"), "keys[0].valid_from: this is no time with a zone"),
    (entry(valid_until="2026-02-30T00:00:00Z"), "keys[0].valid_until: this is no time with a zone"),
    (
        entry(valid_from="2026-01-01T00:00:00Z", valid_until="2026-01-01T01:00:00+01:00"),
        "keys[0].valid_until: must be after valid_from, 2026-01-01T00:00:00Z",
    ),
    (entry(revoked="true"), "keys[0].revoked: "),
    (entry(revoked="{at: 2026-01-01T00:00:00Z}"), "keys[0].revoked.reason: is missing"),
    (entry(revoked="{reason: retired}"), "keys[0].revoked.at: is missing"),
    (entry(revoked="{at: 2026-01-01T00:00:00Z, reason: lost}"), "keys[0].revoked.reason: "),
    (entry(revoked="{at: yesterday, reason: retired}"), "keys[0].revoked.at: this is no time with a zone"),
    (entry(note="hello"), "keys[0].note: there is no such field"),
    (entry(ANN) + entry(BOB) + entry(ANN), "keys[2].key: is the key of keys[0] again"),
    (entry(ANN) + entry(BOB, person="Ann@example.org"), "keys[1].person: is written ann@example.org elsewhere"),
    (entry(ANN) + entry(BOB, person=None, service="ann@ｅxample.org"), "keys[1].service: is written ann@example.org"),
    (entry(ANN, person="a") + entry(BOB, person="a", roles="[boss]"), "keys[1].roles[0]: "),
    (entry() + "    key: again\n", "is here twice"),
    ("  - &a {}\n", "an anchor"),
    ("  - null\n", "keys[0]: "),
]


@pytest.mark.parametrize(
    ("entries", "said"), REFUSED, ids=[f"{number} {said[-30:]}" for number, (_, said) in enumerate(REFUSED)]
)
def test_what_makes_no_sense_is_refused_with_its_place(entries, said):
    with pytest.raises(DocumentError) as caught:
        trust(entries)
    assert said in str(caught.value)
    assert "Value error" not in str(caught.value)
    assert all(line.startswith("trust.yaml:") for line in str(caught.value).splitlines())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("keys: []\n", "apiVersion: is missing"),
        (HEAD.replace("v1", "v2") + entry(), "trust.yaml:1:13: apiVersion: "),
        (HEAD.replace("TrustStore", "PromotionPolicy") + entry(), "trust.yaml:2:7: kind: "),
        (HEAD.replace("apiVersion", "api_version") + entry(), "api_version: there is no such field"),
        (HEAD + entry() + "admins: []\n", "admins: there is no such field"),
        (HEAD.replace("keys:\n", ""), "keys: is missing"),
        ("[]", "document: "),
        ("\x00", "no YAML"),
    ],
)
def test_another_document_is_refused(text, said):
    with pytest.raises(DocumentError) as caught:
        read_trust(text, named="trust.yaml")
    assert said in str(caught.value)


def test_everything_that_makes_no_sense_is_said_at_once():
    with pytest.raises(DocumentError) as caught:
        trust(entry(ANN, person=None), entry(BOB, roles="[owner, owner]"), entry(ANN, person="a b"))
    assert [(problem.line, problem.field) for problem in caught.value.problems] == [
        (4, "keys[0]"), (8, "keys[1].roles"), (9, "keys[2].key"), (10, "keys[2].person"),
    ]  # fmt: skip


def test_a_store_built_in_python_must_make_sense_too():
    twice = [{"key": ANN.public, "person": "a", "roles": ("gate",)}] * 2
    with pytest.raises(ValidationError, match="is the key of"):
        TrustStore.model_validate({"apiVersion": "mlflow-rank/v1", "kind": "TrustStore", "keys": tuple(twice)})


# judging


def test_those_whose_signatures_hold_are_the_signers():
    store = trust(
        entry(ANN), entry(BOB, person=None, service="pilot", roles="[measurer, gate]"), entry(CID, person="c")
    )
    verdict = store.judge(signed(ANN, BOB), made_at=NOW)
    assert verdict.problems == ()
    assert set(verdict.signers) == {
        Signer(ANN.public.key_id, "ann@example.org", True, frozenset({"reviewer"})),
        Signer(BOB.public.key_id, "pilot", False, frozenset({"measurer", "gate"})),
    }


REVOKED = "{at: 2026-06-01T00:00:00Z, reason: retired}"
ENDS = [
    ({}, None),
    ({"valid_until": "2026-07-01T00:00:00Z"}, datetime(2026, 7, 1, tzinfo=UTC)),
    ({"revoked": REVOKED}, datetime(2026, 6, 1, tzinfo=UTC)),
    ({"revoked": REVOKED, "valid_until": "2026-07-01T00:00:00Z"}, datetime(2026, 6, 1, tzinfo=UTC)),
    ({"revoked": REVOKED, "valid_until": "2026-05-20T02:00:00+02:00"}, datetime(2026, 5, 20, tzinfo=UTC)),
]


@pytest.mark.parametrize(("fields", "end"), ENDS)
def test_a_signer_says_when_the_key_ends_although_what_it_signed_before_holds(fields, end):
    [signer] = trust(entry(ANN, **fields)).judge(signed(ANN), made_at=NOW).signers

    assert signer.ended_at == end


def test_what_a_ledger_received_before_a_theft_holds_and_says_that_the_key_ended():
    stolen = trust(entry(ANN, revoked="{at: 2026-06-01T00:00:00Z, reason: compromised}"))

    [signer] = stolen.judge(signed(ANN), made_at=NOW, received_at=NOW + DAY).signers

    assert signer.ended_at == datetime(2026, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "now", "there"),
    [
        ({}, NOW, True),
        ({"valid_from": "2026-05-01T00:00:00Z"}, NOW, True),
        ({"valid_from": "2026-05-01T00:00:01Z"}, NOW, False),
        ({"valid_until": "2026-05-01T00:00:00Z"}, NOW, False),
        ({"valid_until": "2026-05-01T00:00:01Z"}, NOW, True),
        ({"revoked": REVOKED}, NOW, True),
        ({"revoked": REVOKED}, NOW + 31 * DAY, False),
        ({"revoked": "{at: 2026-04-01T00:00:00Z, reason: compromised}"}, NOW, False),
    ],
)
def test_people_are_those_with_a_key_in_force(fields, now, there):
    found = trust(entry(ANN, **fields)).people(now)

    assert found == ((KeyHolder("ann@example.org", True, frozenset({"reviewer"})),) if there else ())


def test_roles_of_several_keys_are_joined_as_far_as_they_are_in_force():
    store = trust(
        entry(ANN, roles="[reviewer]"), entry(BOB, roles="[owner, emergency]"),
        entry(CID, roles="[measurer]", valid_until="2026-01-01T00:00:00Z"),
        entry(DOT, person=None, service="a-pilot", roles="[measurer]"),
    )  # fmt: skip

    assert store.people(NOW) == (
        KeyHolder("a-pilot", False, frozenset({"measurer"})),
        KeyHolder("ann@example.org", True, frozenset({"reviewer", "owner", "emergency"})),
    )


def test_unsigned_evidence_has_no_signer():
    assert causes(trust(entry()), Envelope(b"{}")) == ["unsigned"]


def test_a_key_that_nobody_knows_counts_for_nothing():
    store = trust(entry(ANN))
    assert causes(store, signed(BOB)) == ["unknown_key"]
    assert names(store, signed(ANN, BOB)) == ["ann@example.org"]
    assert causes(store, signed(ANN, BOB)) == ["unknown_key"]
    assert causes(read_trust(HEAD.replace("keys:", "keys: []"), named="t"), signed(ANN)) == ["unknown_key"]


def test_a_signature_that_does_not_hold_for_the_key_that_it_names_is_bad():
    (good,) = signed(ANN).signatures
    forged = Envelope(b"{ }", (good,))
    verdict = trust(entry(ANN)).judge(forged, made_at=NOW)
    assert verdict.signers == ()
    assert [problem.cause for problem in verdict.problems] == ["bad_signature"]
    assert "ann@example.org" in verdict.problems[0].detail


def test_a_signature_counts_for_the_key_that_made_it_whatever_it_names():
    store = trust(entry(ANN), entry(BOB, person="bob"))
    (by_ann,) = signed(ANN).signatures
    for key_id in ("", "x", BOB.public.key_id, CID.public.key_id):
        envelope = Envelope(b"{}", (Signature(key_id, by_ann.signature),))
        assert names(store, envelope) == ["ann@example.org"]
        assert causes(store, envelope) == []


def test_one_key_under_many_key_ids_counts_once():
    (by_ann,) = signed(ANN).signatures
    envelope = Envelope(b"{}", tuple(Signature(key_id, by_ann.signature) for key_id in ("a", "b", by_ann.key_id)))
    assert names(trust(entry(ANN)), envelope) == ["ann@example.org"]


def other_signature(key: PrivateKey, data: bytes) -> bytes:
    """A second valid signature by one key, as its owner can make without end: another nonce than RFC 8032 names."""
    order, prime = 2**252 + 27742317777372353535851937790883648493, 2**255 - 19
    d = -121665 * pow(121666, -1, prime) % prime

    def added(one, other):
        (x, y), (u, v) = one, other
        product = d * x * y * u * v
        return (
            (x * v + y * u) * pow(1 + product, -1, prime) % prime,
            (y * v + x * u) * pow(1 - product, -1, prime) % prime,
        )

    def times(number, point):
        total = (0, 1)
        while number:
            total = added(total, point) if number & 1 else total
            point, number = added(point, point), number >> 1
        return total

    def encoded(point):
        return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")

    y = 4 * pow(5, -1, prime) % prime
    square = (y * y - 1) * pow(d * y * y + 1, -1, prime) % prime
    x = pow(square, (prime + 3) // 8, prime)
    x = x if (x * x - square) % prime == 0 else x * pow(2, (prime - 1) // 4, prime) % prime
    point = (x if x % 2 == 0 else prime - x, y)
    half = bytearray(hashlib.sha512(key.key.private_bytes_raw()).digest()[:32])
    half[0] &= 248
    half[31] = half[31] & 127 | 64
    secret = int.from_bytes(half, "little")
    commitment = encoded(times(12345, point))
    challenge = int.from_bytes(hashlib.sha512(commitment + key.public.raw + data).digest(), "little")
    return commitment + ((12345 + challenge * secret) % order).to_bytes(32, "little")


def test_one_key_with_two_different_signatures_counts_once():
    envelope = signed(ANN)
    second = Signature("", other_signature(ANN, envelope.signed_bytes))
    envelope = read_envelope(Envelope(b"{}", (*envelope.signatures, second)).to_json(), named="it")
    assert len(envelope.signatures) == 2
    assert ANN.public.verifies(second.signature, envelope.signed_bytes)
    assert names(trust(entry(ANN)), envelope) == ["ann@example.org"]
    assert causes(trust(entry(ANN, valid_from="2027-01-01T00:00:00Z")), envelope) == ["key_not_valid_yet"]


def test_a_person_with_two_keys_is_there_twice_by_one_name():
    store = trust(entry(ANN), entry(BOB))
    assert names(store, signed(ANN, BOB)) == ["ann@example.org", "ann@example.org"]


# when


FROM, UNTIL = "2026-05-01T00:00:00Z", "2026-05-03T00:00:00Z"


@pytest.mark.parametrize(
    ("made_at", "cause"),
    [
        (NOW - timedelta(microseconds=1), ["key_not_valid_yet"]),
        (NOW, []),
        (NOW + 2 * DAY - timedelta(microseconds=1), []),
        (NOW + 2 * DAY, ["key_expired"]),
    ],
    ids=["before", "at the beginning", "at the last moment", "at the end"],
)
def test_a_key_vouches_from_its_first_moment_to_before_its_last(made_at, cause):
    store = trust(entry(valid_from=FROM, valid_until=UNTIL))
    assert causes(store, signed(ANN), made_at) == cause
    assert bool(names(store, signed(ANN), made_at)) == (cause == [])


def revoked(reason: str) -> TrustStore:
    return trust(entry(revoked=f"{{at: {FROM}, reason: {reason}}}"))


@pytest.mark.parametrize(
    ("reason", "made", "received", "holds"),
    [
        ("retired", -1, None, True),  # what was made before stays
        ("retired", 0, None, False),
        ("retired", 1, None, False),
        ("retired", -1, -1, True),
        ("retired", -1, 0, False),  # dated back, or late: the ledger had it only when the key was revoked
        ("retired", -1, 1, False),
        ("retired", 1, -1, True),  # the ledger's time decides
        ("compromised", -1, None, False),  # a thief can write any date
        ("compromised", -1000, None, False),
        ("compromised", 1, None, False),
        ("compromised", -1, -1, True),
        ("compromised", -1, 0, False),
        ("compromised", -1, 1, False),
        ("compromised", 1, -1, True),
    ],
)
def test_a_revoked_key(reason, made, received, holds):
    received_at = None if received is None else NOW + received * DAY
    found = causes(revoked(reason), signed(ANN), NOW + made * DAY, received_at)
    assert found == ([] if holds else ["key_revoked"])


def test_why_is_said_in_words():
    (problem,) = revoked("compromised").judge(signed(ANN), made_at=NOW - DAY).problems
    assert problem.detail == (
        f"the key {ANN.public.key_id} of ann@example.org was revoked as compromised at {FROM}, "
        "and no ledger says that the signature is older"
    )


def test_the_ledgers_time_does_not_lengthen_a_validity():
    store = trust(entry(valid_from=FROM, valid_until=UNTIL))
    assert causes(store, signed(ANN), NOW - DAY, received_at=NOW + DAY) == ["key_not_valid_yet"]
    assert causes(store, signed(ANN), NOW + 3 * DAY, received_at=NOW + DAY) == ["key_expired"]


def test_zones_are_only_another_way_to_write_a_time():
    store = trust(entry(valid_from="2026-05-01T02:00:00+02:00"))
    assert causes(store, signed(ANN), NOW.astimezone(timezone(timedelta(hours=-9)))) == []
    assert causes(store, signed(ANN), NOW - timedelta(seconds=1)) == ["key_not_valid_yet"]


@pytest.mark.parametrize("field", ["made_at", "received_at"])
def test_a_time_without_a_zone_is_a_wrong_call(field):
    times = {"made_at": NOW} | {field: datetime(2026, 1, 1)}
    with pytest.raises(UsageError, match="without a time zone"):
        trust(entry()).judge(signed(ANN), **times)


moments = st.integers(-3, 3).map(lambda days: NOW + days * DAY)
optional = st.none() | moments


@hypothesis.given(
    signers=st.lists(st.sampled_from(KEYS), unique=True),
    trusted=st.lists(st.sampled_from(KEYS), unique=True),
    since=optional, until=optional, at=optional, reason=st.sampled_from(["retired", "compromised"]),
    made_at=moments, received_at=optional,
)  # fmt: skip
def test_signers_are_those_that_the_rules_name(signers, trusted, since, until, at, reason, made_at, received_at):
    hypothesis.assume(since is None or until is None or since < until)
    hypothesis.assume(trusted)
    store = trust(
        *(
            entry(
                key,
                person=f"p{KEYS.index(key)}",
                valid_from=since and since.isoformat(),
                valid_until=until and until.isoformat(),
                revoked=at and f"{{at: {at.isoformat()}, reason: {reason}}}",
            )
            for key in trusted
        )
    )
    clock = received_at or (made_at if reason == "retired" else datetime.max.replace(tzinfo=UTC))
    in_force = (since is None or since <= made_at) and (until is None or made_at < until) and (at is None or clock < at)
    verdict = store.judge(signed(*signers), made_at=made_at, received_at=received_at)
    expected = {key.public.key_id for key in signers if key in trusted and in_force}
    assert {signer.key_id for signer in verdict.signers} == expected
    assert (verdict.problems == ()) == (len(expected) == len(signers) > 0)


# whatever comes


@hypothesis.given(st.text())
def test_whatever_text_comes_only_document_errors_escape(text):
    with pytest.raises(DocumentError):
        read_trust(text, named="trust.yaml")


@hypothesis.given(st.integers(0, 400), st.text(max_size=3), st.integers(0, 20))
def test_whatever_happens_to_a_trust_store_only_document_errors_escape(at, new, left_out):
    text = HEAD + entry(ANN, valid_from=FROM, revoked=f"{{at: {FROM}, reason: retired}}") + entry(BOB, person="bob")
    try:
        store = read_trust(text[:at] + new + text[at + left_out :], named="trust.yaml")
    except DocumentError:
        return
    assert len({key.key for key in store.keys}) == len(store.keys)
