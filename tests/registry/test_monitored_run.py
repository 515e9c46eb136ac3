"""The delivery to a store in this process; `test_monitored_run_at_a_server` has one that goes away."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from verdicts import BEGAN, alarm, verdict, verdicts

from mlflow_rank.errors import MeasurementError, UsageError
from mlflow_rank.monitoring.journal import Journal
from mlflow_rank.monitoring.verdict import Verdict
from mlflow_rank.registry.runs.evidence_files import evidence_in_run
from mlflow_rank.registry.runs.late_delivery import deliver
from mlflow_rank.registry.runs.monitored_run import MonitoredRun, Patience
from mlflow_rank.registry.runs.run_claim import Destination
from mlflow_rank.registry.runs.run_delivery import RunDelivery

RANK = "monitor_rank_frame/layer_01"
HASTY = Patience(flush=20.0, grace=0.05, first_pause=0.02, longest_pause=0.1)
Say = list[str]


@pytest.fixture
def said() -> Say:
    return []


@pytest.fixture
def monitored(store: str, tmp_path: Path, said: Say) -> Callable[..., MonitoredRun]:
    def make(destination: Destination | None = None, *, place: str = "monitor", **how: Any) -> MonitoredRun:
        how.setdefault("patience", HASTY)
        return MonitoredRun(tmp_path / place, destination or Destination(store), say=said.append, **how)

    return make


@pytest.fixture
def run_id(store: str) -> str:
    return str(MlflowClient(store).create_run("0").info.run_id)


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Have the store refuse points, and take them again: as a server does that is gone for a while."""
    state = {"away": False}
    send = RunDelivery.send

    def sometimes(delivery: RunDelivery, deliveries: Any) -> None:
        if state["away"]:
            raise ConnectionError("nobody listens")
        send(delivery, deliveries)

    monkeypatch.setattr(RunDelivery, "send", sometimes)

    def set_away(is_away: bool) -> None:
        state["away"] = is_away

    return set_away


def steps(store: str, run: str, name: str = RANK) -> list[int]:
    return [each.step for each in MlflowClient(store).get_metric_history(run, name)]


def given(run: MonitoredRun, said: Sequence[Verdict]) -> MonitoredRun:
    for each in said:
        run.keep(each)
    return run


def run_of(run: MonitoredRun) -> str:
    assert run.run is not None
    return run.run.run_id


