"""Whose the files of a version are, and what they are now: only files of its own run or model count."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mlflow_rank.errors import EvidenceError
from mlflow_rank.evidence.file_manifest import file_manifest
from mlflow_rank.registry.files.version_bytes import Source, files_digest, refuse_foreign, state_of

RUN = "mlflow-artifacts:/1/run/artifacts"


@dataclass
class Records:
    """Runs, logged models and versions, as a client reads them."""

    runs: dict[str, str] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    versions: dict[str, tuple[str, str | None]] = field(default_factory=dict)

    def get_run(self, run_id: str) -> Any:
        from mlflow.exceptions import MlflowException

        if run_id not in self.runs:
            raise MlflowException(f"Run '{run_id}' not found")
        return SimpleNamespace(info=SimpleNamespace(artifact_uri=self.runs[run_id]), outputs=None)

    def get_logged_model(self, model_id: str) -> Any:
        return SimpleNamespace(artifact_location=self.models[model_id])

    def get_model_version(self, name: str, version: str) -> Any:
        source, run_id = self.versions[f"{name}/{version}"]
        return SimpleNamespace(source=source, run_id=run_id)


RECORDS: Any = Records({"r": RUN}, {"m-1": "s3://bucket/models/m-1/artifacts"}, {"a/1": ("models:/m-1", None)})


@pytest.mark.parametrize(
    "source",
    [
        Source(f"{RUN}/model", f"{RUN}/model", "r"),
        Source(RUN, RUN, "r"),
        Source("models:/m-1", "s3://bucket/models/m-1/artifacts", None),
        Source("models:/m-1", "S3://bucket/models/m-1/artifacts/deeper", "r"),
        Source("models:/a/1", "s3://bucket/models/m-1/artifacts", None),
    ],
)
def test_files_of_the_versions_own_run_or_model(source: Source) -> None:
    refuse_foreign(source, RECORDS)


@pytest.mark.parametrize(
    "location",
    [
        f"{RUN}-of-another/model",
        "mlflow-artifacts:/1/run",
        f"{RUN}/../../another/artifacts/model",
        f"{RUN}/%2e%2e/%2e%2e/another",
        f"{RUN}/%252e%252e/another",
        f"{RUN}/..%2f..%2fanother",
        f"{RUN}/..\\..\\another",
        "mlflow-artifacts://host/1/run/artifacts/model",
        "s3://bucket/1/run/artifacts/model",
        "file:///etc",
        "/etc",
        "",
    ],
)
def test_files_of_nobody_or_of_others(location: str) -> None:
    with pytest.raises(EvidenceError, match="not those of its run or model"):
        refuse_foreign(Source(location, location, "r"), RECORDS)


@pytest.mark.parametrize("run_id", [None, "gone"])
def test_files_of_no_run_that_is_known(run_id: str | None) -> None:
    with pytest.raises(EvidenceError, match="not those of its run or model"):
        refuse_foreign(Source(f"{RUN}/model", f"{RUN}/model", run_id), RECORDS)


def test_copies_that_point_at_one_another_end() -> None:
    records: Any = Records(versions={"a/1": ("models:/b/1", None), "b/1": ("models:/a/1", None)})

    with pytest.raises(EvidenceError, match="not those of its run or model"):
        refuse_foreign(Source("models:/a/1", "/etc", None), records)


def test_a_link_leads_out_of_the_runs_artifacts(tmp_path: Path) -> None:
    (tmp_path / "run" / "artifacts").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run" / "artifacts" / "model").symlink_to(tmp_path / "elsewhere")
    records: Any = Records({"r": str(tmp_path / "run" / "artifacts")})
    location = str(tmp_path / "run" / "artifacts" / "model")

    with pytest.raises(EvidenceError, match="not those of its run or model"):
        refuse_foreign(Source(location, location, "r"), records)


@pytest.mark.parametrize("as_uri", [False, True])
def test_a_local_directory_is_hashed_as_evidence_names_it(tmp_path: Path, as_uri: bool) -> None:
    model = tmp_path / "artifacts" / "my model"
    model.mkdir(parents=True)
    (model / "weights").write_bytes(b"abc")
    records: Any = Records({"r": (tmp_path / "artifacts").as_uri() if as_uri else str(tmp_path / "artifacts")})
    location = model.as_uri() if as_uri else str(model)

    assert files_digest(Source(location, location, "r"), records) == file_manifest(model).digest


def test_what_this_server_keeps_for_its_clients_is_read_where_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "1" / "run" / "artifacts" / "model"
    (model / "deeper").mkdir(parents=True)
    (model / "deeper" / "weights").write_bytes(b"abc")
    monkeypatch.setenv("_MLFLOW_SERVER_ARTIFACT_DESTINATION", str(tmp_path))

    assert files_digest(Source(f"{RUN}/model", f"{RUN}/model", "r"), RECORDS) == file_manifest(model).digest


@pytest.fixture
def allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place that the gate may read, as the environment says; beside it, `elsewhere`, which it may not."""
    for name in ("allowed", "elsewhere"):
        (tmp_path / name / "run" / "artifacts" / "model").mkdir(parents=True)
        (tmp_path / name / "run" / "artifacts" / "model" / "weights").write_bytes(b"abc")
    monkeypatch.setenv("MLFLOW_RANK_ARTIFACT_ROOTS", f"s3://models/mlflow, {tmp_path / 'allowed'}")
    return tmp_path / "allowed"


