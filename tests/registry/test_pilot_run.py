from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient

from mlflow_rank.errors import MeasurementError, UsageError
from mlflow_rank.registry.runs.metric_names import metrics_of
from mlflow_rank.registry.runs.pilot_metrics import pilot_metrics_of
from mlflow_rank.registry.runs.pilot_run import record_pilot
from mlflow_rank.registry.runs.tracking import Destination, record_measurement

Make = Callable[..., dict[str, Any]]


def _files(store: str, run_id: str, folder: str = "mlflow_rank") -> dict[str, Path]:
    local = Path(MlflowClient(store).download_artifacts(run_id, folder))
    return {path.name: path for path in local.iterdir()}


def test_metrics_read_back_are_those_of_the_pilot(store: str, make_pilot: Make) -> None:
    document = make_pilot(tasks=("keyword", "label:alarm [kind]"), unknown_layers=(2,))
    run = record_pilot(document)
    read = MlflowClient(store).get_run(run.run_id)
    assert read.data.metrics == pilot_metrics_of(document)
    assert read.info.run_name == "pilot of hubert-small"
    assert read.info.status == "FINISHED"
    assert read.data.tags["mlflow_rank.pilot_tasks"] == "keyword, label:alarm [kind]"
    assert read.data.tags["mlflow_rank.pilot_best_layer.keyword"] == "3"
    assert read.data.params["pilot.keyword.protocol.disjoint_by"] == "speaker"
    assert read.data.params["pilot.keyword.heads.ridge"].startswith("features standardised")


def test_labelled_sets_are_inputs_named_by_what_is_labelled(store: str, make_pilot: Make) -> None:
    run = MlflowClient(store).get_run(record_pilot(make_pilot(tasks=("keyword", "speaker"))).run_id)
    inputs = {each.dataset.name: each for each in run.inputs.dataset_inputs}
    assert set(inputs) == {
        "keywords.jsonl (keyword)", "keywords-phone.jsonl (keyword)",
        "keywords.jsonl (speaker)", "keywords-phone.jsonl (speaker)",
    }  # fmt: skip
    outside = inputs["keywords-phone.jsonl (keyword)"]
    assert outside.dataset.digest == "e" * 36
    assert {tag.key: tag.value for tag in outside.tags} == {
        "mlflow.data.context": "pilot", "mlflow_rank.task": "keyword", "mlflow_rank.domain": "out_of_domain",
    }  # fmt: skip


def test_artifacts_hold_the_whole_pilot(store: str, make_pilot: Make, tmp_path: Path) -> None:
    document = make_pilot(unknown_layers=(2,))
    (tmp_path / "scores.svg").write_text("<svg/>")
    run = record_pilot(document, artifacts=[tmp_path / "scores.svg"])
    files = _files(store, run.run_id)
    assert set(files) == {
        "pilot.json", "pilot.parquet", "splits.json", "pilot_skipped.jsonl", "confusions", "scores.svg",
    }  # fmt: skip
    assert json.loads(files["pilot.json"].read_text()) == document
    table = pq.read_table(files["pilot.parquet"]).to_pylist()
    assert [(line["layer_index"], line["score"]) for line in table] == [
        (row["layer"] if isinstance(row["layer"], int) else None, row["score"]) for row in document["rows"]
    ]
    assert {(line["shots"], line["shots_per_class"]) for line in table} >= {("all", None), ("5", 5)}
    assert {line["audio_source"] for line in table if line["domain"] == "in_domain"} == {"/data/keywords.jsonl"}
    splits = json.loads(files["splits.json"].read_text())["keyword"]
    assert splits["draws"] == document["tasks"][0]["splits"]["draws"]
    assert splits["protocol"]["seed"] == 0
    with (files["confusions"] / "keyword_layer_03_in_domain_ridge_all.csv").open(newline="") as file:
        lines = list(csv.reader(file))
    assert lines[0][1:] == document["tasks"][0]["classes"]
    assert [[int(count) for count in line[1:]] for line in lines[1:]] == document["tasks"][0]["confusions"][0]["matrix"]


def test_every_number_unknown_still_makes_a_run_and_a_table(store: str, make_pilot: Make) -> None:
    document = make_pilot(unknown_layers=(*range(5), "weighted_sum", "pilot_best"))
    run = record_pilot(document)
    read = MlflowClient(store).get_run(run.run_id)
    assert read.data.metrics == {}
    assert read.data.tags["mlflow_rank.pilot_unknown_numbers"] == str(len(document["rows"]))
    table = pq.read_table(_files(store, run.run_id)["pilot.parquet"])
    assert str(table.schema.field("score").type) == "double"
    assert table["score"].null_count == len(document["rows"])
    for delta in ("delta", "delta_random", "delta_logmel"):
        kinds = [str(table.schema.field(f"{delta}{part}").type) for part in ("", "_low", "_high", "_paired")]
        assert kinds == ["double", "double", "double", "bool"]


