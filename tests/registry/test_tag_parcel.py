"""Evidence as values of tags: what goes in comes out, in whatever order parts arrive, and nothing else does."""

from __future__ import annotations

import base64
import lzma
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_rank.errors import EvidenceError
from mlflow_rank.registry.gate import tag_parcel
from mlflow_rank.registry.gate.tag_parcel import EVIDENCE, MOST_CHARACTERS, Part, joined, parcels, unpacked


def noise(size: int) -> bytes:
    """Bytes that do not get smaller."""
    return random.Random(size).randbytes(size)


@given(st.binary(max_size=2000))
@settings(max_examples=50)
def test_small_evidence_is_one_tag(envelope: bytes) -> None:
    [(key, value)] = parcels(envelope)

    assert key.startswith(f"{EVIDENCE}.")
    assert unpacked(value) == envelope


def test_plain_json_is_taken_as_it_is() -> None:
    assert unpacked('{"payload": ""}') == b'{"payload": ""}'


@pytest.mark.parametrize("size", [70_000, 300_000])
def test_large_evidence_comes_in_parts_in_any_order(size: int) -> None:
    sent = list(parcels(noise(size)))
    random.Random(1).shuffle(sent)

    pieces = {}
    for key, value in sent:
        part = Part.of(key)
        assert part is not None
        assert len(value) <= MOST_CHARACTERS
        assert len(key) <= 250
        pieces[part.number] = value
        last = part

    assert len(pieces) == last.count > 1
    assert joined(last, pieces) == noise(size)


def test_parts_that_were_changed_or_exchanged_are_not_taken() -> None:
    pieces = {part.number: value for key, value in parcels(noise(300_000)) if (part := Part.of(key))}
    [first, *_] = [part for key, _ in parcels(noise(300_000)) if (part := Part.of(key))]

    for changed in (pieces | {1: pieces[2], 2: pieces[1]}, pieces | {2: pieces[2][:-1] + "A"}):
        with pytest.raises(EvidenceError, match="not those that were sent"):
            joined(first, changed)


@pytest.mark.parametrize(
    "key",
    ["rank.part", "rank.part.abc.001of002", f"rank.part.{'a' * 64}.000of002", f"rank.part.{'a' * 64}.003of002",
     f"rank.part.{'a' * 64}.001of999", f"rank.part.{'a' * 64}.1of2", f"rank.part.{'A' * 64}.001of002"],
)  # fmt: skip
def test_keys_that_name_no_part(key: str) -> None:
    assert Part.of(key) is None


def test_a_small_value_that_unpacks_to_more_than_a_server_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tag_parcel, "MOST_BYTES", 100_000)
    bomb = "xz;base64," + base64.b64encode(lzma.compress(bytes(1_000_000))).decode()
    assert len(bomb) < 1000

    with pytest.raises(EvidenceError, match="cannot be unpacked"):
        unpacked(bomb)


@pytest.mark.parametrize("value", ["xz;base64,", "xz;base64,AA", "xz;base64,AAAA", "xz;base64,ä"])
def test_values_that_hold_nothing(value: str) -> None:
    with pytest.raises(EvidenceError, match="cannot be unpacked"):
        unpacked(value)


def test_two_envelopes_in_one_value_are_none() -> None:
    twice = base64.b64encode(lzma.compress(b"{}") * 2).decode()

    with pytest.raises(EvidenceError, match="more than one"):
        unpacked(f"xz;base64,{twice}")
