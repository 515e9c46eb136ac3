from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from mlflow_rank.encoders.block_moments import BlockFile

MODULES = Path(__file__).parents[1] / "modules"
UTTERANCES = 24
SECONDS_EACH = 0.2  # s that the encoder takes for an utterance: slow enough to be stopped in the middle
HEARD_BEFORE = 7  # utterances heard when Ctrl-C comes


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_keeps_what_was_heard_and_resume_gives_what_an_uninterrupted_run_gives(
    tmp_path: Path,
    recordings: Path,
    measure: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
    workers: int,
) -> None:
    log, cache = tmp_path / "heard", tmp_path / "interrupted"
    arguments = ["--audio", str(recordings), "--cache", str(cache), "--blocks", "4", "--json", "again.json"]
    command = [sys.executable, "-m", "mlflow_rank", "measure", "--model", "module:listeners:plain", "--no-mlflow"]
    process = subprocess.Popen(
        [*command, "--layers", "blocks.*", *arguments, "--workers", str(workers)],
        cwd=tmp_path,
        env=os.environ
        | {"PYTHONPATH": str(MODULES), "OMP_NUM_THREADS": "1", "LISTENER_LOG": str(log)}
        | {"LISTENER_SECONDS": str(SECONDS_EACH)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # a job started in the background ignores SIGINT, and so would all that it starts: here Ctrl-C must arrive
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        text=True,
        start_new_session=True,  # a process group, to which a terminal's Ctrl-C goes as a whole
    )
    try:
        wait_for(lambda: count(log) >= HEARD_BEFORE or process.poll() is not None)
        os.killpg(process.pid, signal.SIGINT)
        stdout, stderr = process.communicate(timeout=300)
    finally:
        process.kill()

    assert process.returncode == 130, stderr
    assert stdout == ""
    assert "the same command with --resume goes on from there" in stderr
    assert "Traceback" not in stderr
    before = count(log)
    assert HEARD_BEFORE <= before < UTTERANCES
    kept = [BlockFile(path).read_listing().keys for path in cache.rglob("*.npz")]
    # The one utterance that each process was at when it came may be lost.
    assert before - workers <= sum(map(len, kept)) <= before
    assert list(cache.rglob("*.partial.npz"))

    monkeypatch.setenv("LISTENER_LOG", str(log))
    resumed = measure(*arguments, "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert count(log) - before == UTTERANCES - sum(map(len, kept))
    assert not list(cache.rglob("*.npz"))  # a finished measurement leaves no blocks

    monkeypatch.delenv("LISTENER_LOG")
    assert measure("--audio", recordings, "--blocks", "4", "--json", "whole.json").exit_code == 0
    assert_same(json.loads(Path("again.json").read_text()), json.loads(Path("whole.json").read_text()))


def test_ctrl_c_during_the_control_does_not_lose_the_encoder_s_own_pass(
    tmp_path: Path, recordings: Path, measure: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    log, arguments = tmp_path / "heard", ["--audio", recordings, "--control", "--output", "results"]
    monkeypatch.setenv("LISTENER_LOG", str(log))
    monkeypatch.setenv("LISTENER_INTERRUPT", str(UTTERANCES + 5))

    assert measure(*arguments).exit_code == 130
    resumed = measure(*arguments, "--resume")

    assert resumed.exit_code == 0, resumed.output
    assert count(log) <= 2 * UTTERANCES + 1  # the one that was interrupted may be heard again
    assert not list((tmp_path / "cache").rglob("*.npz"))


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one["audio"] == other["audio"]
    for mine, theirs in zip(one["ranks"], other["ranks"], strict=True):
        for key, value in theirs.items():
            assert mine[key] == (pytest.approx(value, rel=1e-9) if isinstance(value, float) else value), mine


def count(log: Path) -> int:
    return len(log.read_text().splitlines()) if log.exists() else 0


def wait_for(condition: Callable[[], bool], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)
