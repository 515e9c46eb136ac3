"""Canonical JSON against the examples of RFC 8785, and its laws."""

from __future__ import annotations

import hashlib
import json
import struct

import hypothesis
import pytest
import rfc8785
from hypothesis import strategies as st

from mlflow_rank.errors import EvidenceError
from mlflow_rank.evidence.canonical import Written, canonical_json, digest_of, digest_of_bytes, is_digest
from mlflow_rank.evidence.strict_json import LARGEST_WHOLE
from tests.evidence.test_strict_json import texts, values


def test_the_example_of_rfc_8785_section_3_2_2():
    given = r"""
        {
          "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
          "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
          "literals": [null, true, false]
        }"""
    expected = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        r'"string":"€$\u000f\nA' + "'" + r'B\"\\\\\"/"}'
    )
    assert canonical_json(json.loads(given)) == expected.encode()


def test_keys_are_sorted_by_utf_16_as_in_rfc_8785_section_3_2_3():
    given = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7}
    assert list(json.loads(canonical_json(given)).values()) == [2, 4, 6, 7, 1, 5, 3]


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("8000000000000001", "-5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("ffefffffffffffff", "-1.7976931348623157e+308"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("44b52d02c7e14af7", "1.0000000000000001e+23"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555553", "333333333.3333332"),
        ("41b3de4355555554", "333333333.33333325"),
        ("41b3de4355555555", "333333333.3333333"),
        ("41b3de4355555556", "333333333.3333334"),
        ("41b3de4355555557", "333333333.33333343"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
        ("43143ff3c1cb0959", "1424953923781206.2"),
    ],
)
def test_numbers_of_rfc_8785_appendix_b(bits, text):
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical_json(value) == text.encode()


@pytest.mark.parametrize(
    "bits",
    [
        *("7fffffffffffffff", "7ff0000000000000", "fff0000000000000"),  # NaN and infinities
        *("4340000000000000", "c340000000000000", "4430000000000000", "444b1ae4d6e2ef4e"),  # whole, and not kept
    ],
)
def test_numbers_that_would_not_read_back_are_not_written(bits):
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    with pytest.raises(EvidenceError, match="canonical JSON"):
        canonical_json({"a": [value]})


def nested(depth):
    value = []
    for _ in range(depth - 1):
        value = [value]
    return value


def cyclic():
    value = []
    value.extend([value, value])
    return value


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(value, id=name)
        for name, value in {
            "beyond": LARGEST_WHOLE + 1, "below": -LARGEST_WHOLE - 1, "huge": 10**5000, "bytes": b"bytes",
            "set": {1, 2}, "object": object(), "complex": [1j], "range": range(3), "whole key": {1: 2},
            "no key": {None: 1}, "bytes key": {b"a": 1}, "surrogate": "\ud800", "surrogate key": {"\udc00": 1},
            "surrogate among keys": {"\udc00": 1, "a": 2}, "mixed keys": {"a": 1, 2: 3}, "deep": nested(65),
            "very deep": nested(100_000), "cyclic": cyclic(),
        }.items()
    ],
)  # fmt: skip
def test_what_is_no_json_value_is_refused(value):
    with pytest.raises(EvidenceError, match="cannot be written as canonical JSON"):
        canonical_json(value)


def test_what_is_as_deep_as_the_reader_reads_is_written():
    assert canonical_json(nested(64)) == 64 * b"[" + 64 * b"]"


@hypothesis.given(values)
@hypothesis.example({"\U0001f600": 1, "\ufb33": [-0.0, 1e-7, 1.5e300, 123456.0, 0.1], "\x7f\x1f\u2028": {"": [(), {}]}})
def test_every_value_is_written_as_the_reference_writes_it(value):
    assert canonical_json(value) == rfc8785.dumps(value)


@hypothesis.given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_is_written_as_the_reference_writes_it(value):
    hypothesis.assume(not LARGEST_WHOLE < abs(value) < 1e21)
    assert canonical_json(value) == rfc8785.dumps(value)


@hypothesis.given(st.dictionaries(texts, values, min_size=1), values)
def test_what_is_written_already_stands_in_a_larger_value_as_it_would_by_itself(parts, beside):
    written = {name: Written.of(part) for name, part in parts.items()}

    assert canonical_json([written, beside]) == canonical_json([parts, beside])
    assert Written.of([written, beside]) == Written.of([parts, beside])


def test_what_is_written_already_counts_with_its_depth():
    assert canonical_json([Written.of(nested(63))]) == canonical_json(nested(64))
    with pytest.raises(EvidenceError, match="cannot be written as canonical JSON"):
        canonical_json([Written.of(nested(64))])


@hypothesis.given(st.dictionaries(texts, values), st.randoms(use_true_random=False))
def test_the_order_in_which_keys_came_changes_nothing(value, random):
    keys = list(value)
    random.shuffle(keys)
    assert canonical_json({key: value[key] for key in keys}) == canonical_json(value)


@hypothesis.given(values, values)
def test_two_values_have_one_digest_only_if_they_are_one_to_json(one, other):
    assert (digest_of(one) == digest_of(other)) == (canonical_json(one) == canonical_json(other))


def test_tuples_are_lists_and_whole_floats_whole_numbers():
    assert canonical_json((1.0, (2,))) == canonical_json([1, [2]])


@hypothesis.given(st.binary())
def test_a_digest_of_bytes_is_their_sha256(data):
    assert digest_of_bytes(data) == "sha256:" + hashlib.sha256(data).hexdigest()
    assert is_digest(digest_of_bytes(data))


@pytest.mark.parametrize("text", ["", "sha256:", 64 * "0", "sha256:" + 64 * "A", "sha256:" + 65 * "0",
                                  "sha256:" + 64 * "0" + "\n", "sha512:" + 64 * "0"])  # fmt: skip
def test_what_is_no_digest(text):
    assert not is_digest(text)
