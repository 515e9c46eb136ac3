from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from ledgers import GATE, START, refusal
from sqlalchemy import Engine

from mlflow_rank.audit import ledger
from mlflow_rank.audit.checkpoint import Checkpoint, checkpoint_of
from mlflow_rank.audit.entry import Entry, sealed
from mlflow_rank.audit.proof import proof_of, read_proof
from mlflow_rank.errors import LedgerError, UsageError


@pytest.fixture
def checkpoint(engine: Engine, told: list[Entry]) -> Checkpoint:
    """Of a ledger with a little of everything."""
    with engine.connect() as connection:
        return checkpoint_of(ledger.head_of(connection), GATE)


@pytest.mark.parametrize("number", range(11))
def test_every_entry_is_proved_to_whoever_has_a_checkpoint(
    told: list[Entry], checkpoint: Checkpoint, number: int
) -> None:
    document = json.dumps(proof_of(iter(told), number, checkpoint).document())

    read = read_proof(document.encode(), named="it")

    assert list(read.problems()) == []
    assert read.entry == told[number]
    assert read.checkpoint == checkpoint


def test_a_proof_of_an_erased_entry_holds(told: list[Entry], checkpoint: Checkpoint) -> None:
    entries = [replace(entry, body=None, salt=None) if entry.number == 4 else entry for entry in told]

    assert list(proof_of(entries, 4, checkpoint).problems()) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [("version", "8"), ("number", 5), ("number", 99), ("at", "2020"), ("body", "{}"), ("hash", "0" * 64), ("model", 7)],
)
def test_a_proof_whose_entry_was_changed_does_not_hold(
    told: list[Entry], checkpoint: Checkpoint, field: str, value: object
) -> None:
    document: Any = proof_of(told, 4, checkpoint).document()
    document["entry"][field] = value

    assert list(read_proof(json.dumps(document).encode(), named="it").problems())


def test_a_proof_does_not_hold_for_another_checkpoint(told: list[Entry], checkpoint: Checkpoint) -> None:
    proof = proof_of(told, 4, checkpoint)

    assert list(replace(proof, checkpoint=replace(checkpoint, root=b"r" * 32)).problems())
    assert list(replace(proof, path=proof.path[1:]).problems())


def test_a_ledger_that_does_not_lead_to_the_checkpoint_proves_nothing(
    told: list[Entry], checkpoint: Checkpoint
) -> None:
    with pytest.raises(LedgerError, match="nothing can be proved"):
        proof_of(told, 4, replace(checkpoint, root=b"r" * 32))
    with pytest.raises(LedgerError, match="too few leaves"):
        proof_of(told[:8], 4, checkpoint)
    with pytest.raises(LedgerError, match=r"nothing can be proved|is missing"):
        proof_of([entry for entry in told if entry.number != 4] + [told[0]], 4, checkpoint)


@pytest.mark.parametrize("number", [-1, 11])
def test_an_entry_that_is_not_there_is_not_proved(told: list[Entry], checkpoint: Checkpoint, number: int) -> None:
    with pytest.raises(UsageError, match="there is no such entry"):
        proof_of(told, number, checkpoint)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "Other"),
        ("more", 1),
        ("path", ["no base64!"]),
        ("path", None),
        ("path", [1]),
        ("entry", []),
        ("entry", {"number": 4}),
        ("checkpoint", "x"),
        ("checkpoint", None),
    ],
    ids=str,
)
def test_what_is_no_proof_is_refused(told: list[Entry], checkpoint: Checkpoint, field: str, value: object) -> None:
    document = proof_of(told, 4, checkpoint).document() | {field: value}

    with pytest.raises(LedgerError):
        read_proof(json.dumps(document).encode(), named="it")


@pytest.mark.parametrize("number", ["4", True, None, 4.0])
def test_a_proof_of_an_entry_without_a_number_is_refused(
    told: list[Entry], checkpoint: Checkpoint, number: object
) -> None:
    document: Any = proof_of(told, 4, checkpoint).document()
    document["entry"]["number"] = number

    with pytest.raises(LedgerError, match="a whole number"):
        read_proof(json.dumps(document).encode(), named="it")


def test_a_proof_is_small_however_long_the_ledger() -> None:
    head, entries = ledger.empty_head("it"), []
    tree, previous = head.tree, head.hash
    for number in range(1000):
        entry = sealed(refusal(number), number=number, at=START, previous=previous, salt=bytes(16))
        tree, previous = tree.appended(bytes.fromhex(entry.hash)), entry.hash
        entries.append(entry)

    proof = proof_of(entries, 500, Checkpoint(head.origin, 1000, tree.root))

    assert len(proof.path) == 10  # log₂ of 1000, rounded up
