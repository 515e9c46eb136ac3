"""Two processes that train one model together, monitored: real processes, which talk over gloo."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from training_loops import Pretraining, differing, readings, watching

from tests.conftest import MODULES, plain_environment

POINTS = [0, 1, 2, 4, 6]


@pytest.fixture(scope="module")
def place(tiny_hubert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory in which two processes have been through the trainings of `trained_together`."""
    directory = tmp_path_factory.mktemp("two")
    script = str(MODULES / "trained_together.py")
    environment = plain_environment()
    environment["PYTHONPATH"] += f":{MODULES.parents[1]}"
    both = [
        subprocess.Popen(
            [sys.executable, script, str(rank), str(directory), str(tiny_hubert)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [process.communicate(timeout=300)[0] for process in both]
    finally:
        for process in both:
            process.kill()
    assert [process.returncode for process in both] == [0, 0], "\n".join(said)
    return directory


def of_both(place: Path) -> list[Any]:
    return [json.loads((place / f"done_{rank}.json").read_text()) for rank in range(2)]


def test_points_of_two_processes_are_those_of_one_with_the_same_weights(
    place: Path, tiny_hubert: Path, tmp_path: Path
) -> None:
    together = readings(place / "monitored" / "monitor")
    assert list(together) == POINTS
    model = Pretraining(tiny_hubert)
    with watching(tmp_path / "monitor")(model) as monitor:
        for step in POINTS:
            model.load_state_dict(torch.load(place / "monitored" / f"weights_{step}.pt"))
            monitor.step(step)
    alone = readings(tmp_path / "monitor")
    for step in POINTS:
        for one, two in zip(alone[step], together[step], strict=True):
            assert (one.layer, one.level, one.count) == (two.layer, two.level, two.count)
            for name in ("rank", "rank_uncentred", "total_variance", "normalised_std", "mean_norm_ratio"):
                # The sums are the same float64 numbers, added up in another order. What leaves a LayerNorm has no width
                # in one direction: its singular value is the root of a rounding error, 1e-8, and counts in the rank.
                assert getattr(two, name) == pytest.approx(getattr(one, name), rel=1e-7), (step, one.layer, name)


def test_weights_of_two_processes_are_bitwise_the_same_with_a_monitor_and_without(place: Path) -> None:
    with_it, without = (torch.load(place / name / "weights_6.pt") for name in ("monitored", "plain"))
    assert differing(with_it, without) == []
    assert differing(with_it, torch.load(place / "plain" / "weights_0.pt")) != []  # they did train


def test_both_processes_stop_at_the_first_point_after_one_of_them_lost_its_loss(place: Path) -> None:
    assert of_both(place / "stopped") == [4, 4]
    kept = readings(place / "stopped" / "monitor")
    assert list(kept) == [0, 1, 2, 4]
    assert not math.isfinite(kept[4][0].rank or math.nan)
    alarms = json.loads((place / "stopped" / "monitor" / "alarms.json").read_text())["alarms"]
    assert [(alarm["alarm"], alarm["since_step"]) for alarm in alarms] == [("divergence", 4)]


def test_only_the_first_process_says_that_there_is_an_alarm(place: Path) -> None:
    assert [(place / f"said_{rank}").read_text().count("ALARM divergence") for rank in range(2)] == [2, 0]


def test_where_one_process_cannot_open_its_monitor_none_goes_on_with_its_own(place: Path) -> None:
    assert of_both(place / "half_opened") == [[[[], 1]], []]
    said = (place / "said_0").read_text()
    assert "THE MONITOR IS OFF: it could not begin" in said
    assert "process 1: OSError: no such manifest: dev.jsonl" in said


def test_a_trainer_of_two_processes_stops_both_where_the_monitor_asks_for_it(place: Path) -> None:
    assert of_both(place / "trainer") == [[True, 4], [True, 4]]
    assert list(readings(place / "trainer" / "monitor")) == [0, 1, 2, 4]
