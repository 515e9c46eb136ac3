"""A server that is killed while a training goes on, and comes back: every point arrives, once, and nothing waits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from servers import Server, Site, Sqlite, start
from verdicts import alarm, verdict, verdicts

from mlflow_rank.registry.runs.late_delivery import deliver
from mlflow_rank.registry.runs.monitored_run import MonitoredRun, Patience
from mlflow_rank.registry.runs.run_claim import Destination

RANK = "monitor_rank_frame/layer_00"
MODULES = Path(__file__).parents[1] / "modules"


class Lab:
    """A tracking server that can go and come back at the same address, with the same database."""

    def __init__(self, place: Path) -> None:
        self._site = Site(place, Sqlite(place).new(), gated=False)
        self.server = start(self._site)
        self.server.ready()

    def goes(self) -> None:
        os.killpg(self.server.process.pid, signal.SIGKILL)
        self.server.process.wait()

    def comes_back(self) -> Server:
        self.server = start(self._site, urlsplit(self.server.url).port)
        self.server.ready()
        return self.server

    def run(self) -> str:
        return str(self.server.client().create_run("0").info.run_id)

    def steps(self, run: str) -> Counter[int]:
        return Counter(each.step for each in self.server.client().get_metric_history(run, RANK))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("lab"))
    yield lab
    lab.server.end()


def until(true: Callable[[], Any], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"it did not come about within {seconds} s"
        time.sleep(0.05)


def test_a_server_that_is_killed_and_comes_back_has_every_point_once(lab: Lab, tmp_path: Path) -> None:
    said: list[str] = []
    run_id = lab.run()
    run = MonitoredRun(
        tmp_path / "monitor",
        Destination(lab.server.url, run_id=run_id),
        say=said.append,
        patience=Patience(first_pause=0.1, longest_pause=0.5),
    )
    told = [*verdicts(range(70), layers=2), verdict(70, layers=2, alarms=[alarm(since=60)])]
    kept = 0.0

    def train(steps: range, pause: float = 0.002) -> None:
        nonlocal kept
        for step in steps:
            began = time.perf_counter()
            run.keep(told[step])
            kept += time.perf_counter() - began
            time.sleep(pause)

    train(range(20))
    until(lambda: len(lab.steps(run_id)) == 20)
    lab.goes()
    train(range(20, 50))
    until((run.directory / "undelivered.json").exists)
    lab.comes_back()
    train(range(50, 71))
    until(lambda: len(lab.steps(run_id)) == 71)
    run.close(told)
    assert lab.steps(run_id) == Counter(range(71))
    assert lab.server.client().get_run(run_id).data.tags["mlflow_rank.alarms_open"] == "1"
    assert "takes no points" in said[0]
    assert "takes points again" in said[-1]
    assert kept < 2  # seconds for all points, on a machine that is busy; MLflow asks a dead server for minutes


def test_a_training_that_ends_while_the_server_is_gone_ends_in_time_and_is_delivered_later(
    lab: Lab, tmp_path: Path
) -> None:
    said: list[str] = []
    run_id = lab.run()
    run = MonitoredRun(
        tmp_path / "monitor",
        Destination(lab.server.url, run_id=run_id),
        say=said.append,
        patience=Patience(flush=1.0, first_pause=0.1),
    )
    told = verdicts(range(5), layers=1)
    for each in told[:2]:
        run.keep(each)
    until(lambda: len(lab.steps(run_id)) == 2)
    lab.goes()
    for each in told[2:]:
        run.keep(each)
    began = time.monotonic()
    run.close(told)
    assert time.monotonic() - began < 8  # the limit, and what is under way when it is reached
    record = json.loads((run.directory / "undelivered.json").read_text())
    assert (record["run_id"], record["tracking_uri"]) == (run_id, lab.server.url)
    assert (record["last_delivered_step"], record["points"]) == (1, 3)
    assert "3 points could not be delivered" in said[-1]
    lab.comes_back()
    assert deliver(run.directory).points == 3
    assert lab.steps(run_id) == Counter(range(5))


TRAINING = """
import sys, time
from pathlib import Path
sys.path[:0] = [{modules!r}]
from verdicts import verdicts
from mlflow_rank.registry.runs.monitored_run import MonitoredRun
from mlflow_rank.registry.runs.run_claim import Destination
run = MonitoredRun(Path({place!r}), Destination({url!r}, run_id={run!r}))
for each in verdicts(range(30), layers=1):
    run.keep(each)
print("training", flush=True)
time.sleep(60)
"""


def test_after_ctrl_c_nothing_is_lost(lab: Lab, tmp_path: Path) -> None:
    run_id = lab.run()
    script = TRAINING.format(modules=str(MODULES), place=str(tmp_path / "monitor"), url=lab.server.url, run=run_id)
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "training\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=100)
    assert "KeyboardInterrupt" in errors
    assert "could not be delivered" not in errors
    assert lab.steps(run_id) == Counter(range(30))
