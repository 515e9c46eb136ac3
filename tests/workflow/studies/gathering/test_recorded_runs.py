"""MLflow runs are put together by training and step, however people have recorded them."""

from __future__ import annotations

from typing import Any

import pytest
from evidence import measurement
from pilots import pilot

from mlflow_rank.errors import MeasurementError, UsageError
from mlflow_rank.monitoring.checkpoint_form import CheckpointForm
from mlflow_rank.registry.runs.pilot_run import record_pilot
from mlflow_rank.registry.runs.run_claim import Destination
from mlflow_rank.registry.runs.run_documents import DocumentedRuns
from mlflow_rank.registry.runs.tracking import record_measurement
from mlflow_rank.workflow.studies.gathering.observing import Assessed
from mlflow_rank.workflow.studies.gathering.recorded_runs import RecordedRuns, Training, told_apart
from mlflow_rank.workflow.studies.gathering.window import Window

Document = dict[str, Any]


class Lab:
    """A store, an experiment in it of this test's own, and what is recorded there."""

    def __init__(self, store: Any, experiment: str) -> None:
        self.store, self.client, self.experiment = store, store.client, experiment
        self.experiment_id = self.client.create_experiment(experiment)
        self.reader = RecordedRuns(DocumentedRuns(self.client))

    def run(self, name: str, *, parent: str | None = None, **tags: str) -> str:
        given = tags | ({} if parent is None else {"mlflow.parentRunId": parent})
        return str(self.client.create_run(self.experiment_id, tags=given, run_name=name).info.run_id)

    def to(self, **more: Any) -> Destination:
        return Destination(self.client.tracking_uri, self.experiment, **more)

    def assessed(self, spec: str, *, run_id: str | None = None, step: int | None = None) -> str:
        """Hold a measurement and a pilot in a run, of its own where none is given."""
        run_id = self.run("assess") if run_id is None else run_id
        self.store.hold(run_id, step=step, spec=spec)
        return run_id

    def record(self, spec: str, digest: str, **to: Any) -> None:
        """Record a measurement and a pilot as assess does."""
        measured, piloted = measurement(), pilot(layers=3)
        for document in (measured, piloted):
            document["model"] |= {"spec": spec, "digest": f"sha256:{digest * 64}"}
        run = record_measurement(measured, destination=self.to(**to))
        record_pilot(piloted, destination=self.to(**to | {"run_id": run.run_id}))

    def read(self, *asked: str, **more: Any) -> list[tuple[str, int, float | None]]:
        found = self.reader.assessed(asked or [f"experiment:{self.experiment}"], **more)
        assert all(each.measurement and each.pilot for each in found)
        return sorted((each.run, each.step, each.loss) for each in found)


@pytest.fixture
def lab(store: Any, request: pytest.FixtureRequest) -> Lab:
    return Lab(store, request.node.name[:80])


def test_checkpoints_that_were_assessed_one_by_one_are_of_the_directory_they_lay_in(lab: Lab) -> None:
    lab.assessed("/data/seed_0/step_000100")
    lab.assessed("/data/seed_0/step_000200")
    lab.assessed("torchaudio:HUBERT_BASE@/data/seed_1/update_100.pt")

    assert lab.read() == [("seed_0", 100, None), ("seed_0", 200, None), ("seed_1", 100, None)]
    assert lab.reader.left_out == []


def test_a_monitored_run_holds_many_steps_and_their_loss(lab: Lab) -> None:
    training = lab.run("pretrain")
    for step, loss in ((50, 9.0), (100, 8.0), (250, 7.0)):
        lab.client.log_metric(training, "loss", loss, step=step)
    for step in (100, 200):
        lab.assessed("/anywhere/model", run_id=training, step=step)

    assert lab.read(training) == [("pretrain", 100, 8.0), ("pretrain", 200, 8.0)]


def test_child_runs_are_of_their_parent_and_found_with_it(lab: Lab) -> None:
    training = lab.run("pretrain")
    lab.client.log_metric(training, "monitor_loss", 5.0, step=10)
    for step in (10, 20):
        child = lab.run(f"step {step}", parent=training)
        lab.client.log_param(child, "training_step", step)
        lab.assessed("lab/encoder", run_id=child)

    assert lab.read(training) == lab.read() == [("pretrain", 10, 5.0), ("pretrain", 20, 5.0)]


