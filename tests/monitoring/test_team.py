"""Two real processes of torch.distributed against one: they find the same, and neither waits for the other in vain."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import framed
import numpy as np
import pytest
import torch
import torch.distributed as dist
import two_processes

from mlflow_rank.encoders.live_encoder import live_encoder
from mlflow_rank.errors import UsageError
from mlflow_rank.monitoring.point import Point
from mlflow_rank.monitoring.probe_set import ProbeSet
from mlflow_rank.monitoring.probing import take_point
from mlflow_rank.monitoring.team import Team

Found = dict[str, Any]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[Found]:
    """What each of two processes found."""
    folder = tmp_path_factory.mktemp("team")
    torch.multiprocessing.spawn(two_processes.work, args=(2, folder), nprocs=2)
    return [pickle.loads((folder / f"{rank}.pickle").read_bytes()) for rank in range(2)]


def alone(probe: ProbeSet) -> Point:
    return take_point(live_encoder(framed.Framed(seed=0), layers="blocks.*"), probe, step=0)


def assert_equal(one: Point, other: Point) -> None:
    """Every number agrees to 1e-9, relatively, and everything else exactly."""
    for a, b in zip(one.readings, other.readings, strict=True):
        for name, value in asdict(a).items():
            wanted = getattr(b, name)
            assert value == (pytest.approx(wanted, rel=1e-9) if isinstance(wanted, float) else wanted)


def test_two_processes_find_the_point_of_one(both: list[Found]) -> None:
    assert both[0]["point"].readings == both[1]["point"].readings
    assert_equal(both[0]["point"], alone(framed.probe_set()))
    assert_equal(both[0]["one utterance"], alone(framed.probe_set(1)))


def test_a_layer_that_is_not_finite_in_one_process_is_unknown_in_both(both: list[Found]) -> None:
    poisoned = alone(framed.probe_set(poisoned=(1, 3)))
    assert both[0]["poisoned"].readings == both[1]["poisoned"].readings
    assert_equal(both[0]["poisoned"], poisoned)
    assert [reading.rank is None for reading in poisoned.readings] == [False, False, True, True]


def test_a_process_that_fails_lets_all_skip_the_point_for_the_same_cause(both: list[Found]) -> None:
    assert both[0]["failure"] == both[1]["failure"]
    assert "rank 1: OutOfMemoryError: no more" in both[0]["failure"]
    assert "given up by all 2 processes, as 1 failed" in both[0]["failure"]
    assert both[0]["after the failure"].readings == both[0]["point"].readings


def test_a_process_that_fails_after_hearing_is_not_waited_for(both: list[Found]) -> None:
    assert both[0]["failure after hearing"] == both[1]["failure after hearing"]
    assert "rank 1: MemoryError: none left" in both[0]["failure after hearing"]


def test_processes_with_probe_sets_of_their_own_are_told_so_alike(both: list[Found]) -> None:
    assert [each["same"] for each in both] == ["agreed", "agreed"]
    assert both[0]["different"] == both[1]["different"]
    assert both[0]["different"].startswith("UsageError: the 2 processes would not measure the same")
    assert "rank 1 differs from rank 0 in probe_set\n" in both[0]["different"]
    assert "give every process the same probe audio" in both[0]["different"]


def test_with_nccl_each_process_sends_from_the_gpu_of_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    made = torch.tensor

    def tensor(values: Any, *, dtype: torch.dtype, device: Any) -> torch.Tensor:
        sent.append(str(device))
        return made(values, dtype=dtype)  # there is no GPU here

    @contextmanager
    def current(device: Any) -> Iterator[None]:
        sent.append(f"objects: {device}")
        yield

    monkeypatch.setattr(torch, "tensor", tensor)
    monkeypatch.setattr(torch.cuda, "device", current)
    for name in ("broadcast", "all_reduce", "all_gather_object"):
        monkeypatch.setattr(dist, name, lambda *_, **__: None)
    lies = torch.device("cpu")
    team = Team(1, 2, "cuda", lambda: lies)
    team.from_first(1)
    lies = torch.device("cuda:1")  # a model may be moved after the team was made
    team.from_first(1)
    team.summed(np.ones(2))
    team.gathered("a")
    assert sent == ["cuda", "cuda:1", "cuda:1", "objects: cuda:1"]


def test_all_take_their_points_at_the_steps_of_the_first(both: list[Found]) -> None:
    assert both[0]["next steps"] == both[1]["next steps"]
    assert both[0]["next steps"][0] == 0
    assert 3 < len(both[0]["next steps"]) < 12


def test_parameters_in_shards_are_refused(both: list[Found]) -> None:
    assert "blocks.0.weight is a DTensor" in both[0]["sharded"]


def test_the_processes_know_who_they_are(both: list[Found]) -> None:
    assert [each["team"] for each in both] == [Team(0, 2, "cpu"), Team(1, 2, "cpu")]
    assert [each["team"].first for each in both] == [True, False]


def test_the_shares_of_all_are_everything_once() -> None:
    for size in (1, 2, 5, 9):
        shares = [Team(rank, size).share(range(7)) for rank in range(size)]
        assert sorted(number for share in shares for number in share) == list(range(7))


def test_alone_it_answers_itself() -> None:
    team = Team.here()
    assert team == Team.alone()
    assert team.from_first(3, 4) == (3, 4)
    assert team.gathered("a") == ["a"]
    assert team.summed(np.ones(2)).tolist() == [1.0, 1.0]
    team.all_well(None)
    team.agrees({"layers": [1, 2]})
    with pytest.raises(UsageError, match="lost"):
        team.all_well(UsageError("lost"))
