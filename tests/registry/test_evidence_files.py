"""Evidence in MLflow: written into the run that made it, and found again from a model version."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlflow_rank.errors import MeasurementError, UsageError
from mlflow_rank.registry.runs.evidence_files import (
    evidence_of_version,
    holder_of,
    log_evidence,
    registered_models,
    version_of,
)
from mlflow_rank.registry.runs.flavor import LoggedEncoder
from mlflow_rank.registry.runs.pilot_run import record_pilot
from mlflow_rank.registry.runs.run_claim import Destination, RecordedRun
from mlflow_rank.registry.runs.tracking import record_measurement

Document = dict[str, Any]
Logged = tuple[RecordedRun, LoggedEncoder]


@pytest.fixture(scope="module")
def store_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of its own: models are registered here, which other tests would find in theirs."""
    return tmp_path_factory.mktemp("evidence")


@pytest.fixture
def client(store: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(store)


def about(document: Document, files: str) -> Document:
    return document | {"model": document["model"] | {"files_digest": files}}


# written


def test_evidence_is_an_artifact_of_the_run_byte_for_byte(client: Any, logged: Logged, tmp_path: Path) -> None:
    run, _ = logged

    log_evidence({"one.dsse.json": b"one", "two.dsse.json": b"two"}, run)

    paths = [each.path for each in client.list_artifacts(run.run_id, "mlflow_rank/evidence")]
    assert paths == ["mlflow_rank/evidence/one.dsse.json", "mlflow_rank/evidence/two.dsse.json"]
    assert [Path(client.download_artifacts(run.run_id, path, str(tmp_path))).read_bytes() for path in paths] == [
        b"one", b"two",
    ]  # fmt: skip


def test_evidence_that_a_store_does_not_take_is_said_to_be_kept(tmp_path: Path) -> None:
    gone = RecordedRun("run", "0", "http://127.0.0.1:1")

    with pytest.raises(MeasurementError, match=f"the evidence is kept at {tmp_path}"):
        log_evidence({"one.dsse.json": b"one"}, gone, kept_at=tmp_path)


# found


def test_a_version_has_the_evidence_of_its_run(client: Any, logged: Logged) -> None:
    run, encoder = logged
    log_evidence({"one.dsse.json": b"one", "two.dsse.json": b"two"}, run)

    assert evidence_of_version(client, version_of(client, "tiny", "1"), encoder.files_digest) == [b"one", b"two"]


def test_a_version_has_the_evidence_of_every_run_that_heard_its_files(
    client: Any, logged: Logged, make_measurement: Callable[..., Document], make_pilot: Callable[..., Document]
) -> None:
    _, encoder = logged
    other = f"sha256:{'9' * 64}"
    elsewhere = Destination(experiment="elsewhere")
    heard = record_pilot(about(make_pilot(), encoder.files_digest), destination=elsewhere)
    again = record_measurement(about(make_measurement(), encoder.files_digest), destination=Destination(step=7))
    stray = record_measurement(about(make_measurement(), other))
    for run, said in ((heard, b"heard"), (again, b"again"), (stray, b"stray")):
        log_evidence({"pilot.dsse.json": said}, run)

    found = evidence_of_version(client, version_of(client, "tiny", "1"), encoder.files_digest)

    assert {b"heard", b"again"} <= set(found)
    assert b"stray" not in found
    client.delete_run(heard.run_id)
    client.delete_run(again.run_id)


def test_what_is_there_twice_is_found_once_and_what_is_no_evidence_not_at_all(client: Any, logged: Logged) -> None:
    run, encoder = logged
    log_evidence({"one.dsse.json": b"one", "two.dsse.json": b"one", "notes.txt": b"nothing"}, run)

    assert evidence_of_version(client, version_of(client, "tiny", "1"), encoder.files_digest) == [b"one"]


@pytest.mark.parametrize("run_id", ["", "0" * 32])
def test_a_version_whose_run_is_gone_has_none_of_its_evidence(
    client: Any, logged: Logged, store_directory: Path, run_id: str
) -> None:
    files = store_directory / "files"
    files.mkdir(exist_ok=True)
    version = client.create_model_version("tiny", str(files))
    version._run_id = run_id

    assert evidence_of_version(client, version, f"sha256:{'0' * 64}") == []


def test_a_store_that_does_not_answer_is_said(client: Any, logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.exceptions import MlflowException

    def fail(*_: object, **__: object) -> None:
        raise MlflowException("the disk is full")

    version = version_of(client, "tiny", "1")
    monkeypatch.setattr(client, "list_artifacts", fail)

    with pytest.raises(MeasurementError, match="MLflow cannot be used"):
        evidence_of_version(client, version, logged[1].files_digest)


# who is there


def test_a_target_points_at_a_version_or_at_none(client: Any, logged: Logged) -> None:
    client.set_registered_model_alias("tiny", "Champion", "1")

    assert holder_of(client, "tiny", "alias:champion").version == version_of(client, "tiny", "1").version
    assert holder_of(client, "tiny", "alias:challenger") is None
    assert holder_of(client, "tiny", "stage:Production") is None


@pytest.mark.filterwarnings("ignore:.*transition_model_version_stage.*:FutureWarning")
def test_a_stage_points_at_a_version_as_well(client: Any, logged: Logged) -> None:
    client.transition_model_version_stage("tiny", "1", "Production")

    holder = holder_of(client, "tiny", "stage:Production")

    assert holder is not None
    assert (holder.name, str(holder.version)) == ("tiny", "1")
    client.transition_model_version_stage("tiny", "1", "None")


@pytest.mark.parametrize(("name", "number"), [("tiny", "99"), ("nobody", "1")])
def test_a_version_that_is_not_there_is_a_wrong_call(client: Any, logged: Logged, name: str, number: str) -> None:
    with pytest.raises(UsageError, match=f"there is no version {number} of '{name}'"):
        version_of(client, name, number)


def test_every_registered_model_is_listed_page_after_page_and_no_prompt(
    client: Any, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlflow_rank.registry.runs.evidence_files._AT_ONCE", 2)
    client.set_registered_model_alias("tiny", "challenger", "1")
    for name in ("horn", "siren", "whistle"):
        client.create_registered_model(name)
    client.register_prompt("a-prompt", "Say it again.")

    found = dict(registered_models(client))

    assert {"horn", "siren", "tiny", "whistle"} <= set(found)
    assert "challenger" in found["tiny"]
    assert "a-prompt" not in found
