"""Entries held against one another: each must be what its hash says, follow the one before it, and keep its body."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import InitVar, dataclass, field
from typing import Any

from mlflow_rank.audit.entry import SALT_BYTES, Entry, start_of
from mlflow_rank.audit.merkle import CompactRange
from mlflow_rank.errors import LedgerError

_READ = frozenset({"change", "decision", "erasure"})  # kinds whose bodies say something about other entries


@dataclass(slots=True)
class Chain:
    """What the entries so far come to; the tree is over what they hold, not over what they say their hash is."""

    ledger_id: str
    after: InitVar[int] = 0
    """Look only at entries from this number on; what stands before the first is then not known."""
    tree: CompactRange = field(default_factory=CompactRange)
    first_at: str | None = None
    last_at: str | None = None
    last_hash: str | None = None
    """Of the entry before; None where that one is missing."""
    bare: set[int] = field(default_factory=set)
    """Entries without a body."""
    named: dict[int, int] = field(default_factory=dict)
    """Entries that an erasure names, and the erasure's number."""
    remarks: list[str] = field(default_factory=list)
    _next: int = 0

    def __post_init__(self, after: int) -> None:
        self._next = after
        self.last_hash = start_of(self.ledger_id) if after == 0 else None

    @property
    def count(self) -> int:
        """Return how many entries have passed."""
        return self.tree.size

    def take(self, entry: Entry) -> Iterator[str]:
        """Take in the next entry, and yield what is wrong with it, as sentences."""
        number = entry.number
        if type(number) is not int:
            yield f"an entry has the number {ascii(number)[:40]}"
            return
        if number > self._next:
            yield f"{_entries(self._next, number - 1)} missing"
            self.last_hash = None
        elif number < self._next:
            yield f"entry {number} stands where entry {self._next} belongs"
            self.last_hash = None
        yield from self._header(entry)
        yield from self._body(entry)
        self._clock(entry)
        self._next = number + 1

    def unexplained(self) -> Iterator[str]:
        """Yield which bodies are missing although no erasure says so; to be called after the last entry."""
        for number in sorted(self.bare):
            if self.named.get(number, -1) <= number:
                yield f"entry {number} has lost its body, and no erasure says so"

    def still_there(self) -> Iterator[str]:
        """Yield which bodies are there although an erasure says that they are gone."""
        for number, erasure in sorted(self.named.items()):
            if number not in self.bare and number < self._next:
                yield f"entry {number} has its body, although entry {erasure} erased it: it came back from a copy"

    def said(self, entry: Entry) -> tuple[dict[str, Any] | None, str | None]:
        """Return the body of an entry that says something about others, or a problem; (None, None) where it has none.

        The digest of the body was looked at before. So it is read quickly here, and once.
        """
        if entry.kind not in _READ or entry.body is None:
            return None, None
        try:
            value = json.loads(entry.body)
        except (ValueError, TypeError, RecursionError) as error:
            return None, f"the body of entry {entry.number} is no JSON: {error}"
        if not isinstance(value, dict):
            return None, f"the body of entry {entry.number} is no object"
        if entry.kind == "erasure":
            listed = value.get("entries")
            if not isinstance(listed, list) or not all(type(each) is int for each in listed):
                return None, f"entry {entry.number} erases no list of entries"
            self.named.update((each, entry.number) for each in listed)
        return value, None

    def _header(self, entry: Entry) -> Iterator[str]:
        try:
            found = entry.computed_hash
        except LedgerError as error:
            yield f"entry {entry.number} was changed: {error.got}"
            found = hashlib.sha256().digest()
        if found.hex() != entry.hash:
            yield f"entry {entry.number} was changed: what it says has another hash than {ascii(entry.hash)[1:13]}…"
        if self.last_hash is not None and entry.previous != self.last_hash:
            before = f"entry {entry.number - 1}" if entry.number else f"the beginning of ledger {self.ledger_id}"
            yield f"entry {entry.number} does not follow {before}: one of the two was replaced"
        self.tree, self.last_hash = self.tree.appended(found), entry.hash

    def _body(self, entry: Entry) -> Iterator[str]:
        if entry.body is None and entry.salt is None:
            self.bare.add(entry.number)
            return
        try:
            salt = bytes.fromhex(entry.salt or "")
            digest = hashlib.sha256(salt + (entry.body or "").encode()).hexdigest()
        except (ValueError, TypeError, AttributeError) as error:
            yield f"the body of entry {entry.number} was changed: {error}"
            return
        if len(salt) != SALT_BYTES or entry.body is None or entry.body_digest != f"sha256:{digest}":
            yield f"the body of entry {entry.number} was changed: it has another digest than the entry says"
        elif salt.hex() != entry.salt:
            yield f"the salt of entry {entry.number} was changed: it is spelled otherwise"

    def _clock(self, entry: Entry) -> None:
        self.first_at = self.first_at or entry.at
        if self.last_at is not None and isinstance(entry.at, str) and entry.at < self.last_at:
            self.remarks.append(f"entry {entry.number} is dated {entry.at}, before {self.last_at}: the clock went back")
        self.last_at = entry.at


def _entries(first: int, last: int) -> str:
    return f"entry {first} is" if first == last else f"entries {first} to {last} are"
