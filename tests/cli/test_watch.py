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
from checkpoints import cut_off, write_checkpoint
from click.testing import CliRunner, Result

from mlflow_rank.cli import main
from mlflow_rank.cli.watch import watch_command
from mlflow_rank.monitoring.journal import read_points

Watch = Callable[..., Result]
QUICK = ("--settle", "0.05", "--utterances", "4", "--seconds", "0.2", "--device", "cpu")


@pytest.fixture
def write(tmp_path: Path, tiny_hubert: Path) -> Callable[..., Path]:
    """Write a checkpoint into `run`, in this test's directory."""
    (tmp_path / "run").mkdir()
    return lambda name, **how: write_checkpoint(tiny_hubert, tmp_path / "run" / name, **how)


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recordings: Path) -> Watch:
    """Call `mlflow-rank watch` in this process, without MLflow."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)

    def call(*words: str | Path) -> Result:
        given = ["watch", *QUICK, "--audio", str(recordings), "--no-mlflow", *map(str, words)]
        return CliRunner().invoke(main, given)

    return call


def test_a_healthy_run_ends_with_0_and_a_line_for_each_point(watch: Watch, write: Callable[..., Path]) -> None:
    write("checkpoint-500")
    write("checkpoint-1000", seed=1)

    done = watch("run", "--once")

    assert done.exit_code == 0, done.output
    assert done.stdout == "no alarm was raised\n"
    assert [line.partition(":")[0] for line in done.stderr.splitlines() if line.startswith("step")] == [
        "step 500",
        "step 1000",
    ]
    [place] = Path("mlflow_rank_monitor").iterdir()
    assert place.name.startswith("run-")
    assert len(read_points(place)) == 2


def test_an_open_alarm_ends_with_1_and_stands_in_the_table_and_in_the_document(
    watch: Watch, write: Callable[..., Path]
) -> None:
    write("checkpoint-500")
    write("checkpoint-1000", lost=True)

    table = watch("run", "--once")
    document = watch("run", "--once", "--json")
    filed = watch("run", "--once", "--json", "result.json")

    assert (table.exit_code, document.exit_code, filed.exit_code) == (1, 1, 1)
    assert "OPEN since 1,000" in table.stdout
    assert "ALARM divergence" in table.stderr
    read: dict[str, Any] = json.loads(document.stdout)
    assert (read["points"], read["last_step"], read["open_alarms"]) == (2, 1000, 1)
    assert [(alarm["alarm"], alarm["state"], alarm["layers"]) for alarm in read["alarms"]] == [
        ("divergence", "open", [2])
    ]
    assert json.loads(Path("result.json").read_text()) == read
    assert "OPEN" in filed.stdout


def test_a_watch_that_stops_on_an_alarm_hears_nothing_after_it(watch: Watch, write: Callable[..., Path]) -> None:
    for step in (1, 2, 3):
        write(f"checkpoint-{step}", lost=step == 2)

    done = watch("run", "--stop-on", "any", "--output", "kept", "--json")

    assert done.exit_code == 1
    assert json.loads(done.stdout)["ended"] == "alarm"
    assert [point.step for point in read_points(Path("kept"))] == [1, 2]


def test_where_nothing_could_be_judged_it_ends_with_3_and_the_causes(watch: Watch, write: Callable[..., Path]) -> None:
    cut_off(write("checkpoint-500"))

    done = watch("run", "--once", "--json")

    assert done.exit_code == 3
    assert "no checkpoint could be judged" in done.stderr
    assert [each["step"] for each in json.loads(done.stdout)["passed_over"]] == [500]
    assert watch("run", "--once", "--every", "7").exit_code == 3


def test_a_past_run_may_be_the_baseline_and_every_thins(watch: Watch, write: Callable[..., Path]) -> None:
    for step in (1, 2, 3):
        write(f"step_{step}", seed=step)
    assert watch("run", "--once", "--output", "past").exit_code == 0

    done = watch("run", "--once", "--output", "now", "--baseline", "past", "--every", "2", "--until-step", "3")

    assert done.exit_code == 0, done.output
    assert [point.step for point in read_points(Path("now"))] == [1, 3]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "nothing to watch"),
        (["nowhere"], "no directory of checkpoints there"),
        (["run", "--stop-on", "boredom"], "no such alarm"),
        (["run", "--idle", "soon"], "this is no duration"),
        (["run", "--as", "starter"], "does not say where the checkpoint comes in"),
        (["run", "--step-pattern", "("], "no regular expression"),
        (["run", "--false-alarms", "0"], "false_alarms"),
        (["run", "--submit"], "only registered versions are handed in"),
        (["run", "--deliver", "x"], "nothing is watched while something is delivered"),
        (["--deliver", "x"], "nothing is undelivered there"),
        (["run", "--settle", "-1"], "bad number"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_meant_ends_with_2_and_what_was_expected(
    watch: Watch, write: Callable[..., Path], words: list[str], says: str
) -> None:
    done = watch(*words)

    assert done.exit_code == 2, done.output
    assert says in done.stderr
    assert not Path("mlflow_rank_monitor").exists()


def test_names_that_steer_a_terminal_are_shown_as_text(watch: Watch, write: Callable[..., Path]) -> None:
    write("evil\x1b[2J-step-5")

    done = watch("run", "--once")

    assert done.exit_code == 0
    assert "\x1b" not in done.stderr
    assert "evil\\x1b[2J-step-5" in done.stderr


def test_help_names_every_option_with_its_meaning_and_gives_examples() -> None:
    text = CliRunner().invoke(main, ["watch", "--help"]).stdout

    for option in watch_command.params[1:]:
        named: Any = option
        assert named.help, option.name
        assert named.opts[0] in text
    assert text.count("mlflow-rank watch ") >= 5


def test_ctrl_c_ends_with_130_and_the_same_command_goes_on(
    watch: Watch, write: Callable[..., Path], tmp_path: Path, recordings: Path
) -> None:
    write("checkpoint-500")
    kept = tmp_path / "kept"
    command = [sys.executable, "-m", "mlflow_rank", "watch", "run", *QUICK, "--audio", recordings, "--output", kept]
    process = subprocess.Popen(
        [*map(str, command), "--no-mlflow"],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # a job started in the background ignores SIGINT, and so would all that it starts: here Ctrl-C must arrive
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        text=True,
        start_new_session=True,
    )
    try:
        end = time.monotonic() + 300
        while process.poll() is None and not (kept / "alarms.json").exists():
            assert time.monotonic() < end, "it never came to that"
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        stdout, stderr = process.communicate(timeout=300)
    finally:
        process.kill()

    assert process.returncode == 130, stderr
    assert stdout == ""
    assert "what was judged is kept; the same command goes on from there" in stderr
    assert "Traceback" not in stderr
    write("checkpoint-1000", seed=1)
    assert watch("run", "--once", "--output", kept).exit_code == 0
    assert [point.step for point in read_points(kept)] == [500, 1000]