def of_run(root: Path | str) -> tuple[Source, Any]:
    """A version of a run whose artifacts lie at a root, as whoever made the experiment chose it."""
    return Source(f"{root}/model", f"{root}/model", "r"), Records({"r": str(root)})


def test_files_in_a_place_that_the_gate_may_read(allowed: Path) -> None:
    for root in (allowed / "run" / "artifacts", (allowed / "run" / "artifacts").as_uri()):
        source, records = of_run(root)
        assert files_digest(source, records) == file_manifest(allowed / "run" / "artifacts" / "model").digest
        assert state_of(source) is not None


@pytest.mark.parametrize("way", ["plain", "uri", "dots", "link", "prefix"])
def test_files_in_a_place_that_the_gate_may_not_read(allowed: Path, way: str) -> None:
    elsewhere = allowed.parent / "elsewhere" / "run" / "artifacts"
    (allowed / "link").symlink_to(elsewhere)
    longer = allowed.with_name("allowed and more")
    longer.symlink_to(elsewhere)
    source, records = of_run(
        {
            "plain": elsewhere,
            "uri": elsewhere.as_uri(),
            "dots": f"{allowed}/../elsewhere/run/artifacts",
            "link": allowed / "link",
            "prefix": longer,
        }[way]
    )

    with pytest.raises(EvidenceError, match="where the gate may not read") as caught:
        files_digest(source, records)
    assert caught.value.expected == f"within s3://models/mlflow or {allowed}"
    assert "MLFLOW_RANK_ARTIFACT_ROOTS" in str(caught.value.remedy)
    assert state_of(source) is None


@pytest.mark.parametrize(
    ("root", "fits"),
    [
        ("s3://models/mlflow/1/run/artifacts", True),
        ("s3://models/mlflow-of-another/1/run/artifacts", False),
        ("s3://models/1/run/artifacts", False),
        ("s3://others/mlflow/1/run/artifacts", False),
        ("gs://models/mlflow/1/run/artifacts", False),
        ("mlflow-artifacts:/1/run/artifacts", False),
    ],
)
@pytest.mark.usefixtures("allowed")
def test_addresses_within_a_prefix_that_the_gate_may_read(root: str, fits: bool) -> None:
    source, records = of_run(root)
    if fits:
        refuse_foreign(source, records)
        return
    with pytest.raises(EvidenceError, match="where the gate may not read"):
        refuse_foreign(source, records)


def test_a_whole_bucket_may_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_RANK_ARTIFACT_ROOTS", "s3://models")

    refuse_foreign(*of_run("s3://models/1/run/artifacts"))


def test_places_of_which_none_is_named_let_nothing_through(allowed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_RANK_ARTIFACT_ROOTS", " , ")

    with pytest.raises(EvidenceError, match="where the gate may not read"):
        refuse_foreign(*of_run(allowed / "run" / "artifacts"))


def test_what_this_server_keeps_counts_where_it_lies(allowed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, records = of_run("mlflow-artifacts:/run/artifacts")
    monkeypatch.setenv("_MLFLOW_SERVER_ARTIFACT_DESTINATION", str(allowed))
    assert files_digest(source, records) == file_manifest(allowed / "run" / "artifacts" / "model").digest

    monkeypatch.setenv("_MLFLOW_SERVER_ARTIFACT_DESTINATION", str(allowed.parent / "elsewhere"))
    with pytest.raises(EvidenceError, match="where the gate may not read"):
        files_digest(source, records)


@dataclass
class Remembered(Records):
    """Records of a store that has an address."""

    tracking_uri: str = "sqlite:///of-this-test"


def test_a_run_is_read_once_for_all_versions_of_it_but_never_for_another_workspace() -> None:
    from mlflow.utils.workspace_context import WorkspaceContext

    location = "mlflow-artifacts:/1/run/artifacts/model"
    source, records = Source(location, location, "r"), Remembered({"r": "mlflow-artifacts:/1/run/artifacts"})
    client: Any = records
    refuse_foreign(source, client)
    records.runs.clear()

    refuse_foreign(source, client)
    with WorkspaceContext("another"), pytest.raises(EvidenceError, match="not those of its run or model"):
        refuse_foreign(source, client)
    elsewhere = Source("/etc", "/etc", "r")
    with pytest.raises(EvidenceError, match="not those of its run or model"):
        refuse_foreign(elsewhere, client)
