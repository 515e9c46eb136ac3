"""A courier, one attempt at a time in this thread: what a delivery must not touch, and what it brings where."""

from __future__ import annotations

import errno
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from verdicts import verdict, verdicts

from mlflow_rank.monitoring.verdict import Verdict
from mlflow_rank.registry.runs import courier as couriers
from mlflow_rank.registry.runs import undelivered
from mlflow_rank.registry.runs.courier import Courier
from mlflow_rank.registry.runs.late_delivery import deliver
from mlflow_rank.registry.runs.undelivered import RECORD, Belonging, points_in
from mlflow_rank.reports.timeline import draw_timeline

RANK = "monitor_rank_frame/layer_01"
Make = Callable[..., Courier]


@pytest.fixture
def courier(store: str, tmp_path: Path) -> Make:
    def make(monitor: str = "monitor-1", run_id: str | None = None, *, draw: Any = None, **how: Any) -> Courier:
        directory = tmp_path / monitor
        directory.mkdir(exist_ok=True)
        return Courier(directory, Belonging(store, monitor, run_id), store, draw, 300.0, **how)

    return make


@pytest.fixture
def run_id(store: str) -> str:
    return str(MlflowClient(store).create_run("0", run_name="night").info.run_id)


def brought(courier: Courier, told: Sequence[Verdict]) -> Courier:
    for each in told:
        courier.take(each)
    courier.attempt()
    return courier


def run_of(courier: Courier) -> str:
    assert courier.delivery is not None
    return courier.delivery.run_id


def trained_again(step: int, rank: float) -> Verdict:
    """The point of a step that a training came to a second time, a day later."""
    once = verdict(step, rank=rank)
    return replace(once, point=replace(once.point, at=once.point.at + 86_400))


def ranks(store: str, run: str) -> list[tuple[int, float]]:
    history = MlflowClient(store).get_metric_history(run, RANK)
    return [(each.step, round(each.value)) for each in sorted(history, key=lambda each: (each.step, each.timestamp))]


