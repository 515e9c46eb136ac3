"""JSON that decides: what Python's own reader would let pass is refused, and nothing but EvidenceError ever escapes."""

from __future__ import annotations

import json
import math
import sys

import hypothesis
import pytest
from hypothesis import strategies as st

from mlflow_rank.errors import EvidenceError
from mlflow_rank.evidence.canonical import canonical_json
from mlflow_rank.evidence.strict_json import LARGEST_WHOLE, is_inexact_whole, parse_json

texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-LARGEST_WHOLE, LARGEST_WHOLE),
    st.floats(allow_nan=False, allow_infinity=False).filter(lambda value: not is_inexact_whole(value)),
    texts,
)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=8)


def parsed(data, **limits):
    return parse_json(data, named="it", **limits)


def mutated(data: bytes, draw) -> bytes:
    """A document with one of its bytes changed, left out or put in, or cut off."""
    at = draw(st.integers(0, len(data) - 1))
    new = draw(st.binary(max_size=3))
    kept = draw(st.sampled_from([at, at + 1, len(data)]))
    return data[:at] + new + data[kept:]


# what is accepted


@hypothesis.given(values)
def test_it_reads_what_canonical_json_writes(value):
    assert parsed(canonical_json(value)) == value


@hypothesis.given(values, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_it_agrees_with_pythons_reader_on_what_it_accepts(value, indent, ascii_only):
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert parsed(text) == json.loads(text) == parsed(text.encode())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"\\ud83d\\ude00"', "😀"),
        ('"\\\\ud800"', "\\ud800"),  # an escaped backslash, and letters
        ('"[[[{{{\\"[[["', '[[[{{{"[[['),
        (f" {LARGEST_WHOLE}\n", LARGEST_WHOLE),
        (f"-{LARGEST_WHOLE}", -LARGEST_WHOLE),
        ("1e-400", 0.0),
        ("1e21", 1e21),
        ("-0", 0),
        ("0." + 300 * "0" + "1", 1e-301),
        ('{"": 1, "a": {"a": 1}}', {"": 1, "a": {"a": 1}}),
    ],
)
def test_it_accepts(text, value):
    assert parsed(text) == value


def test_as_many_lists_in_lists_as_allowed_are_read_and_no_more():
    assert parsed(64 * "[" + 64 * "]")
    assert parsed(100 * '[{"a":1},' + "0" + 100 * "]", deepest=101)
    for text in (65 * "[" + 65 * "]", '{"a":' * 65 + "1" + "}" * 65, 64 * "[" + "{}" + 64 * "]"):
        with pytest.raises(EvidenceError, match="nested deeper"):
            parsed(text)


def depth_of(value) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth_of, inner), default=0)


tricky = st.text('[]{}"\\/u', max_size=4)  # brackets that are none


@hypothesis.given(
    st.recursive(tricky, lambda inner: st.lists(inner) | st.dictionaries(tricky, inner)), st.integers(0, 4)
)
def test_depth_is_counted_without_what_is_quoted(value, deepest):
    text = json.dumps(value)
    if depth_of(value) <= deepest:
        assert parsed(text, deepest=deepest) == value
        return
    with pytest.raises(EvidenceError, match="nested deeper") as caught:
        parsed(text, deepest=deepest)
    at = int(str(caught.value).partition("(character ")[2].partition(")")[0])
    assert text[at] in "[{"
    with pytest.raises(EvidenceError, match="nested deeper"):
        parsed(text[: at + 1], deepest=deepest)  # it is the first one too deep
    with pytest.raises(EvidenceError) as cut:
        parsed(text[:at], deepest=deepest)
    assert "nested deeper" not in str(cut.value)


def test_brackets_beside_one_another_are_not_deep():
    assert len(parsed("[" + ",".join(["[{}]"] * 1000) + "]")) == 1000


