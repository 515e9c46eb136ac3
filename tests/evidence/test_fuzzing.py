"""Readers of what strangers wrote, under a coverage-guided fuzzer that starts from valid documents."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mlflow_rank.evidence.envelope import Envelope
from mlflow_rank.evidence.keys import PrivateKey
from mlflow_rank.evidence.statement import MEASUREMENT, Statement, Subject

pytest.importorskip("atheris", reason="atheris is not installed here: pip install atheris")

ROOT = Path(__file__).parents[2]
RUNS = 3000  # some seconds; for a night, run tests/modules/fuzz_readers.py by hand
KEY = PrivateKey.from_seed(b"f" * 32)
STATEMENT = Statement((Subject("m", f"sha256:{'0' * 64}"),), MEASUREMENT, {"made_at": "2026-01-01T00:00:00Z"})
SEEDS = {  # in the order of the targets
    "policy": (ROOT / "policies" / "starter.yaml").read_bytes(),
    "trust": (
        "apiVersion: mlflow-rank/v1\nkind: TrustStore\nkeys:\n"
        f"  - {{key: '{KEY.public.text}', person: a@b.c, roles: [measurer]}}\n"
    ).encode(),
    "json": b'{"a": [1, 2.5, "\xc3\xa9", null, true, {"b": -0.0}]}',
    "statement": STATEMENT.to_bytes(),
    "key": KEY.public.text.encode(),
    "evidence": Envelope(STATEMENT.to_bytes()).signed_by(KEY).to_json(),
}


def test_only_our_own_errors_come_out(tmp_path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number, (target, seed) in enumerate(SEEDS.items()):
        (corpus / target).write_bytes(bytes([number]) + seed)

    ended = subprocess.run(
        [
            sys.executable, ROOT / "tests" / "modules" / "fuzz_readers.py", "all", corpus,
            f"-runs={RUNS}", "-seed=1", "-max_len=4096", f"-artifact_prefix={tmp_path}/",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )  # fmt: skip

    assert ended.returncode == 0, ended.stderr[-3000:]
    assert f"Done {RUNS} runs" in ended.stderr
