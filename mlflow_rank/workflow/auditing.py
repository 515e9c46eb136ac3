"""A ledger wherever it lies, in a database or in an export, and what is asked of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mlflow_rank.errors import LedgerError, UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from mlflow_rank.audit.checkpoint import Checkpoint
    from mlflow_rank.audit.entry import Entry
    from mlflow_rank.audit.reconcile import Finding
    from mlflow_rank.audit.verification import Verified
    from mlflow_rank.evidence.keys import PrivateKey
    from mlflow_rank.evidence.trust import TrustStore

    Protected = Callable[[str, str, str], bool]


class Ledger(Protocol):
    """A ledger that can be read."""

    def entries(self) -> Iterator[Entry]:
        """Yield all entries."""
        ...

    def concerning(self, model: str, workspace: str | None) -> Iterator[Entry]:
        """Yield at least the entries that a model's history needs."""
        ...

    def checkpoint(self) -> Checkpoint:
        """Return the checkpoint of all entries."""
        ...

    def verify(self, checkpoints: Mapping[str, Checkpoint], trust: TrustStore | None) -> Verified:
        """Verify everything that is there."""
        ...


@dataclass(frozen=True, slots=True)
class InDatabase:
    """A ledger in a database, to which servers may go on writing."""

    engine: Engine

    def entries(self) -> Iterator[Entry]:
        """Yield all entries."""
        from mlflow_rank.audit import ledger

        with self.engine.connect() as connection:
            yield from ledger.entries(connection)

    def concerning(self, model: str, workspace: str | None) -> Iterator[Entry]:
        """Yield the entries that a model's history needs."""
        from mlflow_rank.audit import ledger

        with self.engine.connect() as connection:
            yield from ledger.concerning(connection, model, workspace)

    def checkpoint(self) -> Checkpoint:
        """Return the checkpoint of all entries, by the head."""
        from mlflow_rank.audit import ledger
        from mlflow_rank.audit.checkpoint import checkpoint_of

        with self.engine.connect() as connection:
            return checkpoint_of(ledger.head_of(connection))

    def verify(self, checkpoints: Mapping[str, Checkpoint], trust: TrustStore | None) -> Verified:
        """Verify the entries, and that the other tables agree with them."""
        from mlflow_rank.audit.stored import verify_database

        return verify_database(self.engine, checkpoints, trust=trust)


@dataclass(frozen=True, slots=True)
class InFile:
    """A ledger in an export."""

    path: Path

    def entries(self) -> Iterator[Entry]:
        """Yield all entries."""
        from mlflow_rank.audit.export import read_export

        return read_export(self.path)[1]

    def concerning(self, model: str, workspace: str | None) -> Iterator[Entry]:
        """Yield all entries, from which a history takes its own."""
        return self.entries()

    def checkpoint(self) -> Checkpoint:
        """Return the checkpoint in the first line."""
        from mlflow_rank.audit.export import read_export

        return read_export(self.path)[0].checkpoint

    def verify(self, checkpoints: Mapping[str, Checkpoint], trust: TrustStore | None) -> Verified:
        """Verify the entries, and that they are those of the first line."""
        from mlflow_rank.audit.export import read_export
        from mlflow_rank.audit.verification import verify

        header, entries = read_export(self.path)
        return verify(entries, header.ledger_id, checkpoints, trust=trust, claimed=header.checkpoint)


@contextmanager
def ledger_at(database: str | None, file: Path | None) -> Iterator[Ledger]:
    """Open a ledger to read it: the export where one is named, else the database.

    Raises:
        UsageError: neither is named, or it cannot be opened.
        LedgerError: there is no ledger in it.
    """
    if file is not None:
        yield InFile(file)
        return
    from mlflow_rank.audit.database import opened

    with opened(named_database(database)) as engine:
        yield InDatabase(engine)


def named_database(database: str | None) -> str:
    """Return the database.

    Raises:
        UsageError: none is named.
    """
    if not database:
        raise UsageError(
            "no ledger is named",
            expected="--database URI, or MLFLOW_RANK_DATABASE or MLFLOW_REGISTRY_URI in the environment",
            remedy="name the database of the gated server, such as --database sqlite:///mlflow.db",
        )
    return database


def read_checkpoints(paths: Sequence[Path]) -> dict[str, Checkpoint]:
    """Return checkpoints by what they are called in messages.

    Raises:
        UsageError: there is no such file.
        LedgerError: it is no checkpoint.
    """
    from mlflow_rank.audit.checkpoint import read_checkpoint

    return {f"the checkpoint {path}": read_checkpoint(_text(path), named=f"the checkpoint {path}") for path in paths}


