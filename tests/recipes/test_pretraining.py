"""The run to watch, on a few seconds of noise and for a few steps: seeds, faults, resuming, checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mlflow_rank.errors import UsageError
from recipes import pretraining  # noqa: F401  # before the first import of transformers
from recipes.pretraining import plan as planning
from recipes.pretraining.carrying_out import carry_out
from recipes.pretraining.fault_injection import FAULTS
from recipes.pretraining.plan import PACE, Plan
from recipes.pretraining.pretraining import Pretraining
from recipes.pretraining.run_directory import RunDirectory
from recipes.starter_encoder.schedule import Schedule

STREAM = np.random.default_rng(0).integers(-3_000, 3_000, 8 * 16_000, dtype=np.int16)  # 8 s: 400 frames
CASES = [("clusters", fault) for fault in FAULTS if fault != "no_stop_gradient"] + [
    ("self_distillation", "none"),
    ("self_distillation", "no_stop_gradient"),
]


class Watcher:
    """Writes down what it is told, and the weights at each point."""

    def __init__(self, run: Pretraining, *, stop_at: int | None = None) -> None:
        self.run, self.stop_at = run, stop_at
        self.told: list[tuple[int, float | None]] = []
        self.checkpoints: list[tuple[str, int]] = []

    @property
    def should_stop(self) -> bool:
        return self.stop_at is not None and self.told[-1][0] >= self.stop_at

    def step(self, n: int, loss: float | None = None) -> None:
        self.told.append((n, loss))

    def checkpoint(self, path: Path, step: int) -> None:
        self.checkpoints.append((path.name, step))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Crops so few and short, and clusters so few, that a step takes a moment; one thread, as two would wait."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(planning, "MFCC_CLUSTERS", 8)
    monkeypatch.setattr(planning, "LAYER_CLUSTERS", 12)
    monkeypatch.setattr(
        planning,
        "_schedule",
        lambda steps, rate: Schedule(steps=steps, learning_rate=rate, warmup=1, batch=1, frames=30),
    )
    yield
    torch.set_num_threads(threads)


def plan(steps: int, objective: str = "clusters", fault: str = "none", **others: float) -> Plan:
    return Plan(minutes=steps / PACE, objective=objective, fault=fault, **others)


def losses(run: Pretraining, steps: int) -> list[float]:
    return [run.advance()[0] for _ in range(steps)]


def weights(run: Pretraining) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in run.encoder.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("objective", "fault"), CASES)
def test_a_run_is_reproduced_by_its_seed_bit_by_bit_and_a_fault_shows_from_its_onset_on(objective, fault):
    ours = Pretraining(plan(4, objective, fault), STREAM)
    first, then = losses(ours, 2), losses(ours, 2)
    again = Pretraining(plan(4, objective, fault), STREAM)
    assert losses(again, 4) == first + then
    assert same(weights(ours), weights(again))

    healthy = Pretraining(plan(4, objective), STREAM)
    assert losses(healthy, 2) == first
    ended = losses(healthy, 2)
    # a learning rate shows in the weights of the step, and in the loss of the one after
    assert (ended[1] == then[1]) == (fault == "none")
    assert same(weights(ours), weights(healthy)) == (fault == "none")


@pytest.mark.parametrize(("objective", "fault"), CASES)
def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path, objective, fault):
    asked = plan(4, objective, fault, fault_at=0.25)  # it stops amid the fault
    whole = Pretraining(asked, STREAM)
    losses(whole, 2)
    place = RunDirectory.new(tmp_path / "run")
    place.save(whole)
    rest = losses(whole, 2)

    resumed = Pretraining.resumed(asked, STREAM, place.state())

    assert resumed.step == 2
    assert losses(resumed, 2) == rest
    assert same(weights(resumed), weights(whole))


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_run_resumes_before_at_and_after_the_change_of_iterations(tmp_path, monkeypatch, stop):
    monkeypatch.setattr(planning, "SECOND_FROM", 4)
    asked = plan(4)
    assert [(each.before, each.end, each.clusters) for each in asked.stretches] == [(0, 3, 8), (3, 4, 12)]
    whole = Pretraining(asked, STREAM)
    losses(whole, stop)
    place = RunDirectory.new(tmp_path / "run")
    place.save(whole)
    rest = losses(whole, 4 - stop)

    resumed = Pretraining.resumed(asked, STREAM, place.state())

    assert losses(resumed, 4 - stop) == rest
    assert same(weights(resumed), weights(whole))


def test_a_run_goes_on_with_another_fault_only_before_its_onset(tmp_path):
    healthy = Pretraining(plan(4), STREAM)
    losses(healthy, 2)
    place = RunDirectory.new(tmp_path / "run")
    place.save(healthy)

    forked = Pretraining.resumed(plan(4, fault="constant_targets"), STREAM, place.state())
    ended = losses(forked, 2)
    straight = Pretraining(plan(4, fault="constant_targets"), STREAM)
    losses(straight, 2)
    assert losses(straight, 2) == ended

    with pytest.raises(UsageError, match="fault") as refused:
        Pretraining.resumed(plan(4, fault="constant_targets", fault_at=0.25), STREAM, place.state())
    assert "fault_at 0.25" in str(refused.value)
    with pytest.raises(UsageError, match="seed"):
        Pretraining.resumed(replace(plan(4), seed=1), STREAM, place.state())


def test_checkpoints_are_log_spaced_from_the_start_and_from_the_onset_and_at_the_end():
    assert sorted(Plan(minutes=4, fault_at=0.6).checkpoints) == [0, 25, 50, 100, 200, 240, 265, 290, 340, 400]
    assert sorted(Plan(minutes=1, fault_at=1, per_doubling=2).checkpoints) == [0, 25, 35, 50, 71, 100]
    assert max(Plan(minutes=60).checkpoints) == 6_000
    assert {4_200} < set(Plan(minutes=60).checkpoints)  # where the iterations change


def test_a_run_tells_its_monitor_every_step_and_stops_where_it_asks(tmp_path):
    place = RunDirectory.new(tmp_path / "run")
    run = Pretraining(plan(4), STREAM)
    watcher = Watcher(run, stop_at=3)

    carry_out(run, place, watcher, say=lambda text: None)

    assert [step for step, _ in watcher.told] == [0, 1, 2, 3]
    assert watcher.told[0][1] is None
    assert all(loss is not None for _, loss in watcher.told[1:])
    assert watcher.checkpoints[-1] == ("step_000003", 3)
    assert place.state()["step"] == 3  # so it can go on
    assert (place.path / "step_000000" / "model.safetensors").is_file()


def test_saving_a_checkpoint_changes_nothing(tmp_path):
    place = RunDirectory.new(tmp_path / "run")
    alone = losses(Pretraining(plan(2), STREAM), 2)
    saved = Pretraining(plan(2), STREAM)

    beside = []
    for _ in range(2):
        place.save(saved)
        beside += losses(saved, 1)

    assert beside == alone


def test_a_directory_holds_one_run_and_says_where_there_is_none(tmp_path):
    place = RunDirectory.new(tmp_path / "run")
    place.save(Pretraining(plan(2), STREAM))

    with pytest.raises(UsageError, match="a run in this directory"):
        RunDirectory.new(place.path)
    with pytest.raises(UsageError, match="no run to go on with"):
        RunDirectory(tmp_path / "nowhere").state()
    assert [RunDirectory.numbered(tmp_path / "more").path.name for _ in range(2)] == ["run_001", "run_002"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"objective": "none"}, "no such objective"),
        ({"fault": "rain"}, "no such fault"),
        ({"fault": "no_stop_gradient"}, "no gradient to stop"),
        ({"fault_at": 1.5}, "no such share"),
        ({"minutes": 0.001}, "too short"),
        ({"per_doubling": 0}, "no such spacing"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(wrong, said):
    with pytest.raises(UsageError, match=said):
        Plan(**wrong)
