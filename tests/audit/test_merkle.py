from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_rank.audit.merkle import (
    EMPTY_ROOT,
    CompactRange,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from mlflow_rank.errors import LedgerError

# The eight leaves, and the root of each beginning of them, of the tests of the certificate-transparency project.
KNOWN_LEAVES = [
    bytes.fromhex(each)
    for each in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
KNOWN_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


# An independent implementation: RFC 6962, section 2.1, word for word, on lists of the leaves' data.


def tree_head(data: list[bytes]) -> bytes:
    if not data:
        return hashlib.sha256(b"").digest()
    if len(data) == 1:
        return hashlib.sha256(b"\0" + data[0]).digest()
    k = split(len(data))
    return hashlib.sha256(b"\1" + tree_head(data[:k]) + tree_head(data[k:])).digest()


def audit_path(m: int, data: list[bytes]) -> list[bytes]:
    if len(data) == 1:
        return []
    k = split(len(data))
    if m < k:
        return [*audit_path(m, data[:k]), tree_head(data[k:])]
    return [*audit_path(m - k, data[k:]), tree_head(data[:k])]


def subproof(m: int, data: list[bytes], whole: bool) -> list[bytes]:
    if m == len(data):
        return [] if whole else [tree_head(data)]
    k = split(len(data))
    if m <= k:
        return [*subproof(m, data[:k], whole), tree_head(data[k:])]
    return [*subproof(m - k, data[k:], False), tree_head(data[:k])]


def split(n: int) -> int:
    return max(2**power for power in range(n.bit_length()) if 2**power < n)


def leaves_of(count: int) -> list[bytes]:
    return [number.to_bytes(4, "big") for number in range(count)]


sizes = st.integers(1, 70)


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_certificate_transparency(size: int) -> None:
    leaves = KNOWN_LEAVES[:size]

    assert root_of(map(leaf_hash, leaves)).hex() == KNOWN_ROOTS[size]
    assert tree_head(leaves).hex() == KNOWN_ROOTS[size]


def test_the_root_of_nothing_is_the_hash_of_nothing() -> None:
    assert root_of([]) == EMPTY_ROOT == CompactRange().root


@given(sizes)
def test_appending_one_by_one_gives_the_root_of_the_whole_list(size: int) -> None:
    assert root_of(map(leaf_hash, leaves_of(size))) == tree_head(leaves_of(size))


@given(st.data(), sizes)
def test_a_proof_of_inclusion_is_that_of_the_rfc_and_holds_for_its_leaf_alone(data: st.DataObject, size: int) -> None:
    index = data.draw(st.integers(0, size - 1))
    leaves = leaves_of(size)
    hashes = [leaf_hash(each) for each in leaves]

    proof = inclusion_proof(hashes, index, size)

    assert proof == audit_path(index, leaves)
    holding = [
        number for number in range(size) if verify_inclusion(hashes[number], index, size, proof, root_of(hashes))
    ]
    assert holding == [index]
    assert [at for at in range(size) if verify_inclusion(hashes[index], at, size, proof, root_of(hashes))] == [index]


@given(st.data(), sizes)
def test_a_proof_of_consistency_is_that_of_the_rfc_and_holds_for_its_beginning_alone(
    data: st.DataObject, size: int
) -> None:
    earlier = data.draw(st.integers(1, size))
    leaves = leaves_of(size)
    hashes = [leaf_hash(each) for each in leaves]
    other = [*hashes[: earlier - 1], leaf_hash(b"other")]

    proof = consistency_proof(hashes, earlier, size)

    assert proof == subproof(earlier, leaves, True)
    assert verify_consistency(earlier, size, proof, root_of(hashes[:earlier]), root_of(hashes))
    assert not verify_consistency(earlier, size, proof, root_of(other), root_of(hashes))
    assert not verify_consistency(earlier, size, proof, root_of(hashes[:earlier]), leaf_hash(b"other"))


@given(st.data(), st.integers(2, 70))
def test_a_proof_with_a_hash_changed_lost_or_added_does_not_hold(data: st.DataObject, size: int) -> None:
    hashes = [leaf_hash(each) for each in leaves_of(size)]
    index = data.draw(st.integers(0, size - 1))
    earlier = data.draw(st.integers(1, size - 1))
    for proof, holds in (
        (inclusion_proof(hashes, index, size),
         lambda path: verify_inclusion(hashes[index], index, size, path, root_of(hashes))),
        (consistency_proof(hashes, earlier, size),
         lambda path: verify_consistency(earlier, size, path, root_of(hashes[:earlier]), root_of(hashes))),
    ):  # fmt: skip
        at = data.draw(st.integers(0, len(proof) - 1))
        assert holds(proof)
        assert not holds([*proof[:at], leaf_hash(b"other"), *proof[at + 1 :]])
        assert not holds([*proof[:at], *proof[at + 1 :]])
        assert not holds([*proof, proof[-1]])


def test_proofs_are_made_while_the_leaves_pass_by_once() -> None:
    hashes = [leaf_hash(each) for each in leaves_of(37)]

    assert inclusion_proof(iter(hashes), 11, 37) == inclusion_proof(hashes, 11, 37)
    assert consistency_proof(iter(hashes), 11, 37) == consistency_proof(hashes, 11, 37)


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_nothing_is_proved_of_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(LedgerError, match="there is no such leaf"):
        inclusion_proof([], index, size)
    assert not verify_inclusion(EMPTY_ROOT, index, size, [], EMPTY_ROOT)


@pytest.mark.parametrize(("earlier", "size"), [(0, 3), (4, 3)])
def test_nothing_is_proved_of_a_beginning_that_is_none(earlier: int, size: int) -> None:
    with pytest.raises(LedgerError, match="there is no such earlier list"):
        consistency_proof([], earlier, size)
    assert not verify_consistency(earlier, size, [], EMPTY_ROOT, EMPTY_ROOT)


def test_too_few_leaves_prove_nothing() -> None:
    with pytest.raises(LedgerError, match="too few leaves"):
        inclusion_proof([leaf_hash(b"")], 0, 2)


@pytest.mark.parametrize(("size", "peaks"), [(3, 1), (4, 2), (-1, 0)])
def test_a_range_has_a_subtree_for_each_bit_of_its_size(size: int, peaks: int) -> None:
    with pytest.raises(LedgerError, match="no perfect subtrees"):
        CompactRange(size, (EMPTY_ROOT,) * peaks)