def write_export(ledger: Ledger, key: PrivateKey | None) -> Iterator[bytes]:
    """Yield the lines of an export, its checkpoint signed where there is a key.

    Raises:
        LedgerError: the ledger ended before its head says so.
    """
    from mlflow_rank.audit.checkpoint import signed
    from mlflow_rank.audit.export import ExportHeader, export_lines

    checkpoint = signed(ledger.checkpoint(), key)
    header = ExportHeader(checkpoint.origin.removeprefix("mlflow-rank/"), checkpoint.size, checkpoint)
    lines = 0
    for line in export_lines(header, ledger.entries()):
        yield line
        lines += 1
    if lines <= header.size:  # of which the first is the header
        raise LedgerError(
            "the export is not whole",
            got=f"{lines - 1} entries",
            expected=f"{header.size}, as the head says",
            remedy="verify the ledger",
        )


def prove(ledger: Ledger, number: int, checkpoint: Checkpoint | None, key: PrivateKey | None) -> str:
    """Return a proof that an entry is in the ledger, as JSON.

    Args:
        ledger: that the entry is in.
        number: of the entry.
        checkpoint: that the proof leads to; None for one of the ledger as it is.
        key: signs that; a given checkpoint keeps its signatures.

    Raises:
        UsageError: there is no such entry.
        LedgerError: the ledger does not lead to the checkpoint.
    """
    import json

    from mlflow_rank.audit.checkpoint import signed
    from mlflow_rank.audit.proof import proof_of

    against = signed(ledger.checkpoint(), key) if checkpoint is None else checkpoint
    return json.dumps(proof_of(ledger.entries(), number, against).document(), indent=1)


def check_proof(path: Path, kept: Mapping[str, Checkpoint], trust: TrustStore | None) -> tuple[str, list[str]]:
    """Return what a proof shows, and why it does not hold.

    Args:
        path: of the proof.
        kept: checkpoints of the same size that were kept elsewhere, with which its own must agree.
        trust: whose signatures are believed; None to look at none.

    Raises:
        UsageError: the file cannot be read.
        LedgerError: it is no proof.
    """
    from mlflow_rank.audit.checkpoint import signature_problem
    from mlflow_rank.audit.proof import read_proof

    proof = read_proof(_text(path).encode(), named=str(path))
    entry, checkpoint = proof.entry, proof.checkpoint
    problems = list(proof.problems())
    for name, other in kept.items():
        if other.signed_text != checkpoint.signed_text:
            problems.append(f"{name} is another than the proof's, of {checkpoint.size} entries of {checkpoint.origin}")
        elif checkpoint.signatures == () and other.signatures:
            checkpoint = other
    said = f"entry {entry.number} ({entry.kind}, {entry.at}) is among the {checkpoint.size} of {checkpoint.origin}"
    if trust is None:
        return f"{said}; whether its checkpoint is to be believed was not looked at", problems
    made_at = None if problems else entry.moment
    problem = signature_problem(checkpoint, trust, made_at=made_at)
    if problem is not None:
        problems.append(f"the checkpoint proves nothing: {problem}")
    return f"{said}, whose checkpoint a trusted gate signed" if not problems else "nothing is proved", problems


def moment_of(text: str) -> datetime:
    """Return a moment: a time with its zone, or the end of a day in UTC.

    Raises:
        UsageError: it is neither.

    >>> moment_of("2026-11-25").isoformat()
    '2026-11-25T23:59:59.999999+00:00'
    """
    try:
        return datetime.combine(date.fromisoformat(text), time.max, tzinfo=UTC)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            "this is no date", got=ascii(text)[:60], expected="2026-11-25, or 2026-11-25T09:30Z"
        ) from error
    if moment.utcoffset() is None:
        raise UsageError("a time without a time zone", got=text, expected="2026-11-25T09:30Z, or only the day")
    return moment


def find_deviations(engine: Engine, protected: Protected, *, record: bool, now: datetime) -> tuple[list[Finding], int]:
    """Return where the registry disagrees with the ledger, and how many of these findings were recorded now.

    Args:
        engine: of the database of both; it must be open for writing where findings are recorded.
        protected: whether a policy governs a target of a model.
        record: whether findings that the ledger does not have yet are appended to it.
        now: what time it is.
    """
    from mlflow_rank.audit import ledger
    from mlflow_rank.audit.database import at_one_moment
    from mlflow_rank.audit.reconcile import reconcile, unrecorded
    from mlflow_rank.registry.gate.placed import placed

    if not record:
        with at_one_moment(engine) as connection:
            known = {each.key: each.version for each in ledger.placements(connection)}
            return reconcile(known, placed(connection), protected), 0
    with engine.begin() as connection:
        head = ledger.lock(connection)
        known = {each.key: each.version for each in ledger.placements(connection)}
        findings = reconcile(known, placed(connection), protected)
        new = unrecorded(connection, findings)
        ledger.append(connection, head, [each.record() for each in new], at=now)
    return findings, len(new)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("this file cannot be read", got=f"{path}: {error}", expected="a checkpoint") from error
