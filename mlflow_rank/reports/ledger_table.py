"""What a ledger says, for the terminal: the history of a model, how versions lay on a day, and whether it holds."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TextIO

from mlflow_rank.reports.columns import print_columns
from mlflow_rank.reports.untrusted_text import plain

if TYPE_CHECKING:
    from mlflow_rank.audit.history import Row
    from mlflow_rank.audit.placements import Placement
    from mlflow_rank.audit.reconcile import Finding
    from mlflow_rank.audit.verification import Verified

_DIGEST = 19  # characters of a digest that are shown: `sha256:` and twelve


def print_history(rows: Iterable[Row], *, stream: TextIO | None = None) -> None:
    """Print every move of a model's targets: when, what, who, and why."""
    cells = [
        (
            _when(row.at),
            row.target,
            f"{row.before or '-'} -> {row.after or '-'}",
            f"{row.actor}{'' if row.verified else ' (unverified)'}",
            row.decision or "-",
            _why(row),
        )
        for row in rows
    ]
    print_columns(("when (UTC)", "target", "version", "who", "decision", "why, and on which evidence"), cells, stream)


def print_placements(placements: Iterable[Placement], *, stream: TextIO | None = None) -> None:
    """Print what lies where."""
    cells = [
        (
            each.workspace,
            each.model,
            each.target,
            each.version,
            each.decision or "-",
            str(each.number),
            _short(each.files),
        )
        for each in placements
    ]
    print_columns(("workspace", "model", "target", "version", "decision", "entry", "files"), cells, stream)


def finding_lines(findings: Iterable[Finding]) -> Iterator[str]:
    """Yield where the registry disagrees with the ledger, line by line."""
    yield from (f"FINDING  workspace {plain(each.workspace)}: {plain(each.sentence)}" for each in findings)


def verified_lines(found: Verified, *, kept: int) -> Iterator[str]:
    """Yield what was verified, and everything that is wrong, line by line.

    Args:
        found: the answer.
        kept: how many checkpoints were given that were kept elsewhere.
    """
    yield f"ledger       {plain(found.ledger_id)}"
    if found.first_at is not None:
        yield f"entries      {found.size:,}, from {plain(found.first_at)} to {plain(found.last_at)}"
    else:
        yield "entries      0"
    yield f"root         {base64.b64encode(found.root).decode()}"
    yield f"erased       {found.erased:,}"
    yield f"checkpoints  {found.checkpoints:,} compared, {found.signed:,} of them signed by a trusted gate"
    yield from (f"FAILS        {plain(problem)}" for problem in found.problems)
    yield from (f"remark       {plain(remark)}" for remark in found.remarks)
    if not kept:
        yield "remark       without a checkpoint that was kept elsewhere (--checkpoint), nobody can tell whether the"
        yield "             ledger was cut short or written anew as a whole"


def _why(row: Row) -> str:
    evidence = ", ".join(_short(digest) for digest in row.evidence)
    return f"{row.verdict or row.door}{f'; {evidence}' if evidence else ''}"


def _when(at: str) -> str:
    return at[:19].replace("T", " ")


def _short(digest: str | None) -> str:
    return "-" if digest is None else digest[:_DIGEST]
