"""Whose the files of a version are, and what they are now: only files of its own run or model count."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mlflow_rank.errors import EvidenceError
from mlflow_rank.evidence.file_manifest import file_manifest
from mlflow_rank.registry.version_bytes import Source, files_digest, refuse_foreign

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


def test_a_store_elsewhere_is_fetched_file_by_file_and_gives_the_same_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

    from mlflow_rank.registry import version_bytes

    model = tmp_path / "model"
    (model / "deeper").mkdir(parents=True)
    (model / "deeper" / "weights").write_bytes(b"abc")
    (model / "config.json").write_bytes(b"{}")
    fetched: list[str] = []

    class Elsewhere(LocalArtifactRepository):  # type: ignore[misc]
        """A store of which every file must be downloaded, as of S3."""

        def download_artifacts(self, artifact_path: str, dst_path: str | None = None) -> str:
            kept = list(Path(str(dst_path)).rglob("*.part"))
            assert not kept, "the file before this one was not dropped"
            fetched.append(artifact_path)
            target = Path(str(dst_path)) / f"{len(fetched)}.part"
            target.write_bytes((model / artifact_path).read_bytes())
            return str(target)

    monkeypatch.setattr(
        "mlflow.store.artifact.artifact_repository_registry.get_artifact_repository", lambda _: Elsewhere(str(model))
    )

    assert version_bytes._fetched("s3://bucket/model").digest == file_manifest(model).digest
    assert sorted(fetched) == ["config.json", "deeper/weights"]
