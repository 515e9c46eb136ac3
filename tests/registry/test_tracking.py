from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from mlflow_rank.errors import MeasurementError, UsageError
from mlflow_rank.registry.runs.metric_names import metrics_of
from mlflow_rank.registry.runs.tracking import Destination, RecordedRun, record_measurement

Make = Callable[..., dict[str, Any]]


def _artifacts(run: RecordedRun, folder: str = "mlflow_rank") -> dict[str, Path]:
    client = MlflowClient(run.tracking_uri)
    local = Path(client.download_artifacts(run.run_id, folder))
    return {path.name: path for path in local.iterdir()}


def test_metrics_read_back_are_those_of_the_measurement_and_all_finite(store: str, make_measurement: Make) -> None:
    document, control = make_measurement(unknown=(2,)), make_measurement(spec="random:tiny")
    run = record_measurement(document, control=control)
    data = MlflowClient(store).get_run(run.run_id).data
    assert data.metrics == metrics_of(document, control)
    assert all(math.isfinite(value) for value in data.metrics.values())
    assert data.tags["mlflow_rank.unknown_numbers"] == "7"


def test_stdout_and_stderr_stay_empty(store: str, make_measurement: Make, capfd: pytest.CaptureFixture[str]) -> None:
    record_measurement(make_measurement())
    assert capfd.readouterr() == ("", "")


def test_it_lies_in_the_store_that_plain_mlflow_ui_shows(store: str, make_measurement: Make) -> None:
    run = record_measurement(make_measurement())
    assert run.tracking_uri == store
    assert run.where == "mlflow ui"
    info = MlflowClient(store).get_run(run.run_id).info
    assert info.status == "FINISHED"
    assert MlflowClient(store).get_experiment(info.experiment_id).name == "mlflow_rank"


def test_what_was_set_is_a_parameter_and_what_identifies_is_a_tag(store: str, make_measurement: Make) -> None:
    document = make_measurement()
    document["model"]["layers_asked"] = "x" * 900
    document["model"]["name (odd)"] = "y"
    data = MlflowClient(store).get_run(record_measurement(document).run_id).data
    assert data.params["protocol.levels"] == '["frame", "utterance", "utterance_sum"]'
    assert data.params["audio.left_out.over_budget"] == "7"
    assert data.params["model.name _odd_"] == "y"
    assert len(data.params["model.layers_asked"]) == 500
    assert data.params["model.layers_asked"].endswith("…")
    assert not any("digest" in name for name in data.params)
    assert data.tags["mlflow_rank.model_digest"] == document["model"]["digest"]
    assert data.tags["mlflow_rank.corpus_digest"] == document["audio"]["corpus_digest"]


def test_the_audio_is_an_input_of_the_run(store: str, make_measurement: Make) -> None:
    run = MlflowClient(store).get_run(record_measurement(make_measurement()).run_id)
    (audio,) = run.inputs.dataset_inputs
    assert (audio.dataset.name, audio.dataset.digest) == ("dev", "c" * 36)
    assert json.loads(audio.dataset.source) == {"uri": "/data/speech/dev"}
    assert json.loads(audio.dataset.profile)["minutes"] == 3.5


def test_artifacts_hold_the_whole_measurement(store: str, make_measurement: Make, tmp_path: Path) -> None:
    document, control = make_measurement(), make_measurement(spec="random:tiny")
    for name in ("rank.svg", "rank.png"):
        (tmp_path / name).write_text(name)
    run = record_measurement(document, control=control, artifacts=[tmp_path / "rank.svg", tmp_path / "rank.png"])
    files = _artifacts(run)
    assert set(files) == {
        "measurement.json", "control.json", "layers.parquet", "skipped.jsonl", "rank.svg", "rank.png",
    }  # fmt: skip
    assert json.loads(files["measurement.json"].read_text()) == document
    assert [json.loads(line) for line in files["skipped.jsonl"].read_text().splitlines()] == document["skipped"]
    assert pq.read_table(files["layers.parquet"]).num_rows == 2 * len(document["ranks"])


def test_running_again_gives_a_run_of_its_own(store: str, make_measurement: Make) -> None:
    first, second = record_measurement(make_measurement()), record_measurement(make_measurement())
    assert first.run_id != second.run_id
    client = MlflowClient(store)
    assert [len(client.get_metric_history(run.run_id, "rank_frame/layer_00")) for run in (first, second)] == [1, 1]


