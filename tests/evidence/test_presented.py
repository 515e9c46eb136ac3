"""A file presented as evidence: read and judged, or the reason why not; it never raises, whatever comes."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import timedelta

import evidence
import hypothesis
import pytest
from evidence import DAY, MODEL, NOW, alarms, digest, measured, measurement
from hypothesis import strategies as st

from mlflow_rank.evidence.canonical import digest_of_bytes
from mlflow_rank.evidence.envelope import Envelope
from mlflow_rank.evidence.keys import PrivateKey
from mlflow_rank.evidence.measured import Measurement
from mlflow_rank.evidence.presented import KINDS, UNREADABLE, Presented, each_once, present
from mlflow_rank.evidence.statement import ALARMS, DECISION, MEASUREMENT, Statement, Subject
from mlflow_rank.evidence.trust import read_trust
from tests.evidence.test_strict_json import mutated

KEYS = [PrivateKey.from_seed(bytes([number]) * 32) for number in range(4)]
LAB, ANN, OLD, STRANGER = KEYS
TRUST = read_trust(
    f"""\
apiVersion: mlflow-rank/v1
kind: TrustStore
keys:
  - {{key: "{LAB.public.text}", service: "svc:lab", roles: [measurer]}}
  - {{key: "{ANN.public.text}", person: "ann", roles: [reviewer, measurer]}}
  - {{key: "{OLD.public.text}", person: "old", roles: [measurer], valid_until: "2026-01-01T00:00:00Z"}}
