"""That one entry stands in a ledger, shown to somebody who has only a checkpoint of it (RFC 6962, section 2.1.1)."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from mlflow_rank.audit.chain import Chain
from mlflow_rank.audit.checkpoint import Checkpoint, read_checkpoint
from mlflow_rank.audit.entry import Entry
from mlflow_rank.audit.merkle import inclusion_proof, verify_inclusion
from mlflow_rank.errors import EvidenceError, LedgerError, UsageError
from mlflow_rank.evidence.strict_base64 import decode_base64
from mlflow_rank.evidence.strict_json import parse_json

_KIND = "InclusionProof"
_FIELDS = {"apiVersion", "kind", "entry", "path", "checkpoint"}


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """An entry, the checkpoint that commits to it, and the hashes that lead from one to the other."""

    entry: Entry
    path: tuple[bytes, ...]
    checkpoint: Checkpoint

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {
            "apiVersion": "mlflow-rank/v1",
            "kind": _KIND,
            "entry": {name: getattr(self.entry, name) for name in Entry.__dataclass_fields__},
            "path": [base64.b64encode(each).decode() for each in self.path],
            "checkpoint": self.checkpoint.text,
        }

    def problems(self) -> Iterator[str]:
        """Yield why it proves nothing; whether the checkpoint is to be believed is for others to say."""
        entry, checkpoint = self.entry, self.checkpoint
        alone = Chain(checkpoint.origin.removeprefix("mlflow-rank/"), after=entry.number)
        yield from alone.take(entry)
        try:
            leaf = entry.computed_hash
        except LedgerError:
            return  # as was said
        if not verify_inclusion(leaf, entry.number, checkpoint.size, self.path, checkpoint.root):
            yield f"entry {entry.number} is not among the {checkpoint.size} entries of the checkpoint"


def proof_of(entries: Iterable[Entry], number: int, checkpoint: Checkpoint) -> InclusionProof:
    """Return the proof that entry `number` is among those of the checkpoint.

    Args:
        entries: of the ledger, from the first on; read once.
        number: of the entry.
        checkpoint: of a size that is larger.

    Raises:
        UsageError: there is no such entry.
        LedgerError: the entries end too soon, or do not lead to the checkpoint's root.
    """
    if not 0 <= number < checkpoint.size:
        raise UsageError("there is no such entry", got=f"entry {number}", expected=f"0 to {checkpoint.size - 1}")
    found: list[Entry] = []

    def leaves() -> Iterator[bytes]:
        for entry in entries:
            if entry.number == number:
                found.append(entry)
            yield entry.computed_hash

    passing = leaves()
    path = tuple(inclusion_proof(passing, number, checkpoint.size))
    while not found and next(passing, None) is not None:
        pass  # the path may be known before the entry itself has passed
    if not found:
        raise LedgerError(f"entry {number} is missing", remedy="verify the ledger")
    proof = InclusionProof(found[0], path, checkpoint)
    for problem in proof.problems():
        raise LedgerError("nothing can be proved of this ledger", got=problem, remedy="verify the ledger")
    return proof


def read_proof(data: bytes, *, named: str) -> InclusionProof:
    """Read a proof; whether it proves anything is not looked at.

    Raises:
        LedgerError: it is none.
    """
    try:
        document: Any = parse_json(data, named=named)
        if not isinstance(document, dict) or set(document) != _FIELDS or document["kind"] != _KIND:
            _refuse(named, "another document", f"kind: {_KIND}, with {', '.join(sorted(_FIELDS))}")
        path = [decode_base64(each, named="a hash") for each in document["path"]]
        entry = Entry(**document["entry"])
        if type(entry.number) is not int:
            _refuse(named, f"the number {ascii(entry.number)[:40]}", "a whole number")
        return InclusionProof(entry, tuple(path), read_checkpoint(document["checkpoint"], named="its checkpoint"))
    except EvidenceError as error:
        _refuse(named, f"{error.what}: {error.got}", "a proof that audit prove wrote")
    except (TypeError, AttributeError) as error:
        _refuse(named, str(error)[:200], "a proof that audit prove wrote")


def _refuse(named: str, got: str, expected: str) -> NoReturn:
    raise LedgerError(f"{named} is no proof that we can read", got=got, expected=expected)