# what is refused


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 1}}', "the key 'c' twice"),
        ('{"a": 1, "\\u0061": 2}', "the key 'a' twice"),
        ("[NaN]", "NaN"),
        ("Infinity", "Infinity"),
        ('{"a": -Infinity}', "-Infinity"),
        ("nan", "Expecting value"),
        ("1e309", "1e309"),
        ("-1e999999999", "-1e999999999"),
        (str(LARGEST_WHOLE + 1), "9007199254740992"),
        (str(-LARGEST_WHOLE - 1), "-9007199254740992"),
        (str(LARGEST_WHOLE + 1) + ".0", "9007199254740992.0"),
        ("1e17", "1e17"),
        (5000 * "9", "whole number '9999"),
        ("-" + 100_000 * "1", "whole number '-1111"),
        ("0." + 1_000_000 * "1", "1,000,002 characters"),
        ("1" * 1_000_000 + ".5", "1,000,002 characters"),
        ('"\\ud800"', "half a surrogate pair"),
        ('["\\udc00\\ud800"]', "half a surrogate pair"),
        ('{"\\ud83d": 1}', "line 1, column 3"),
        ('{"a":\n"\\ud83dx"}', "line 2, column 2"),
        ("\ufeff{}", "byte order mark"),
        ("[1] [2]", "Extra data at line 1, column 5"),
        ("{}x", "Extra data"),
        ("{}\x00", "Extra data"),
        ("", "Expecting value"),
        (" ", "Expecting value"),
        ('["a\nb"]', "control character"),
        ("[1,]", "line 1, column"),
        ("01", "Extra data"),
        ("+1", "Expecting value"),
        (".5", "Expecting value"),
        ("'a'", "Expecting value"),
        ('{"a": 1', "line 1, column"),
        ('"a', "Unterminated"),
        ("[1}", "line 1, column 3"),
        ("// a\n1", "Expecting value"),
        ("\u00a01", "Expecting value"),
        ("\ud800", "half a surrogate pair at character 0"),
    ],
    ids=lambda text: ascii(text)[:30],
)
def test_it_refuses_with_the_place_or_the_key(text, said):
    with pytest.raises(EvidenceError) as caught:
        parsed(text)
    assert "it is no JSON" in str(caught.value)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'["\xff"]', "not UTF-8 at byte 2"),
        (b'"\xed\xa0\x80"', "not UTF-8 at byte 1"),  # a surrogate, encoded
        (b'"\xc0\xaf"', "not UTF-8"),  # an overlong slash
        ("[1]".encode("utf-16"), "not UTF-8 at byte 0"),
        ("[1]".encode("utf-16-le"), "line 1"),
        (b"\xef\xbb\xbf[1]", "byte order mark"),
    ],
)
def test_bytes_that_are_not_plain_utf_8_are_refused(data, said):
    with pytest.raises(EvidenceError, match=said):
        parsed(data)


@pytest.mark.parametrize("opening", ["[", '{"a":', '[[{"a":', '["\\\\",'])
@pytest.mark.parametrize("closed", [True, False])
def test_a_hundred_thousand_brackets_end_no_stack(opening, closed):
    text = 100_000 * opening + "1" + (100_000 * "]" if closed else "")
    with pytest.raises(EvidenceError, match="nested deeper at line 1, column"):
        parsed(text)


def test_a_limit_that_no_stack_holds_is_still_an_evidence_error():
    deep = 2 * max(sys.getrecursionlimit(), 100_000)
    with pytest.raises(EvidenceError, match="no stack holds"):
        parsed(deep * "[" + deep * "]", deepest=deep)


@pytest.mark.parametrize("kind", [bytes, str])
def test_a_document_of_100_mb_is_refused_unread(kind):
    data = b" " * 100_000_000
    with pytest.raises(EvidenceError, match="100,000,000 bytes"):
        parsed(data if kind is bytes else data.decode())


def test_the_size_of_text_is_counted_in_bytes():
    assert parsed('"éé"', most_bytes=6) == "éé"
    with pytest.raises(EvidenceError, match="6 bytes"):
        parsed('"éé"', most_bytes=5)


def test_letters_of_the_document_do_not_reach_a_terminal():
    with pytest.raises(EvidenceError) as caught:
        parsed('{"\\u001b[31m\\u202e": 1, "\\u001b[31m\\u202e": 1}')
    assert str(caught.value).replace("\n", "").isprintable()


# fuzzing


@hypothesis.given(st.binary() | st.text(st.characters()))
@hypothesis.example(b"")
def test_whatever_comes_only_evidence_errors_escape(data):
    try:
        value = parsed(data)
    except EvidenceError:
        return
    assert parsed(canonical_json(value)) == value


json_like = st.lists(
    st.sampled_from(['"', "\\", "[", "]", "{", "}", ",", ":", "u", "d83d", "\\ud83d", "\\udc00", "1", "e", "-", ".",
                     "null", "NaN", " ", "9" * 20, '"a":', "é"])
).map("".join)  # fmt: skip


@hypothesis.given(json_like)
def test_what_looks_like_json_is_read_as_python_reads_it_or_refused(text):
    try:
        value = parsed(text)
    except EvidenceError:
        return
    assert value == json.loads(text)
    assert not (isinstance(value, float) and math.isnan(value))


@hypothesis.given(values, st.data())
def test_whatever_happens_to_a_document_only_evidence_errors_escape(value, data):
    try:
        found = parsed(mutated(canonical_json(value), data.draw))
    except EvidenceError:
        return
    canonical_json(found)
