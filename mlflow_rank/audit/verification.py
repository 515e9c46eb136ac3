"""Whether a ledger is whole: every entry, every body, and every checkpoint that was ever made of it."""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mlflow_rank.audit.chain import Chain
from mlflow_rank.audit.checkpoint import Checkpoint, read_checkpoint, signature_problem
from mlflow_rank.audit.entry import Entry
from mlflow_rank.audit.ledger import decision_of
from mlflow_rank.audit.matters import Matters
from mlflow_rank.audit.merkle import CompactRange
from mlflow_rank.audit.placements import Placements, moves_of
from mlflow_rank.errors import LedgerError
from mlflow_rank.evidence.trust import TrustStore

MOST_PROBLEMS = 1000  # that are told apart; a ledger with more is told by its first ones
_CLAIMED = "its own checkpoint"
_RECENT = 1024  # trees that are remembered; a decision's checkpoint is of the tree a few entries before it


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found: `problems` are faults, `remarks` are worth knowing.

    `signed` is how many checkpoints a trusted gate vouches for. Without one that was kept elsewhere, nobody can tell
    whether the ledger was cut short or written anew as a whole.
    """

    ledger_id: str
    problems: tuple[str, ...]
    remarks: tuple[str, ...]
    size: int
    root: bytes
    first_at: str | None
    last_at: str | None
    erased: int
    checkpoints: int
    signed: int

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {
            "ledger_id": self.ledger_id,
            "holds": self.holds,
            "problems": list(self.problems),
            "remarks": list(self.remarks),
            "size": self.size,
            "root": base64.b64encode(self.root).decode(),
            "first_at": self.first_at,
            "last_at": self.last_at,
            "erased": self.erased,
            "checkpoints": self.checkpoints,
            "signed": self.signed,
        }


@dataclass(slots=True)
class Walk:
    """Takes in entry after entry, and remembers what they come to; bodies pass by and are not kept."""

    ledger_id: str
    checkpoints: Mapping[str, Checkpoint] = field(default_factory=dict)
    trust: TrustStore | None = None
    claimed: Checkpoint | None = None
    """What the entries say of themselves, such as the header of an export: unsigned, it is still compared."""
    stop: int | None = None
    """Placements and evidence are summed up to here, where the database was looked at; None for all."""
    problems: list[str] = field(default_factory=list)
    placements: Placements = field(default_factory=Placements)
    evidence: dict[tuple[str | None, str | None, str | None, str | None], int] = field(default_factory=dict)
    """The last entry about each accepted statement: by workspace, model, version and digest."""
    matters: Matters = field(default_factory=Matters)
    hash_at_stop: str | None = None
    tree_at_stop: CompactRange | None = None
    signed: int = 0
    seen_checkpoints: int = 0
    chain: Chain = field(init=False)
    _moved: dict[int, tuple[str | None, str | None]] = field(default_factory=dict)
    _recent: deque[CompactRange] = field(default_factory=lambda: deque(maxlen=_RECENT))
    _waiting: dict[int, list[str]] = field(default_factory=dict)
    _left_out: int = 0

    def __post_init__(self) -> None:
        self.chain = Chain(self.ledger_id)
        if self.claimed is not None:
            self.checkpoints = {**self.checkpoints, _CLAIMED: self.claimed}
        for name, checkpoint in self.checkpoints.items():
            self._waiting.setdefault(checkpoint.size, []).append(name)
        self._reached()

    def take(self, entry: Entry) -> None:
        """Take in the next entry."""
        for problem in self.chain.take(entry):
            self.report(problem)
        said, unread = self.chain.said(entry)
        if unread is not None:
            self.report(unread)
        if said is not None and entry.kind == "decision":
            self._decided(entry, said)
        if self.stop is None or entry.number < self.stop:
            self._sum(entry, said)
        if entry.kind == "erasure" and said is not None:
            self._restored(said.get("moves"))
        self._reached()

    def report(self, problem: str) -> None:
        """Remember a fault."""
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)
        else:
            self._left_out += 1

    def finished(self) -> Verified:
        """Return what was found, after the last entry."""
        chain = self.chain
        for problem in chain.unexplained():
            self.report(problem)
        for size, names in sorted(self._waiting.items()):
            for name in names:
                self.report(f"{name} is of {size} entries, and there are {chain.count}: the ledger was cut short")
        if self.claimed is not None and chain.count > self.claimed.size:
            self.report(f"there are {chain.count} entries, and {_CLAIMED} is of {self.claimed.size}")
        if self._left_out:
            self.problems.append(f"and {self._left_out} problems more")
        remarks = [*chain.remarks, *chain.still_there()]
        if len(remarks) > MOST_PROBLEMS:
            remarks = [*remarks[:MOST_PROBLEMS], f"and {len(remarks) - MOST_PROBLEMS} remarks more"]
        return Verified(
            self.ledger_id,
            tuple(self.problems),
            tuple(remarks),
            chain.count,
            chain.tree.root,
            chain.first_at,
            chain.last_at,
            len(chain.bare),
            self.seen_checkpoints,
            self.signed,
        )

    def _reached(self) -> None:
        """Look at what should hold at this size."""
        chain = self.chain
        self._recent.append(chain.tree)
        if chain.count == self.stop:
            self.hash_at_stop, self.tree_at_stop = chain.last_hash, chain.tree
        for name in self._waiting.pop(chain.count, ()):
            checkpoint = self.checkpoints[name]
            self._compare(name, checkpoint, chain.tree.root)
            self._vouched(name, checkpoint, chain.last_at, needed=name != _CLAIMED)

    def _compare(self, name: str, checkpoint: Checkpoint, root: bytes) -> None:
        self.seen_checkpoints += 1
        if checkpoint.origin != f"mlflow-rank/{self.ledger_id}":
            self.report(f"{name} is of another ledger, {ascii(checkpoint.origin)[1:61]}")
        elif checkpoint.root != root:
            self.report(f"{name} has another root for the first {checkpoint.size} entries: they were written anew")

    def _vouched(self, name: str, checkpoint: Checkpoint, at: str | None, *, needed: bool) -> None:
        if self.trust is None or not (checkpoint.signatures or needed):
            return
        try:
            made_at = None if at is None else datetime.fromisoformat(at)
            problem = signature_problem(checkpoint, self.trust, made_at=made_at)
        except (ValueError, TypeError):
            problem = f"it is dated {ascii(at)[:40]}"
        if problem is None:
            self.signed += 1
        else:
            self.report(f"{name} proves nothing: {problem}")

    def _decided(self, entry: Entry, said: Mapping[str, Any]) -> None:
        """Look at the checkpoint that a decision carries, which commits to all entries before it."""
        name, text = f"the checkpoint in entry {entry.number}", said.get("checkpoint")
        if text is None:
            return
        try:
            checkpoint = read_checkpoint(str(text), named=name)
        except LedgerError as error:
            self.report(f"{error.what}: {error.got}")
            return
        tree = next((each for each in reversed(self._recent) if each.size == checkpoint.size), None)
        if checkpoint.size > entry.number or tree is None:
            self.report(f"{name} is of {checkpoint.size} entries, which is not how many there were then")
            return
        self._compare(name, checkpoint, tree.root)
        self._vouched(name, checkpoint, entry.at, needed=False)

    def _sum(self, entry: Entry, said: Mapping[str, Any] | None) -> None:
        self.matters.take(entry)
        if entry.kind == "evidence":
            self.evidence[entry.workspace, entry.model, entry.version, entry.reference] = entry.number
        if entry.kind != "change":
            return
        if said is None:
            self._moved[entry.number] = entry.workspace, entry.reference
            return
        try:
            self.placements.move(entry.number, entry.workspace, moves_of(said), decision_of(said))
        except LedgerError as error:
            self.report(f"entry {entry.number} changes nothing that can be read: {error.got}")

    def _restored(self, moves: object) -> None:
        """Take in the moves of erased changes, which the erasure repeats."""
        for number, said in moves.items() if isinstance(moves, dict) else ():
            erased = self._moved.pop(int(number), None) if str(number).isdecimal() else None
            if erased is None or not isinstance(said, dict):
                continue
            try:
                self.placements.move(int(number), erased[0], moves_of(said), decision_of(said))
            except LedgerError as error:
                self.report(f"the erasure of entry {number} repeats no moves that can be read: {error.got}")


def verify(
    entries: Iterable[Entry],
    ledger_id: str,
    checkpoints: Mapping[str, Checkpoint] | None = None,
    *,
    trust: TrustStore | None = None,
    claimed: Checkpoint | None = None,
) -> Verified:
    """Verify entries, from the first on, as they pass by once.

    Args:
        entries: all of them, in order.
        ledger_id: of the ledger that they should be.
        checkpoints: that were kept elsewhere, by what they are called in messages.
        trust: whose signatures under checkpoints are believed; None to look at no signature.
        claimed: what the entries say of themselves, such as the header of an export.
    """
    walk = Walk(ledger_id, checkpoints or {}, trust, claimed)
    for entry in entries:
        walk.take(entry)
    return walk.finished()