@pytest.mark.parametrize("first", ["measurement", "pilot"])
def test_measurement_and_pilot_of_one_model_share_a_run_without_mixing(
    store: str, make_pilot: Make, make_measurement: Make, first: str
) -> None:
    measurement, pilot = make_measurement(), make_pilot()  # both of digest aaa…, with different words about the model
    if first == "measurement":
        run = record_measurement(measurement)
        again = record_pilot(pilot, destination=Destination(run_id=run.run_id))
    else:
        run = record_pilot(pilot)
        again = record_measurement(measurement, destination=Destination(run_id=run.run_id))
    assert again.run_id == run.run_id
    read = MlflowClient(store).get_run(run.run_id)
    assert read.info.status == "FINISHED"
    assert read.data.metrics == metrics_of(measurement) | pilot_metrics_of(pilot)
    assert read.data.tags["mlflow_rank.kind"] == "RankMeasurement"
    assert read.data.tags["mlflow_rank.unknown_numbers"] == "0"
    assert read.data.params["model.spec"] == (measurement if first == "measurement" else pilot)["model"]["spec"]
    assert read.data.params["protocol.seed"] == read.data.params["pilot.keyword.protocol.seed"] == "0"
    assert len(read.inputs.dataset_inputs) == 3
    assert {"measurement.json", "skipped.jsonl", "pilot.json", "pilot_skipped.jsonl"} <= set(_files(store, run.run_id))


def test_a_second_pilot_of_a_run_is_its_child(store: str, make_pilot: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    client = MlflowClient(store)
    given = client.create_run(client.create_experiment("two pilots")).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", given)
    first, second = record_pilot(make_pilot()), record_pilot(make_pilot(champion="models:/hubert@champion"))
    assert first.run_id == given
    assert client.get_run(given).info.status == "RUNNING"
    child = client.get_run(second.run_id)
    assert child.data.tags["mlflow.parentRunId"] == given
    assert child.data.params["pilot.against"] == "models:/hubert@champion"


def test_a_pilot_of_other_weights_never_joins_a_measurement(
    store: str, make_pilot: Make, make_measurement: Make
) -> None:
    run = record_measurement(make_measurement())
    other = record_pilot(make_pilot(digest="f" * 64), destination=Destination(run_id=run.run_id))
    assert other.run_id != run.run_id
    assert MlflowClient(store).get_run(other.run_id).data.tags["mlflow.parentRunId"] == run.run_id


def test_checkpoints_of_a_training_run_are_steps_of_one_curve(store: str, make_pilot: Make) -> None:
    client = MlflowClient(store)
    training = client.create_run(client.create_experiment("piloted training")).info.run_id
    for step, digest in ((100, "1" * 64), (200, "2" * 64)):
        record_pilot(make_pilot(digest=digest), destination=Destination(run_id=training, step=step))
    assert [point.step for point in client.get_metric_history(training, "pilot_keyword/layer_03")] == [100, 200]


def test_more_than_mlflow_takes_at_once_is_logged_whole(store: str, make_pilot: Make) -> None:
    tasks = [f"label:field {number}" for number in range(6)]
    document = make_pilot(tasks=tasks, layers=26, heads=("ridge",), classes=("no", "yes"))
    data = MlflowClient(store).get_run(record_pilot(document).run_id).data
    assert len(data.metrics) == len(pilot_metrics_of(document)) > 1000
    assert sum(name.startswith("pilot.label_field_5.") for name in data.params) > 15
    assert len(data.params) > 100


def test_nan_is_refused_before_anything_is_written(store: str, make_pilot: Make) -> None:
    document = make_pilot()
    document["rows"][0]["se"] = math.nan
    with pytest.raises(UsageError, match="cannot be written as JSON"):
        record_pilot(document)


def test_a_figure_may_not_take_the_name_of_a_file_of_ours(store: str, make_pilot: Make, tmp_path: Path) -> None:
    (tmp_path / "splits.json").write_text("mine")
    with pytest.raises(UsageError) as raised:
        record_pilot(make_pilot(), artifacts=[tmp_path / "splits.json"])
    assert raised.value.got == "splits.json (name taken)"


def test_an_unreachable_server_names_where_the_results_are(store: str, make_pilot: Make, tmp_path: Path) -> None:
    with pytest.raises(MeasurementError) as raised:
        record_pilot(
            make_pilot(),
            destination=Destination(tracking_uri="http://127.0.0.1:9"),  # the discard port: nobody listens
            kept_at=tmp_path / "pilot.json",
        )
    assert str(tmp_path / "pilot.json") in raised.value.what
