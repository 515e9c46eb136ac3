"""Statements: what is written reads the same, the in-toto form, and whatever comes in."""

from __future__ import annotations

import json

import hypothesis
import pytest
from hypothesis import strategies as st

from mlflow_rank.errors import EvidenceError
from mlflow_rank.evidence import statement as module
from mlflow_rank.evidence.statement import MEASUREMENT, STATEMENT_TYPE, Statement, Subject, read_statement
from tests.evidence.test_strict_json import mutated, texts, values

ONE = "sha256:" + 64 * "1"
digests = st.binary(min_size=32, max_size=32).map(lambda raw: f"sha256:{raw.hex()}")
subjects = st.lists(st.builds(Subject, texts, digests), min_size=1, max_size=3).map(tuple)
statements = st.builds(Statement, subjects, texts.filter(bool), st.dictionaries(texts, values, max_size=3))
STATEMENT = Statement((Subject("model", ONE),), MEASUREMENT, {"rank": 12.5})


def read(value) -> Statement:
    return read_statement(value if isinstance(value, bytes) else json.dumps(value).encode(), named="it")


def document(**changed):
    fields = json.loads(STATEMENT.to_bytes()) | changed
    return {name: value for name, value in fields.items() if value is not ...}


@hypothesis.given(statements)
def test_what_is_written_reads_the_same(statement):
    found = read(statement.to_bytes())
    assert found == statement
    assert found.to_bytes() == statement.to_bytes()


def test_the_form_of_in_toto():
    assert STATEMENT.to_bytes() == (
        b'{"_type":"https://in-toto.io/Statement/v1","predicate":{"rank":12.5},'
        b'"predicateType":"urn:mlflow-rank:measurement:v1",'
        b'"subject":[{"digest":{"sha256":"' + 64 * b"1" + b'"},"name":"model"}]}'
    )


def test_the_kinds_are_all_different():
    kinds = [value for name, value in vars(module).items() if name.isupper() and name != "STATEMENT_TYPE"]
    assert len(set(kinds)) == len(kinds) == 12


def test_other_digests_and_fields_that_we_do_not_know_are_ignored():
    subject = {"digest": {"sha256": 64 * "1", "sha512": "x", "gitCommit": "y"}, "uri": "file:x", "name": "model"}
    assert read(document(subject=[subject], later="field")) == STATEMENT


def test_a_name_may_be_left_out():
    assert read(document(subject=[{"digest": {"sha256": 64 * "1"}}])).subjects == (Subject("", ONE),)
    assert b"name" not in Statement((Subject("", ONE),), "kind", {}).to_bytes()


REFUSED = [
    ([], "list"),
    ({}, "_type None"),
    (document(_type="https://in-toto.io/Statement/v0.1"), "v0.1"),
    (document(_type=STATEMENT_TYPE + "/"), "v1/"),
    (document(_type=[STATEMENT_TYPE]), "_type ["),
    (document(subject=...), "no list of subjects"),
    (document(subject=[]), "no list of subjects"),
    (document(subject={"digest": {"sha256": 64 * "1"}}), "no list of subjects"),
    (document(subject=[None]), "subject 1 of it"),
    (document(subject=[{}]), "subject 1 of it"),
    (document(subject=[{"digest": 64 * "1"}]), "sha256"),
    (document(subject=[{"digest": {}}]), "sha256"),
    (document(subject=[{"digest": {"sha512": 64 * "1"}}]), "sha256"),
    (document(subject=[{"digest": {"sha256": 64 * "A"}}]), "AAAA"),
    (document(subject=[{"digest": {"sha256": 63 * "1"}}]), "1111"),
    (document(subject=[{"digest": {"sha256": 64 * "1" + "\n"}}]), "1111"),
    (document(subject=[{"digest": {"sha256": ONE}}]), "sha256:1"),
    (document(subject=[{"digest": {"sha256": 1}}]), "sha256 1"),
    (document(subject=[*document()["subject"], {"digest": {}}]), "subject 2 of it"),
    (document(subject=[{"name": 1, "digest": {"sha256": 64 * "1"}}]), "a name that is int"),
    (document(subject=[{"name": None, "digest": {"sha256": 64 * "1"}}]), "a name that is NoneType"),
    (document(predicateType=...), "predicateType None"),
    (document(predicateType=""), "predicateType ''"),
    (document(predicateType=1), "predicateType 1"),
    (document(predicate=...), "a predicate that is NoneType"),
    (document(predicate=None), "a predicate that is NoneType"),
    (document(predicate=[]), "a predicate that is list"),
    (b'{"_type":"https://in-toto.io/Statement/v1","_type":"x"}', "'_type' twice"),
    (STATEMENT.to_bytes().replace(b"12.5", b"NaN"), "NaN"),
    (b"", "no JSON"),
]


@pytest.mark.parametrize(
    ("value", "said"), REFUSED, ids=[f"{number} {said}" for number, (_, said) in enumerate(REFUSED)]
)
def test_what_is_no_statement_is_refused(value, said):
    with pytest.raises(EvidenceError) as caught:
        read(value)
    assert said in str(caught.value)


@pytest.mark.parametrize("digest", ["", 64 * "1", "sha256:" + 64 * "A", "sha1:" + 40 * "1"])
def test_a_subject_without_a_digest_is_not_made(digest):
    with pytest.raises(EvidenceError, match="without a digest"):
        Subject("model", digest)


def test_a_statement_about_nothing_or_of_no_kind_is_not_made():
    with pytest.raises(EvidenceError, match="about nothing"):
        Statement((), MEASUREMENT, {})
    with pytest.raises(EvidenceError, match="of no kind"):
        Statement((Subject("", ONE),), "", {})


@pytest.mark.parametrize("value", [float("nan"), 2**60, b"x", "\ud800"], ids=["nan", "large", "bytes", "surrogate"])
def test_a_predicate_that_is_no_json_is_not_written(value):
    with pytest.raises(EvidenceError, match="canonical JSON"):
        Statement((Subject("", ONE),), MEASUREMENT, {"x": value}).to_bytes()


@hypothesis.given(st.binary() | values.map(lambda value: json.dumps(value).encode()))
def test_whatever_comes_only_evidence_errors_escape(data):
    with pytest.raises(EvidenceError):
        read(data)


@hypothesis.given(values, st.sampled_from(["_type", "subject", "predicateType", "predicate"]))
def test_whatever_a_field_holds_only_evidence_errors_escape(value, field):
    try:
        read(document(**{field: value}))
    except EvidenceError:
        return


@hypothesis.given(statements, st.data())
def test_whatever_happens_to_a_statement_only_evidence_errors_escape(statement, data):
    try:
        found = read(mutated(statement.to_bytes(), data.draw))
    except EvidenceError:
        return
    assert read(found.to_bytes()) == found