def full_disk(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


# what the training draws


def test_a_whole_delivery_leaves_the_generators_of_the_training_as_they_were(courier: Make) -> None:
    before, numpy_before = random.getstate(), np.random.get_state()  # noqa: NPY002  # the global one is what this is about
    bringing = brought(courier(draw=draw_timeline), verdicts([0, 10, 20, 30], layers=1))
    assert bringing.finish("FINISHED")
    assert bringing.remarks == []
    assert random.getstate() == before
    numpy_after = np.random.get_state()  # noqa: NPY002  # the global one is what this is about
    assert all(np.array_equal(old, new) for old, new in zip(numpy_before, numpy_after, strict=True))


def test_a_run_without_a_name_is_called_after_the_monitor(store: str, courier: Make) -> None:
    bringing = brought(courier("monitor-0a1b"), verdicts([0]))
    assert MlflowClient(store).get_run(run_of(bringing)).info.run_name == "monitor-0a1b"


# a training that went back


def test_steps_that_are_trained_again_are_delivered_again(store: str, courier: Make, run_id: str) -> None:
    brought(courier(run_id=run_id), [verdict(step, rank=10.0) for step in (0, 10, 20, 30)])
    again = courier(run_id=run_id, resumed_at=10)
    brought(again, [verdict(0, rank=10.0), verdict(10, rank=10.0)])
    brought(again, [trained_again(20, 50.0)])
    assert ranks(store, run_id) == [(0, 10), (10, 10), (20, 10), (20, 50), (30, 10)]
    brought(again, [trained_again(30, 60.0)])
    assert MlflowClient(store).get_run(run_id).data.metrics[RANK] == 60.0  # the newer of two at one step is shown


def test_steps_of_an_abandoned_branch_do_not_count_even_at_the_same_time(
    store: str, courier: Make, run_id: str
) -> None:
    brought(courier(run_id=run_id), [verdict(step, rank=10.0) for step in (0, 10, 20)])
    brought(courier(run_id=run_id, resumed_at=10), [verdict(20, rank=50.0)])
    assert (20, 50) in ranks(store, run_id)


def test_a_point_of_the_new_branch_that_waited_is_none_of_the_old_one(store: str, courier: Make, run_id: str) -> None:
    brought(courier(run_id=run_id), [verdict(step, rank=10.0) for step in (0, 10, 20)])
    back = courier(run_id=run_id, resumed_at=10)
    back.take(trained_again(20, 50.0))
    back.leave()  # and the process ends
    brought(courier(run_id=run_id, resumed_at=20), [trained_again(20, 50.0)])
    assert ranks(store, run_id) == [(0, 10), (10, 10), (20, 10), (20, 50)]


def test_undelivered_points_of_an_abandoned_branch_are_dropped(store: str, courier: Make, run_id: str) -> None:
    first = courier(run_id=run_id)
    for each in verdicts([0, 10, 20, 30]):
        first.take(each)
    first.leave()
    second = courier(run_id=run_id, resumed_at=10)
    second.drop_abandoned()
    assert [each.step for each in points_in(second.directory)] == [0, 10]
    brought(second, verdicts([0, 10]))
    assert [step for step, _ in ranks(store, run_id)] == [0, 10]


# two monitors and one run


def test_a_run_that_another_monitor_has_marked_and_not_yet_written_to_gets_a_child(
    store: str, courier: Make, run_id: str
) -> None:
    first = courier(run_id=run_id)
    first.attempt()
    second = brought(courier("monitor-2", run_id), verdicts([0]))
    assert (run_of(first), ranks(store, run_id)) == (run_id, [])
    assert MlflowClient(store).get_run(run_of(second)).data.tags["mlflow.parentRunId"] == run_id


def test_two_monitors_that_find_a_run_at_once_do_not_share_it(
    courier: Make, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    get_run = MlflowClient.get_run

    def slow(client: MlflowClient, run: str) -> Any:
        found = get_run(client, run)
        time.sleep(0.2)  # long enough for the other to look too
        return found

    monkeypatch.setattr(MlflowClient, "get_run", slow)
    pair = [courier("monitor-1", run_id), courier("monitor-2", run_id)]
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda each: brought(each, verdicts([0])), pair))
    assert len({run_of(each) for each in pair}) == 2


# a disk that is full


def test_a_full_disk_keeps_no_point_from_a_store_that_answers(
    store: str, courier: Make, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Belonging, "write", full_disk)
    monkeypatch.setattr(couriers, "copy_journal", full_disk)
    bringing = brought(courier(run_id=run_id), verdicts([0, 1]))
    assert [step for step, _ in ranks(store, run_id)] == [0, 1]
    assert bringing.finish("FINISHED")
    assert len(bringing.remarks) == 2
    assert all("No space left on device" in remark for remark in bringing.remarks)


# a store that was away at first


def test_when_everything_has_arrived_nothing_says_that_it_has_not(courier: Make) -> None:
    bringing = courier()
    bringing.take(verdict(0))
    bringing.leave()
    assert (bringing.directory / RECORD).exists()
    bringing.attempt()
    assert not (bringing.directory / RECORD).exists()


def test_what_is_delivered_later_goes_to_the_run_that_was_made_meanwhile(
    store: str, courier: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    bringing = courier()
    bringing.take(verdict(0))
    bringing.leave()
    monkeypatch.setattr(undelivered, "forget", full_disk)  # killed before the record could go
    bringing.attempt()
    monkeypatch.undo()
    assert Belonging.read(bringing.directory / RECORD).run_id is None  # type: ignore[union-attr]
    late = deliver(bringing.directory, tracking_uri=store)
    assert (late.run.run_id, late.points) == (run_of(bringing), 0)


def test_a_run_of_another_monitor_is_not_taken_for_ours(store: str, courier: Make, run_id: str) -> None:
    bringing = courier()
    bringing.take(verdict(0))
    bringing.leave()
    Belonging(store, "monitor-2", run_id).write(bringing.directory / undelivered.RUN)
    assert deliver(bringing.directory, tracking_uri=store).run.run_id != run_id
