"""A study in MLflow: read back, it is the study; in a run that is given, it disturbs nothing that is there."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from studied import document

from mlflow_rank.errors import MeasurementError, UsageError
from mlflow_rank.registry.runs.run_claim import Destination
from mlflow_rank.registry.runs.run_terms import digest_of
from mlflow_rank.registry.runs.study_run import StudyRecord, record_study
from mlflow_rank.registry.runs.tracking import record_measurement


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "files" / "tables").mkdir(parents=True)
    (tmp_path / "files" / "study.json").write_text(json.dumps(document()))
    (tmp_path / "files" / "tables" / "within.csv").write_text("a\r\n1\r\n")
    return tmp_path / "files"


def recorded(study: str = "correlate", **more: Any) -> StudyRecord:
    metrics = {"spearman/keyword": 0.71, "p of all": 0.5, "not known": math.nan, "endless": math.inf}
    return StudyRecord(study, document() | more, metrics, description="**found**")


def test_a_run_of_its_own_holds_the_numbers_that_are_known_the_settings_and_what_identifies_it(
    store: str, files: Path
) -> None:
    run = record_study(recorded(), files)
    read = MlflowClient(store).get_run(run.run_id)
    assert (read.info.run_name, read.info.status) == ("study correlate", "FINISHED")
    assert read.data.metrics == {"study_correlate/spearman/keyword": 0.71, "study_correlate/p_of_all": 0.5}
    assert read.data.params == {
        "study_correlate.seed": "0",
        "study_correlate.window.from_step": "1",
        "study_correlate.window.chosen": "false",
        "study_correlate.counts.runs": "2",
        "study_correlate.counts.checkpoints": "14",
        "study_correlate.counts.tests": "18",
    }
    tags = read.data.tags
    assert tags["mlflow_rank.study"] == "correlate"
    assert tags["mlflow_rank.study.correlate"] == digest_of(document())
    assert tags["mlflow_rank.study.correlate.conventions_digest"] == digest_of(document()["conventions"])
    assert tags["mlflow.note.content"] == "**found**"
    assert "mlflow_rank.version" in tags


def test_its_files_lie_in_a_folder_of_its_sort(store: str, files: Path, tmp_path: Path) -> None:
    run = record_study(recorded(), files)
    local = Path(MlflowClient(store).download_artifacts(run.run_id, "mlflow_rank/study_correlate", str(tmp_path)))
    assert json.loads((local / "study.json").read_text()) == document()
    assert (local / "tables" / "within.csv").read_bytes() == b"a\r\n1\r\n"


def test_a_run_that_is_given_holds_one_study_of_each_sort_beside_what_it_has_and_goes_on(
    store: str, files: Path, make_measurement: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = MlflowClient(store)
    given = client.create_run(client.create_experiment("a project of studies")).info.run_id
    client.set_tag(given, "mlflow.note.content", "ours")
    monkeypatch.setenv("MLFLOW_RUN_ID", given)
    record_measurement(make_measurement())
    first, other = record_study(recorded(), files), record_study(recorded("predict"), files)
    again = record_study(recorded(seed=1), files)

    assert first.run_id == other.run_id == given
    assert client.get_run(again.run_id).data.tags["mlflow.parentRunId"] == given
    read = client.get_run(given)
    assert read.info.status == "RUNNING"
    assert read.data.tags["mlflow_rank.study"] == "correlate, predict"
    assert read.data.tags["mlflow.note.content"] == "ours"
    assert {"rank_frame/layer_00", "study_correlate/spearman/keyword", "study_predict/spearman/keyword"} <= set(
        read.data.metrics
    )
    folders = {entry.path for entry in client.list_artifacts(given, "mlflow_rank") if entry.is_dir}
    assert folders == {"mlflow_rank/study_correlate", "mlflow_rank/study_predict"}


def test_a_store_that_is_none_is_exit_3_and_names_where_the_results_are(files: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_bytes(b"no database" * 100)
    with pytest.raises(MeasurementError) as raised:
        record_study(
            recorded(),
            files,
            destination=Destination(f"sqlite:///{tmp_path / 'broken.db'}"),
            kept_at=Path("mlflow_rank_results/study_correlate"),
        )
    assert raised.value.exit_code == 3
    assert "the results are kept at mlflow_rank_results/study_correlate" in raised.value.what


def test_a_document_with_a_number_that_is_none_makes_no_run(store: str, files: Path) -> None:
    client = MlflowClient(store)
    experiment = client.create_experiment("none is made")
    with pytest.raises(UsageError):
        record_study(recorded(p=math.nan), files, destination=Destination(experiment="none is made"))
    assert client.search_runs([experiment]) == []