def test_under_mlflow_run_its_run_is_used_and_left_running_and_a_second_measurement_is_its_child(
    store: str, make_measurement: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = MlflowClient(store)
    given = client.create_run(client.create_experiment("project")).info
    monkeypatch.setenv("MLFLOW_RUN_ID", given.run_id)
    first, second = record_measurement(make_measurement()), record_measurement(make_measurement(spec="other"))
    assert (first.run_id, first.experiment_id) == (given.run_id, given.experiment_id)
    assert client.get_run(given.run_id).info.status == "RUNNING"
    child = client.get_run(second.run_id)
    assert child.data.tags["mlflow.parentRunId"] == given.run_id
    assert child.info.experiment_id == given.experiment_id
    assert (client.get_run(given.run_id).data.params["model.spec"], child.data.params["model.spec"]) == (
        "tiny",
        "other",
    )


def test_checkpoints_of_a_training_run_are_steps_of_one_curve(store: str, make_measurement: Make) -> None:
    client = MlflowClient(store)
    training = client.create_run(client.create_experiment("training")).info.run_id
    for step in (100, 200):
        destination = Destination(run_id=training, step=step)
        record_measurement(make_measurement(spec=f"checkpoint-{step}"), destination=destination)
    history = client.get_metric_history(training, "rank_frame/layer_00")
    assert [point.step for point in history] == [100, 200]
    folders = [entry.path for entry in client.list_artifacts(training, "mlflow_rank")]
    assert folders == ["mlflow_rank/step_0000000100", "mlflow_rank/step_0000000200"]
    again = record_measurement(make_measurement(), destination=Destination(run_id=training, step=200))
    assert again.run_id != training


def test_the_experiment_and_the_name_are_those_asked_for(store: str, make_measurement: Make) -> None:
    run = record_measurement(make_measurement(), destination=Destination(experiment="speech", run_name="nightly"))
    client = MlflowClient(store)
    assert client.get_run(run.run_id).info.run_name == "nightly"
    assert client.get_experiment(run.experiment_id).name == "speech"


def test_a_deleted_experiment_is_named_with_what_to_do(store: str, make_measurement: Make) -> None:
    client = MlflowClient(store)
    client.delete_experiment(client.create_experiment("old"))
    with pytest.raises(MeasurementError) as raised:
        record_measurement(make_measurement(), destination=Destination(experiment="old"))
    assert raised.value.what == "the MLflow experiment 'old' is deleted"


def test_an_unreachable_server_is_exit_3_and_names_where_the_results_are(
    store: str, make_measurement: Make, tmp_path: Path
) -> None:
    started = time.monotonic()
    with pytest.raises(MeasurementError) as raised:
        record_measurement(
            make_measurement(),
            destination=Destination(tracking_uri="http://127.0.0.1:9"),  # the discard port: nobody listens
            kept_at=tmp_path / "out.json",
        )
    assert time.monotonic() - started < 15
    assert raised.value.exit_code == 3
    assert raised.value.what == (
        f"MLflow cannot be used at http://127.0.0.1:9; the results are kept at {tmp_path / 'out.json'}"
    )


def test_a_store_that_fails_midway_leaves_a_run_marked_failed(
    store: str, make_measurement: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise MlflowException("no space left")

    monkeypatch.setattr(MlflowClient, "log_artifacts", full)
    with pytest.raises(MeasurementError) as raised:
        record_measurement(make_measurement(), destination=Destination(experiment="midway"))
    assert raised.value.got == "MlflowException: no space left"
    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("midway")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FAILED"


def test_a_document_with_nan_is_refused_before_anything_is_written(store: str, make_measurement: Make) -> None:
    document = make_measurement()
    document["ranks"][0]["value"] = math.nan
    with pytest.raises(UsageError, match="cannot be written as JSON"):
        record_measurement(document)


def test_a_missing_or_ambiguous_artifact_is_refused(store: str, make_measurement: Make, tmp_path: Path) -> None:
    (tmp_path / "layers.parquet").write_text("mine")
    with pytest.raises(UsageError) as raised:
        record_measurement(make_measurement(), artifacts=[tmp_path / "gone.png", tmp_path / "layers.parquet"])
    assert raised.value.got == f"{tmp_path / 'gone.png'} (no such file), layers.parquet (name taken)"


def test_a_run_on_another_store_says_how_to_see_it() -> None:
    assert (
        RecordedRun("r", "1", "sqlite:////elsewhere/m.db").where
        == "mlflow ui --backend-store-uri sqlite:////elsewhere/m.db"
    )