def test_a_second_checkpoint_given_to_one_run_is_of_the_same_training(lab: Lab) -> None:
    """The run that was given holds the first; the next gets a child run of it."""
    training = lab.run("pretrain")
    for step, digest in ((10, "1"), (20, "2")):
        lab.record(f"/data/{digest}/step_{step}", digest, run_id=training)

    assert [each[:2] for each in lab.read()] == [("pretrain", 10), ("pretrain", 20)]


def test_tags_have_the_last_word_on_training_and_step(lab: Lab) -> None:
    run = lab.run("odd", training_run="seed_7", training_step="400")
    lab.assessed("/data/seed_0/step_000100", run_id=run)

    assert lab.read() == [("seed_7", 400, None)]


@pytest.mark.parametrize("spec", ["facebook/hubert-base-ls960", "models:/encoder/3", "starter", "/data/best"])
def test_where_nothing_says_a_step_the_run_is_left_out_by_name(lab: Lab, spec: str) -> None:
    run = lab.assessed(spec)

    assert lab.read() == []
    assert {name for name, _ in lab.reader.left_out} == {f"run assess ({run[:8]})"}
    assert "training_step" in lab.reader.left_out[0][1]


def test_a_pattern_reads_the_step_of_names_of_ones_own(lab: Lab) -> None:
    lab.assessed("lab/updates-500-of-900")
    lab.reader.form = CheckpointForm(pattern=r"updates-(\d+)")

    assert lab.read() == [("lab", 500, None)]


def test_a_measurement_and_a_pilot_in_runs_of_their_own_are_put_together(lab: Lab) -> None:
    for kind in ("measurement", "pilot"):
        run = lab.assessed("/data/seed_0/step_5")
        lab.client.delete_tag(run, f"mlflow_rank.{kind}")

    assert lab.read() == [("seed_0", 5, None)]


def test_of_several_measurements_the_newest_is_read_and_that_is_said(lab: Lab) -> None:
    for family in ("older", "newer"):
        lab.store.hold(lab.run(family), spec="/data/seed_0/step_5", family=family)

    [found] = lab.reader.assessed([f"experiment:{lab.experiment}"])

    assert isinstance(found, Assessed)
    assert found.measurement is not None
    assert found.measurement["model"]["family"] == "newer"  # type: ignore[index]
    assert "2 older" in lab.reader.left_out[0][1]


def test_what_lies_outside_the_window_is_not_read(lab: Lab) -> None:
    lab.assessed("/data/seed_0/step_0")
    lab.assessed("/data/seed_0/step_9")

    assert lab.read(window=Window()) == [("seed_0", 9, None)]


def test_a_document_that_is_gone_or_damaged_is_left_out_by_name(lab: Lab) -> None:
    lab.run("empty", **{"mlflow_rank.measurement": "sha256:0"})
    damaged = lab.run("damaged", **{"mlflow_rank.pilot": "sha256:0"})
    lab.client.log_text(damaged, "{", "mlflow_rank/pilot.json")

    assert lab.read() == []
    assert {name.partition(" (")[0] for name, _ in lab.reader.left_out} == {"run empty", "run damaged"}


def test_what_is_not_there_is_refused_with_what_is(lab: Lab) -> None:
    with pytest.raises(UsageError, match="there is no experiment 'nobody'") as refused:
        lab.read("experiment:nobody")
    assert lab.experiment in str(refused.value)
    for run in ("0" * 32, "no id at all"):
        with pytest.raises(UsageError, match="there is no run"):
            lab.read(run)


def test_a_store_that_does_not_answer_is_said(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.exceptions import MlflowException

    def fail(*_: object, **__: object) -> None:
        raise MlflowException("the disk is full")

    monkeypatch.setattr(lab.client, "search_runs", fail)

    with pytest.raises(MeasurementError, match="MLflow cannot be used"):
        lab.read()


def test_trainings_of_one_name_are_told_apart() -> None:
    given = (Training("run 0123456789ab", "owl"), Training("run ba9876543210", "owl"), Training("directory /a/b", "b"))

    assert set(told_apart(given).values()) == {"owl (01234567)", "owl (ba987654)", "b"}
