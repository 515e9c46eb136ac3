from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledgers import START, change, refusal

from mlflow_rank.audit.entry import Entry, Record, sealed, start_of, written
from mlflow_rank.errors import LedgerError, UsageError
from mlflow_rank.evidence.canonical import canonical_json

HEADER = ("number", "at", "kind", "workspace", "model", "version", "target", "reference", "body_digest", "previous")
text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)


def entry(record: Record | None = None, number: int = 0) -> Entry:
    return sealed(record or change("1", None), number=number, at=START, previous=start_of("it"), salt=bytes(16))


@given(st.integers(0, 2**53 - 1), text, text | st.none(), text | st.none())
def test_the_leaf_is_the_header_as_canonical_json(
    number: int, kind: str, model: str | None, target: str | None
) -> None:
    one = replace(entry(), number=number, kind=kind, model=model, target=target)

    assert one.leaf == canonical_json({name: getattr(one, name) for name in HEADER})


def test_the_hash_is_that_of_a_leaf_and_the_digest_is_salted() -> None:
    one = entry()

    assert one.hash == hashlib.sha256(b"\0" + one.leaf).hexdigest()
    assert one.body is not None
    assert one.body_digest == f"sha256:{hashlib.sha256(bytes(16) + one.body.encode()).hexdigest()}"
    assert one.content["door"] == "set_registered_model_alias"


def test_equal_bodies_have_different_digests_by_their_salt() -> None:
    other = sealed(change("1", None), number=0, at=START, previous=start_of("it"), salt=b"s" * 16)

    assert other.body == entry().body
    assert other.body_digest != entry().body_digest


@pytest.mark.parametrize(
    ("field", "value"),
    [("model", "m" * 257), ("version", "1" * 33), ("target", "t" * 273), ("reference", "r" * 129), ("model", "a\x00b")],
)
def test_what_a_column_cannot_hold_is_refused_alike_on_every_database(field: str, value: str) -> None:
    with pytest.raises(LedgerError, match="does not fit") as raised:
        entry(replace(refusal(), **{field: value}))
    assert raised.value.got is not None
    assert raised.value.got.startswith(field)


@pytest.mark.parametrize("value", [float("nan"), 2**60, "\ud800", object()])
def test_a_body_that_is_no_json_is_refused(value: object) -> None:
    with pytest.raises(LedgerError, match="does not fit"):
        entry(replace(refusal(), body={"value": value}))


def test_half_a_surrogate_pair_in_the_header_is_refused() -> None:
    with pytest.raises(LedgerError, match="holds what no ledger writes"):
        entry(replace(refusal(), model="\ud800"))


def test_times_are_written_in_utc_so_that_text_sorts_as_time_does() -> None:
    berlin = datetime(2026, 11, 25, 13, 0, 0, 5, tzinfo=timezone(timedelta(hours=1)))

    assert written(berlin) == "2026-11-25T12:00:00.000005Z"
    assert entry().moment == START
    with pytest.raises(UsageError, match="without a time zone"):
        written(datetime(2026, 11, 25))


def test_an_erased_body_has_no_content() -> None:
    bare = replace(entry(), body=None, salt=None)

    assert bare.is_erased
    assert bare.computed_hash.hex() == bare.hash
    with pytest.raises(LedgerError, match="was erased"):
        _ = bare.content


@pytest.mark.parametrize("body", ["[]", "{", '{"a":1,"a":2}'])
def test_a_body_that_the_ledger_never_writes_has_no_content(body: str) -> None:
    with pytest.raises(LedgerError, match="the body of entry 0"):
        _ = replace(entry(), body=body).content


@pytest.mark.parametrize("at", ["yesterday", "", None])
def test_an_entry_without_a_time_says_so(at: str) -> None:
    with pytest.raises(LedgerError, match="entry 0 has no time"):
        _ = replace(entry(), at=at).moment