def until(true: Callable[[], Any]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, "it did not come about within 20 s"
        time.sleep(0.01)


def artifacts(store: str, run: str) -> dict[str, Path]:
    local = Path(MlflowClient(store).download_artifacts(run, "mlflow_rank/monitor"))
    return {path.name: path for path in local.iterdir()}


def test_every_point_is_in_the_run_at_its_step_and_time(store: str, monitored: Any, run_id: str, said: Say) -> None:
    told = verdicts(range(0, 60, 10))
    run = given(monitored(Destination(store, run_id=run_id)), told)
    run.close(told)
    history = MlflowClient(store).get_metric_history(run_id, RANK)
    assert [(each.step, each.timestamp, each.value) for each in history] == [
        (step, 1000 * int(BEGAN + step), pytest.approx(79.0 + 0.01 * step)) for step in range(0, 60, 10)
    ]
    assert run_of(run) == run_id
    assert said == []
    assert not (run.directory / "undelivered.json").exists()


def test_a_run_of_our_own_is_made_in_the_experiment_and_ended(store: str, monitored: Any) -> None:
    run = given(monitored(Destination(store, experiment="pretraining", run_name="night")), verdicts([0, 1]))
    run.close([])
    info = MlflowClient(store).get_run(run_of(run)).info
    assert (info.status, info.run_name) == ("FINISHED", "night")
    assert MlflowClient(store).get_experiment(info.experiment_id).name == "pretraining"


def test_the_active_run_is_used_and_goes_on(store: str, monitored: Any) -> None:
    mlflow.set_tracking_uri(store)
    with mlflow.start_run() as active:
        run = given(monitored(Destination()), verdicts([0, 1, 2]))
        run.close([])
        assert MlflowClient(store).get_run(active.info.run_id).info.status == "RUNNING"
    assert run_of(run) == active.info.run_id


def test_a_run_that_begins_just_after_the_first_point_is_used(store: str, monitored: Any) -> None:
    mlflow.set_tracking_uri(store)
    run = given(monitored(Destination(), patience=Patience(grace=20.0)), verdicts([0]))
    with mlflow.start_run() as active:
        given(run, verdicts([1]))
        run.close([])
    assert run_of(run) == active.info.run_id
    assert steps(store, active.info.run_id) == [0, 1]


def test_the_run_of_the_environment_is_used(
    store: str, monitored: Any, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    mlflow.set_tracking_uri(store)
    run = given(monitored(Destination()), verdicts([0, 1]))
    run.close([])
    assert run_of(run) == run_id


def test_a_run_of_another_store_is_none_of_ours(
    store: str, monitored: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", "f" * 32)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'other.db'}")
    run = given(monitored(Destination(store)), verdicts([0, 1]))
    run.close([])
    mlflow.set_tracking_uri(store)
    assert steps(store, run_of(run)) == [0, 1]


def test_alarms_are_tags_and_the_monitor_is_described(store: str, monitored: Any, run_id: str) -> None:
    run = monitored(Destination(store, run_id=run_id), parameters={"every": 200, "probe": "sha256:ab"})
    opened = alarm(since=20)
    given(run, [*verdicts([0, 10, 20]), verdict(30, alarms=[opened], raised=[opened])])
    until(lambda: MlflowClient(store).get_run(run_id).data.tags.get("mlflow_rank.alarms_open") == "1")
    over = alarm(since=20, closed_step=40)
    given(run, [verdict(40, alarms=[over])]).close([])
    data = MlflowClient(store).get_run(run_id).data
    assert data.tags["mlflow_rank.alarms_open"] == "0"
    assert data.tags["mlflow_rank.alarm.dimensional_collapse"].startswith("closed at step 40")
    assert (data.params["monitor.every"], data.params["monitor.probe"]) == ("200", "sha256:ab")


def test_the_run_has_the_journal_and_what_was_drawn(store: str, monitored: Any, run_id: str) -> None:
    run = monitored(
        Destination(store, run_id=run_id),
        draw=lambda told, folder: (folder / "timeline.html").write_text(f"{len(told)} points"),
    )
    journal = Journal(run.directory)
    journal.begin({"every": 200}, step=0)
    told = verdicts([0, 10, 20])
    for each in told:
        journal.keep(each)
        run.keep(each)
    run.close(told)
    journal.close()
    found = artifacts(store, run_id)
    assert found["timeline.html"].read_text() == "3 points"
    assert len(found["points.jsonl"].read_text().splitlines()) == 3
    assert json.loads(found["alarms.json"].read_text())["alarms"] == []


def test_evidence_in_the_directory_goes_to_where_it_is_found(store: str, monitored: Any, run_id: str) -> None:
    run = given(monitored(Destination(store, run_id=run_id)), verdicts([0]))
    (run.directory / "evidence").mkdir()
    statement = run.directory / "evidence" / "alarms-step_500.dsse.json"
    statement.write_text("no alarm")
    given(run, verdicts([1]))
    until(lambda: evidence_in_run(MlflowClient(store), run_id) == [b"no alarm"])
    statement.write_text("an alarm after all")
    run.close([])
    assert evidence_in_run(MlflowClient(store), run_id) == [b"an alarm after all"]


def test_an_alarm_is_drawn_at_once_and_a_quiet_run_now_and_then(store: str, monitored: Any, run_id: str) -> None:
    drawn: list[int] = []
    run = monitored(Destination(store, run_id=run_id), draw=lambda told, folder: drawn.append(len(told)))
    given(run, verdicts([0, 10, 20]))
    until(lambda: steps(store, run_id) == [0, 10, 20])
    assert drawn == []
    opened = alarm(since=20)
    given(run, [verdict(30, alarms=[opened], raised=[opened])])
    until(lambda: drawn == [4])
    run.close([])
    assert drawn == [4, 4]


def test_a_page_that_cannot_be_drawn_keeps_no_number_back(store: str, monitored: Any, run_id: str, said: Say) -> None:
    def draw(told: Sequence[Verdict], folder: Path) -> None:
        raise ZeroDivisionError("no width")

    given(monitored(Destination(store, run_id=run_id), draw=draw), verdicts([0, 1])).close([])
    assert steps(store, run_id) == [0, 1]
    assert said == ["mlflow-rank: the timeline could not be drawn: ZeroDivisionError: no width"]


def test_more_numbers_than_fit_a_request_all_arrive(store: str, monitored: Any, run_id: str) -> None:
    given(monitored(Destination(store, run_id=run_id)), verdicts([20, 30], layers=80)).close([])
    data = MlflowClient(store).get_run(run_id).data
    assert len(data.metrics) == 80 * 2 * 8 + 3
    assert steps(store, run_id, "monitor_rank_utterance/layer_79") == [20, 30]


def test_points_wait_while_the_store_is_away_and_arrive_once(
    store: str, monitored: Any, run_id: str, said: Say, away: Callable[[bool], None]
) -> None:
    run = given(monitored(Destination(store, run_id=run_id)), verdicts([0, 1, 2]))
    until(lambda: steps(store, run_id) == [0, 1, 2])
    away(True)
    given(run, verdicts([4, 8]))
    until((run.directory / "undelivered.json").exists)
    given(run, verdicts([16]))
    away(False)
    until(lambda: steps(store, run_id) == [0, 1, 2, 4, 8, 16])
    run.close(verdicts([0, 1, 2, 4, 8, 16]))
    assert steps(store, run_id) == [0, 1, 2, 4, 8, 16]
    assert "takes no points" in said[0]
    assert "nobody listens" in said[1]
    assert said[2:] == ["mlflow-rank: MLflow takes points again; all that waited are delivered"]
    assert not (run.directory / "undelivered.json").exists()


def test_an_answer_that_was_lost_writes_no_point_twice(
    store: str, monitored: Any, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_batch, lost = MlflowClient.log_batch, [True]

    def carried_out_unheard(client: MlflowClient, *args: Any, **how: Any) -> Any:
        done = log_batch(client, *args, **how)
        if how.get("metrics") and lost:
            lost.pop()
            raise ConnectionError("no answer")
        sent.extend((each.key, each.step) for each in how.get("metrics", ()))
        return done

    sent: list[tuple[str, int]] = []
    monkeypatch.setattr(MlflowClient, "log_batch", carried_out_unheard)
    given(monitored(Destination(store, run_id=run_id)), verdicts([0])).close(verdicts([0, 1]))
    assert steps(store, run_id) == [0, 1]
    assert (RANK, 0) not in sent  # it was looked up, and not sent again


def test_what_is_left_at_the_end_is_delivered_later(
    store: str, monitored: Any, run_id: str, said: Say, away: Callable[[bool], None]
) -> None:
    run = monitored(
        Destination(store, run_id=run_id),
        patience=Patience(flush=0.3, first_pause=0.02),
        parameters={"every": 200},
        draw=lambda told, folder: (folder / "timeline.html").write_text("drawn"),
    )
    given(run, verdicts([0, 1]))
    until(lambda: steps(store, run_id) == [0, 1])
    away(True)
    given(run, [verdict(2, alarms=[alarm(since=1)])])
    began = time.monotonic()
    run.close([*verdicts([0, 1]), verdict(2, alarms=[alarm(since=1)]), verdict(4, alarms=[alarm(since=1)])])
    assert time.monotonic() - began < 5
    assert "2 points could not be delivered" in said[-1]
    assert f"mlflow-rank watch --deliver {run.directory}" in said[-1]
    record = json.loads((run.directory / "undelivered.json").read_text())
    assert (record["run_id"], record["tracking_uri"], record["last_delivered_step"]) == (run_id, store, 1)
    away(False)
    late = deliver(run.directory)
    assert (late.run.run_id, late.points) == (run_id, 2)
    assert steps(store, run_id) == [0, 1, 2, 4]
    data = MlflowClient(store).get_run(run_id).data
    assert data.tags["mlflow_rank.alarms_open"] == "1"
    assert data.params["monitor.every"] == "200"
    with pytest.raises(UsageError, match="nothing is undelivered"):
        deliver(run.directory)


def test_a_run_that_could_not_be_made_is_made_later(
    store: str, monitored: Any, tmp_path: Path, said: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone.db"
    gone.write_text("no database")  # the store answers nothing that MLflow could use
    destination = Destination(f"sqlite:///{gone}", experiment="later", run_name="night")
    run = given(monitored(destination, patience=Patience(flush=0.3, grace=0.01)), verdicts([0, 1]))
    run.close([])
    assert run.run is None
    assert "2 points could not be delivered" in said[-1]
    with pytest.raises(MeasurementError, match="all is still kept"):
        deliver(run.directory)
    late = deliver(run.directory, tracking_uri=store)
    info = MlflowClient(store).get_run(late.run.run_id).info
    assert (info.status, info.run_name) == ("FINISHED", "night")
    assert steps(store, late.run.run_id) == [0, 1]


def test_a_training_that_was_resumed_continues_its_chart(store: str, monitored: Any, said: Say) -> None:
    first = given(monitored(), verdicts([0, 1, 2]))
    first.close(verdicts([0, 1, 2]))
    second = monitored()
    second.resume(verdicts([0, 1, 2, 4]))  # 4 was judged, and the process ended before it was delivered
    given(second, verdicts([8]))
    until(lambda: second.run and steps(store, run_of(second)) == [0, 1, 2, 4, 8])
    assert MlflowClient(store).get_run(run_of(second)).info.status == "RUNNING"
    second.close(verdicts([0, 1, 2, 4, 8]))
    assert run_of(second) == run_of(first)
    assert MlflowClient(store).get_run(run_of(first)).info.status == "FINISHED"
    assert said == []


def test_a_training_that_was_resumed_fills_its_gaps_at_the_end_at_the_latest(store: str, monitored: Any) -> None:
    first = given(monitored(), verdicts([0, 1]))
    first.close([])
    second = given(monitored(), verdicts([8]))
    second.close(verdicts([0, 1, 2, 4, 8]))
    assert sorted(steps(store, run_of(first))) == [0, 1, 2, 4, 8]


def test_a_training_that_goes_back_delivers_nothing_of_the_branch_that_it_leaves(
    store: str, monitored: Any, run_id: str, said: Say, away: Callable[[bool], None]
) -> None:
    first = given(monitored(Destination(store, run_id=run_id), patience=Patience(0.2, 0.0, 0.02)), verdicts([0, 10]))
    until(lambda: steps(store, run_id) == [0, 10])
    away(True)
    given(first, verdicts([20, 30])).close([])
    away(False)
    second = monitored(Destination(store, run_id=run_id))
    second.resume(verdicts([0]))
    given(second, [verdict(12), verdict(10, rank=50.0)]).close([])
    history = [(each.step, round(each.value)) for each in MlflowClient(store).get_metric_history(run_id, RANK)]
    assert sorted(history) == [(0, 79), (10, 50), (10, 79), (12, 79)]


def test_a_terminal_that_is_gone_ends_no_delivery(
    store: str, monitored: Any, run_id: str, tmp_path: Path, away: Callable[[bool], None]
) -> None:
    def gone(text: str) -> None:
        raise BrokenPipeError(text)

    run = MonitoredRun(tmp_path / "gone", Destination(store, run_id=run_id), say=gone, patience=HASTY)
    away(True)
    given(run, verdicts([0]))
    until((run.directory / "undelivered.json").exists)
    away(False)
    given(run, verdicts([1])).close([])
    assert steps(store, run_id) == [0, 1]


def test_what_an_earlier_process_left_undelivered_goes_with_the_next(
    store: str, monitored: Any, run_id: str, away: Callable[[bool], None]
) -> None:
    away(True)
    first = monitored(Destination(store, run_id=run_id), patience=Patience(flush=0.2, first_pause=0.02))
    given(first, verdicts([0, 1])).close([])
    away(False)
    second = given(monitored(Destination(store, run_id=run_id)), verdicts([2]))
    second.close([])
    assert steps(store, run_id) == [0, 1, 2]
    assert not (second.directory / "undelivered_points.jsonl").exists()


def test_another_training_in_the_same_run_gets_a_run_of_its_own(store: str, monitored: Any, run_id: str) -> None:
    given(monitored(Destination(store, run_id=run_id)), verdicts([0, 1])).close([])
    other = given(monitored(Destination(store, run_id=run_id), place="other"), verdicts([0, 1, 2]))
    other.close([])
    assert run_of(other) != run_id
    assert MlflowClient(store).get_run(run_of(other)).data.tags["mlflow.parentRunId"] == run_id
    assert steps(store, run_id) == [0, 1]
    assert steps(store, run_of(other)) == [0, 1, 2]


def test_a_training_that_goes_on_elsewhere_continues_the_run_that_it_names(
    store: str, monitored: Any, run_id: str
) -> None:
    given(monitored(Destination(store, run_id=run_id)), verdicts([0, 1])).close([])
    given(monitored(Destination(store, run_id=run_id), place="other machine"), verdicts([2, 4])).close([])
    assert steps(store, run_id) == [0, 1, 2, 4]


def test_keeping_takes_no_time_while_the_store_hangs(
    store: str, monitored: Any, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunDelivery, "send", lambda *_: time.sleep(0.3))
    run = monitored(Destination(store, run_id=run_id))
    told = verdicts(range(200), layers=0)
    run.keep(told[0])
    took = []
    for each in told[1:]:
        began = time.perf_counter()
        run.keep(each)
        took.append(time.perf_counter() - began)
    assert sorted(took)[len(took) // 2] < 0.001
    monkeypatch.undo()
    run.close([])


def test_a_worker_that_was_forked_leaves_the_run_alone(store: str, monitored: Any, run_id: str) -> None:
    run = given(monitored(Destination(store, run_id=run_id)), verdicts([0]))
    until(lambda: steps(store, run_id) == [0])
    child = os.fork()
    if child == 0:
        run.keep(verdict(1))
        run.close(verdicts([1]))
        os._exit(len(run._queue))
    assert os.waitpid(child, 0)[1] == 0
    given(run, verdicts([2])).close([])
    assert steps(store, run_id) == [0, 2]


def test_after_the_end_nothing_is_kept_and_a_second_end_does_nothing(
    store: str, monitored: Any, run_id: str, said: Say
) -> None:
    run = given(monitored(Destination(store, run_id=run_id)), verdicts([0]))
    run.close([])
    run.keep(verdict(1))
    run.close(verdicts([0, 1]))
    assert steps(store, run_id) == [0]
    assert said == []


def test_a_monitor_without_a_point_makes_no_run(store: str, monitored: Any) -> None:
    with closing(_Once(monitored(Destination(store, experiment="never")))):
        pass
    assert MlflowClient(store).get_experiment_by_name("never") is None


class _Once:
    def __init__(self, run: MonitoredRun) -> None:
        self._run = run

    def close(self) -> None:
        self._run.close([])


def test_a_run_that_is_gone_is_said_and_its_points_are_kept(store: str, monitored: Any, said: Say) -> None:
    run = monitored(Destination(store, run_id="f" * 32), patience=Patience(flush=0.3, first_pause=0.05))
    given(run, verdicts([0, 1])).close([])
    assert "takes no points" in said[0]
    assert "f" * 32 in said[1]
    assert len((run.directory / "undelivered_points.jsonl").read_text().splitlines()) == 2


def test_a_password_is_written_nowhere(monitored: Any, tmp_path: Path, said: Say) -> None:
    secret = Destination("http://ann:hunter2@127.0.0.1:9")  # nobody listens at the discard port
    run = given(monitored(secret, patience=Patience(flush=0.2, grace=0.01)), verdicts([0]))
    run.close([])
    told = "".join(said) + "".join(path.read_text() for path in run.directory.iterdir() if path.is_file())
    assert "ann:***@127.0.0.1" in told
    assert "hunter2" not in told
    with pytest.raises(MeasurementError, match="the password of the store is kept nowhere"):
        deliver(run.directory)
