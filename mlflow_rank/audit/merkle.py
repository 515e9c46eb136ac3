"""The Merkle tree of RFC 6962, section 2.1: one root for a list, and short proofs about it.

Proofs are made while the leaves pass by once, so that a ledger of any length needs the memory of one proof.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mlflow_rank.errors import LedgerError

EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf, which no inner node can have.

    >>> leaf_hash(b"").hex()[:8]
    '6e340b9c'
    """
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node over its two children's."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class CompactRange:
    """The first `size` leaves by the roots of their perfect subtrees, the largest first: all that appending needs."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.peaks) != self.size.bit_count():
            raise LedgerError(
                "these are no perfect subtrees of a list",
                got=f"{len(self.peaks)} subtrees for {self.size} leaves",
                expected="one for each bit of the size that is 1",
            )

    def appended(self, leaf: bytes) -> CompactRange:
        """Return the range with one more leaf, given by its hash."""
        peaks, left = [*self.peaks], self.size
        while left & 1:
            leaf = node_hash(peaks.pop(), leaf)
            left >>= 1
        return CompactRange(self.size + 1, (*peaks, leaf))

    @property
    def root(self) -> bytes:
        """Return the root of the tree over these leaves.

        >>> CompactRange().root == EMPTY_ROOT
        True
        """
        if not self.peaks:
            return EMPTY_ROOT
        *others, root = self.peaks
        for peak in reversed(others):
            root = node_hash(peak, root)
        return root


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root of the tree over leaves that are given by their hashes."""
    whole = CompactRange()
    for leaf in leaves:
        whole = whole.appended(leaf)
    return whole.root


def inclusion_proof(leaves: Iterable[bytes], index: int, size: int) -> list[bytes]:
    """Return the hashes that lead from leaf `index` to the root of the first `size` leaves, from the leaf upward.

    Raises:
        LedgerError: there is no such leaf.
    """
    if not 0 <= index < size:
        raise LedgerError("there is no such leaf", got=f"leaf {index}", expected=f"0 to {size - 1}")
    spans, first, span = [], 0, size
    while span > 1:
        left = _split(span)
        if index < first + left:
            spans.append((first + left, first + span))
            span = left
        else:
            spans.append((first, first + left))
            first, span = first + left, span - left
    return _roots(leaves, spans[::-1])


def consistency_proof(leaves: Iterable[bytes], earlier: int, size: int) -> list[bytes]:
    """Return the hashes by which the first `earlier` leaves are shown to begin the first `size`.

    Raises:
        LedgerError: `earlier` is 0, or larger than `size`.
    """
    if not 0 < earlier <= size:
        raise LedgerError("there is no such earlier list", got=f"{earlier} of {size} leaves", expected=f"1 to {size}")
    spans, first, span, is_start = [], 0, size, True
    while earlier != span:
        left = _split(span)
        if earlier <= left:
            spans.append((first + left, first + span))
            span = left
        else:
            spans.append((first, first + left))
            first, span, earlier, is_start = first + left, span - left, earlier - left, False
    if not is_start:
        spans.append((first, first + span))
    return _roots(leaves, spans[::-1])


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Say whether the leaf with this hash stands at `index` in the list of `size` leaves with this root.

    After RFC 9162, section 2.1.3.2.
    """
    if not 0 <= index < size:
        return False
    node, last = index, size - 1
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            leaf = node_hash(sibling, leaf)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            leaf = node_hash(leaf, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and leaf == root


def verify_consistency(earlier: int, size: int, proof: Sequence[bytes], earlier_root: bytes, root: bytes) -> bool:
    """Say whether the list of `earlier` leaves with its root begins the list of `size` leaves with the other root.

    After RFC 9162, section 2.1.4.2.
    """
    if not 0 < earlier <= size:
        return False
    if earlier == size:
        return not proof and earlier_root == root
    path = [*([earlier_root] if earlier & (earlier - 1) == 0 else []), *proof]
    if not path:
        return False
    node, last = earlier - 1, size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and old == earlier_root and new == root


def _split(span: int) -> int:
    """Return the largest power of two that is smaller than the span: how many leaves are to the left."""
    return 1 << (span - 1).bit_length() - 1


def _roots(leaves: Iterable[bytes], spans: Sequence[tuple[int, int]]) -> list[bytes]:
    """Return the root of each span [first, end) of the leaves; the spans do not overlap."""
    roots: dict[tuple[int, int], bytes] = {}
    waiting = sorted(spans, reverse=True)
    part = CompactRange()
    for index, leaf in enumerate(leaves):
        if not waiting:
            break
        first, end = waiting[-1]
        if index >= first:
            part = part.appended(leaf)
        if index == end - 1:
            roots[waiting.pop()], part = part.root, CompactRange()
    if waiting:
        raise LedgerError("there are too few leaves", expected=f"at least {waiting[0][1]}")
    return [roots[span] for span in spans]
