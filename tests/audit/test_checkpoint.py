from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledgers import GATE, START, trust_in

from mlflow_rank.audit.checkpoint import Checkpoint, checkpoint_of, read_checkpoint, signature_problem, signed
from mlflow_rank.audit.ledger import empty_head
from mlflow_rank.audit.merkle import EMPTY_ROOT
from mlflow_rank.errors import LedgerError
from mlflow_rank.evidence.instant import Instant
from mlflow_rank.evidence.keys import PrivateKey
from mlflow_rank.evidence.trust import Revocation

PLAIN = Checkpoint("mlflow-rank/it", 3, b"r" * 32)
SIGNED = signed(PLAIN, GATE)
# The example of c2sp.org/tlog-checkpoint.
EXAMPLE = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/"
    "Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
)
# The second signature of the example of c2sp.org/tlog-cosignature.
WITNESS = (
    "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZ"
    "qhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
)


def test_the_example_of_the_specification_is_read_and_written_as_it_stands() -> None:
    read = read_checkpoint(EXAMPLE)

    assert (read.origin, read.size) == ("example.com/behind-the-sofa", 20852163)
    assert read.text == EXAMPLE


def test_signatures_of_witnesses_of_other_algorithms_are_kept_and_count_for_nothing() -> None:
    both = read_checkpoint(SIGNED.text + WITNESS)

    assert both.text == SIGNED.text + WITNESS
    assert both.verified_by(GATE.public)


def test_a_signature_line_is_what_the_specification_says() -> None:
    name, data = SIGNED.text.splitlines()[4].removeprefix("— ").split(" ")
    key_hash, signature = base64.b64decode(data)[:4], base64.b64decode(data)[4:]

    assert name == "mlflow-rank/it"
    assert key_hash == hashlib.sha256(b"mlflow-rank/it\n\x01" + GATE.public.raw).digest()[:4]
    assert GATE.public.verifies(signature, b"mlflow-rank/it\n3\n" + base64.b64encode(b"r" * 32) + b"\n")


def test_the_checkpoint_of_an_empty_ledger() -> None:
    checkpoint = checkpoint_of(empty_head("it"))

    assert checkpoint.text == f"mlflow-rank/it\n0\n{base64.b64encode(EMPTY_ROOT).decode()}\n\n"
    assert read_checkpoint(checkpoint.text) == checkpoint


@given(st.integers(0, 2**53), st.binary(min_size=32, max_size=32), st.booleans())
def test_what_is_written_is_read_back(size: int, root: bytes, with_key: bool) -> None:
    checkpoint = signed(Checkpoint("mlflow-rank/it", size, root), GATE if with_key else None)

    assert read_checkpoint(checkpoint.text) == checkpoint


@given(st.data())
def test_any_changed_character_is_refused_or_breaks_the_signature(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(SIGNED.text) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda sign: sign != SIGNED.text[at]))
    changed = SIGNED.text[:at] + other + SIGNED.text[at + 1 :]

    try:
        read = read_checkpoint(changed)
    except LedgerError:
        return
    assert not read.verified_by(GATE.public)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        SIGNED.text.removesuffix("\n"),
        PLAIN.text.replace("\n3\n", "\n03\n"),
        PLAIN.text.replace("\n3\n", "\n-3\n"),
        PLAIN.text.replace("\n3\n", "\n٣\n"),
        PLAIN.text.replace("mlflow-rank/it", "a\x1bb"),
        PLAIN.text.replace("=\n\n", "\n\n"),
        f"mlflow-rank/it\n3\n{base64.b64encode(b'short').decode()}\n\n",
        PLAIN.text.replace("=\n\n", "=\nmore\n\n"),
        PLAIN.text + "— name\n",
        PLAIN.text + "- name AAAA\n",
        PLAIN.text + "— name AAAAAA==\n",
        PLAIN.text + "— name no base64!\n",
        PLAIN.text + "x" * 2**16,
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(LedgerError, match="no checkpoint that we accept"):
        read_checkpoint(text)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb"])
def test_a_name_that_no_note_can_hold_signs_nothing(name: str) -> None:
    with pytest.raises(LedgerError, match="under this name"):
        signed(PLAIN, GATE, name)


def test_only_a_trusted_gate_vouches() -> None:
    assert signature_problem(SIGNED, trust_in(GATE), made_at=START) is None
    assert signature_problem(PLAIN, trust_in(GATE), made_at=START) == "nobody has signed it"
    assert "not trusted as a gate" in str(signature_problem(SIGNED, trust_in(GATE, "measurer"), made_at=START))
    other = PrivateKey.from_seed(b"o" * 32)
    assert "holds with a trusted key" in str(signature_problem(SIGNED, trust_in(other), made_at=START))
    assert "holds with a trusted key" in str(signature_problem(replace(SIGNED, size=4), trust_in(GATE), made_at=START))


def test_a_retired_key_vouches_for_what_it_signed_before_and_a_stolen_one_for_nothing() -> None:
    at = Instant.of("2026-11-26T00:00:00Z")
    retired = trust_in(GATE, revoked=Revocation(at=at, reason="retired"))
    stolen = trust_in(GATE, revoked=Revocation(at=at, reason="compromised"))

    assert signature_problem(SIGNED, retired, made_at=START) is None
    assert "retired" in str(signature_problem(SIGNED, retired, made_at=START + timedelta(days=1)))
    assert "compromised" in str(signature_problem(SIGNED, stolen, made_at=START))
    assert "nothing says" in str(signature_problem(SIGNED, retired, made_at=None))
    assert signature_problem(SIGNED, trust_in(GATE), made_at=None) is None
