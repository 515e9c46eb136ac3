"""Which version lies where: moves one after the other, and what they come to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from mlflow_rank.errors import LedgerError

Key = tuple[str, str, str]  # workspace, model, target


@dataclass(frozen=True, slots=True)
class Placement:
    """A version at a target, the digest of its files, the decision behind it, and the entry that put it there."""

    workspace: str
    model: str
    target: str
    version: str
    files: str | None
    decision: str | None
    number: int

    @property
    def key(self) -> Key:
        """Return where it is."""
        return self.workspace, self.model, self.target

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class Move:
    """A change of what one target of one model resolves to; None is nothing."""

    model: str
    target: str
    before: str | None
    after: str | None
    files: str | None = None

    def document(self) -> dict[str, object]:
        """Return it JSON-ready, as bodies have it."""
        return {
            "model": self.model,
            "target": self.target,
            "before": self.before,
            "after": self.after,
            "files": self.files,
        }


def moves_of(body: Mapping[str, object]) -> list[Move]:
    """Return the moves that the body of a change names.

    Raises:
        LedgerError: they are not what the ledger writes.
    """
    listed = body.get("moves")
    if not isinstance(listed, list | tuple):
        _refuse(listed)
    return [_move(each) for each in listed]


def _move(value: object) -> Move:
    if not isinstance(value, dict):
        _refuse(value)
    model, target = value.get("model"), value.get("target")
    before, after, files = value.get("before"), value.get("after"), value.get("files")
    if not (isinstance(model, str) and isinstance(target, str) and _may_be(before, after, files)):
        _refuse(value)
    return Move(model, target, before, after, files)


def _may_be(*values: object) -> bool:
    return not any(value is not None and type(value) is not str for value in values)


def _refuse(value: object) -> NoReturn:
    raise LedgerError(
        "this is no move that the ledger writes",
        got=ascii(value)[:80],
        expected="moves: a list of model, target, before, after, files; versions as text",
    )


@dataclass(slots=True)
class Placements:
    """The sum of moves, in whatever order they come: a later entry's move outweighs an earlier one's."""

    last: dict[Key, tuple[int, Move, str | None]] = field(default_factory=dict)
    """The number of the last entry that moved a target, its move, and the decision behind it."""

    def move(self, number: int, workspace: str | None, moves: Iterable[Move], decision: str | None) -> None:
        """Take in the moves of the entry with this number."""
        for each in moves:
            key = (workspace or "", each.model, each.target)
            if key in self.last and self.last[key][0] > number:
                continue
            self.last[key] = number, each, decision

    @property
    def now(self) -> dict[Key, Placement]:
        """Return what lies where."""
        return {
            key: Placement(*key, move.after, move.files, decision, number)
            for key, (number, move, decision) in self.last.items()
            if move.after is not None
        }