""",
    named="trust.yaml",
)
SAID = {"made_at": (NOW - DAY).isoformat(), "document": measurement()}


def envelope(*keys: PrivateKey, kind: str = MEASUREMENT, subjects=(MODEL,), **said) -> Envelope:
    statement = Statement(tuple(Subject("m", each) for each in subjects), kind, SAID | said)
    made = Envelope(statement.to_bytes())
    for key in keys:
        made = made.signed_by(key)
    return made


def shown(*keys: PrivateKey, **said) -> Presented:
    return present(envelope(*keys, **said).to_json(), trust=TRUST)


# what is read


def test_a_signed_measurement_is_read_and_vouched_for():
    seen = shown(LAB)

    assert (seen.kind, seen.subjects, seen.made_at, seen.problems) == ("measurement", {MODEL}, NOW - DAY, ())
    assert [(one.name, one.is_person, one.roles) for one in seen.signers] == [("svc:lab", False, {"measurer"})]
    assert isinstance(seen.content, Measurement)
    assert seen.digest == envelope(LAB).digest
    assert not seen.unsigned


def test_its_digest_is_of_what_was_signed_whoever_signed_it():
    assert shown(LAB).digest == shown(ANN).digest == shown().digest
    assert shown(subjects=(digest("another"),)).digest != shown().digest


def test_several_subjects_and_signers_are_all_kept():
    seen = shown(LAB, ANN, subjects=(MODEL, digest("another")))

    assert seen.subjects == {MODEL, digest("another")}
    assert {one.name for one in seen.signers} == {"svc:lab", "ann"}


@pytest.mark.parametrize(("kind", "named"), KINDS.items())
def test_its_kind_is_that_of_its_predicate(kind, named):
    said = {
        "expires_at": NOW.isoformat(),
        "verdict": "approve",
        "comment": "looked",
        "workspace": "default",
        "model": "m",
        "version": "7",
        "target": "t",
        "break_glass": MODEL,
        "policies": [],
        "evidence": MODEL,
        "policy": MODEL,
        "rule": "r",
        "reason": "why",
        "ticket": "T",
        "monitor": "m",
        "alarms": [],
        "timeVerified": (NOW - DAY).isoformat(),
    }
    if named == "pilot":
        said["document"] = evidence.pilot()
    if named == "review":
        said["verdict"] = "accept"

    seen = shown(LAB, kind=kind, **said)

    assert (seen.kind, seen.problems) == (named, ())
    assert (seen.content is None) == (named in ("decision", "summary"))


def test_a_predicate_of_somebody_else_is_of_another_kind():
    assert (shown(LAB, kind="urn:other").kind, shown(LAB, kind="urn:other").content) == ("other", None)


# signatures


@pytest.mark.parametrize(
    ("keys", "causes"),
    [
        ((), ["unsigned"]),
        ((STRANGER,), ["unknown_key"]),
        ((OLD,), ["key_expired"]),
        ((OLD, STRANGER), ["key_expired", "unknown_key"]),
        ((LAB, STRANGER), ["unknown_key"]),
    ],
)
def test_what_is_wrong_with_its_signatures_is_listed(keys, causes):
    seen = shown(*keys)

    assert sorted(cause for cause, _ in seen.problems) == causes
    assert seen.unsigned == (causes == ["unsigned"])
    assert [one.name for one in seen.signers] == (["svc:lab"] if LAB in keys else [])
    assert seen.content is not None  # it can be looked at; whether it counts is the policy's to say


def test_a_key_is_judged_by_the_time_at_which_it_signed():
    assert [one.name for one in shown(OLD, made_at="2025-12-31T00:00:00Z").signers] == ["old"]


def test_a_changed_payload_holds_no_signature():
    document = json.loads(envelope(LAB).to_json())
    document["payload"] = base64.b64encode(envelope(utterances=1, monitor="x").payload).decode()

    seen = present(json.dumps(document).encode(), trust=TRUST)

    assert ([cause for cause, _ in seen.problems], seen.signers) == (["bad_signature"], ())


# what cannot be read

TRUNCATED = envelope(LAB).to_json()[:-9]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"junk",
        b"\xff\xfe",
        TRUNCATED,
        b"[" * 100_000,
        b'{"payload": 1}',
        envelope(LAB).to_json().replace(b"vnd.in-toto", b"vnd.other"),
        Envelope(b"not json").to_json(),
        Envelope(b"{}").to_json(),
        Envelope(b'{"a": NaN}').to_json(),
        envelope(LAB, document={"kind": "RankMeasurement"}).to_json(),
        envelope(LAB, kind=ALARMS).to_json(),
        envelope(LAB, made_at="yesterday").to_json(),
    ],
    ids=range(15),
)
def test_what_cannot_be_read_is_unreadable_with_the_reason(data):
    seen = present(data, trust=TRUST)

    [(cause, detail)] = seen.problems
    assert (seen.kind, cause, seen.signers, seen.content) == (UNREADABLE, UNREADABLE, (), None)
    assert detail
    assert "\n" not in detail
    assert seen.digest == digest_of_bytes(data)


def test_a_statement_without_a_time_cannot_be_judged():
    statement = Statement((Subject("m", MODEL),), DECISION, {"verdict": "approve"})
    seen = present(Envelope(statement.to_bytes()).signed_by(LAB).to_json(), trust=TRUST)

    assert (seen.kind, seen.made_at, seen.signers) == ("decision", None, ())
    assert [cause for cause, _ in seen.problems] == [UNREADABLE]


@hypothesis.settings(max_examples=50)
@hypothesis.given(st.data())
def test_a_file_with_bytes_changed_is_never_vouched_for_unless_it_says_the_same(data):
    seen = present(mutated(WHOLE, data.draw), trust=TRUST)

    assert seen.signers == () or (seen.digest, seen.signers) == (shown(LAB).digest, shown(LAB).signers)


@hypothesis.settings(max_examples=50)
@hypothesis.given(st.binary(max_size=200))
def test_whatever_comes_is_presented(data):
    assert present(data, trust=TRUST).kind == UNREADABLE


WHOLE = envelope(LAB).to_json()


# each once


def test_statements_come_in_order_of_digest_each_once():
    given = [measured(), alarms(), evidence.unreadable()]

    for order in (given, given[::-1], given * 2):
        assert [each.digest for each in each_once(order)] == sorted(each.digest for each in given)
    assert each_once([]) == ()


def test_signatures_in_two_files_are_those_of_one_statement():
    one, other = shown(LAB, OLD), shown(ANN, STRANGER)

    for order in ((one, other), (other, one), (one, other, one)):
        [joined] = each_once(order)
        assert [each.name for each in joined.signers] == ["ann", "svc:lab"]
        assert [cause for cause, _ in joined.problems] == ["key_expired", "unknown_key"]
        assert joined.content == one.content


def test_a_copy_without_signatures_does_not_make_it_unsigned():
    for signed in (shown(LAB), shown(STRANGER)):
        for order in ((signed, shown()), (shown(), signed)):
            [joined] = each_once(order)
            assert not joined.unsigned
            assert joined == signed
    [both] = each_once([shown(), shown()])
    assert both.unsigned


@hypothesis.given(
    st.lists(st.sampled_from([shown(), shown(LAB), shown(ANN), shown(OLD), shown(STRANGER)]), min_size=1),
    st.randoms(use_true_random=False),
)
def test_no_order_of_copies_shows(copies, generator):
    assert each_once(copies) == each_once(generator.sample(copies, len(copies)))
    assert each_once(each_once(copies)) == each_once(copies)


def test_received_late_is_judged_by_when_it_was_received():
    trust = read_trust(
        "apiVersion: mlflow-rank/v1\nkind: TrustStore\nkeys:\n"
        f'  - {{key: "{LAB.public.text}", service: lab, roles: [measurer], '
        'revoked: {at: "2026-11-25T00:00:00Z", reason: compromised}}\n',
        named="trust.yaml",
    )
    data = envelope(LAB).to_json()

    assert [cause for cause, _ in present(data, trust=trust).problems] == ["key_revoked"]
    before = present(data, trust=trust, received_at=NOW - DAY + timedelta(minutes=1))
    assert [one.name for one in before.signers] == ["lab"]
    assert replace(before, signers=()).signers == ()
