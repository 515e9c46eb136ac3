"""Files on S3, by a server that speaks its protocol, and in other stores: hashed as they come, and watched."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from buckets import bucket

from mlflow_rank.errors import EvidenceError
from mlflow_rank.evidence.file_manifest import file_manifest
from mlflow_rank.registry.files import remote_bytes, remote_files
from mlflow_rank.registry.files.remote_bytes import SlowStoreError, remote_manifest, remote_state
from mlflow_rank.registry.files.version_bytes import Source, files_digest, state_of

ROOT = "s3://models/1/run/artifacts"
MODEL = f"{ROOT}/model"
SOURCE = Source(MODEL, MODEL, "run")
CLIENT: Any = SimpleNamespace(get_run=lambda _: SimpleNamespace(info=SimpleNamespace(artifact_uri=ROOT)))


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """A client of a server that speaks S3's protocol, which MLflow speaks to as well; a bucket `models` in it."""
    with bucket("models") as client:
        yield client


@pytest.fixture
def model(s3: Any, tmp_path: Path) -> Path:
    """A model on this machine, and the same files at MODEL."""
    directory = tmp_path / "model"
    (directory / "deeper").mkdir(parents=True)
    (directory / "weights").write_bytes(bytes(3_000_000))
    (directory / "deeper" / "config ü.json").write_bytes(b"{}")
    for each in s3.list_objects_v2(Bucket="models").get("Contents", ()):
        s3.delete_object(Bucket="models", Key=each["Key"])
    for path in directory.rglob("*"):
        if path.is_file():
            put(s3, path.relative_to(directory).as_posix(), path.read_bytes())
    put(s3, "deeper/", b"")  # as the consoles of some stores make folders
    s3.put_object(Bucket="models", Key="1/run/artifacts/model-of-another/weights", Body=b"other")
    return directory


def put(s3: Any, name: str, data: bytes) -> None:
    s3.put_object(Bucket="models", Key=f"1/run/artifacts/model/{name}", Body=data)


def test_files_on_s3_have_the_digest_of_the_same_files_here(model: Path) -> None:
    assert files_digest(SOURCE, CLIENT) == file_manifest(model).digest


def test_what_the_server_keeps_on_s3_for_its_clients_is_read_there(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_MLFLOW_SERVER_ARTIFACT_DESTINATION", "s3://models")
    root = "mlflow-artifacts:/1/run/artifacts"
    client: Any = SimpleNamespace(get_run=lambda _: SimpleNamespace(info=SimpleNamespace(artifact_uri=root)))

    proxied = Source(f"{root}/model", f"{root}/model", "run")

    assert files_digest(proxied, client) == file_manifest(model).digest
    assert state_of(proxied) == state_of(SOURCE)


def test_another_byte_in_an_object_gives_another_digest(s3: Any, model: Path) -> None:
    put(s3, "deeper/config ü.json", b"[]")

    assert files_digest(SOURCE, CLIENT) != file_manifest(model).digest


def test_nothing_that_is_read_from_s3_is_written_to_a_disk(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(model / "there is no such directory"))

    assert files_digest(SOURCE, CLIENT) == file_manifest(model).digest


@pytest.mark.parametrize(
    ("location", "said"),
    [(f"{ROOT}/nothing", "no file"), ("s3://no-such-bucket/1/run/artifacts/model", "cannot be read")],
)
def test_files_that_are_not_there_are_no_evidence(s3: Any, location: str, said: str) -> None:
    root = location.rpartition("/")[0]
    client: Any = SimpleNamespace(get_run=lambda _: SimpleNamespace(info=SimpleNamespace(artifact_uri=root)))

    with pytest.raises(EvidenceError, match=said):
        files_digest(Source(location, location, "run"), client)


def test_an_object_that_is_overwritten_while_it_is_read_is_refused(s3: Any, model: Path) -> None:
    files = remote_files.files_at(MODEL)
    listed = next(each for each in files.listed() if each.path == "deeper/config ü.json")
    put(s3, listed.path, b"[]")

    with pytest.raises(EvidenceError, match="changed while it was read"):
        list(files.blocks(listed))


def test_every_write_to_s3_changes_the_state_also_one_of_the_same_size(s3: Any, model: Path) -> None:
    states = [state_of(SOURCE), state_of(SOURCE)]
    put(s3, "deeper/config ü.json", b"[]")
    states.append(state_of(SOURCE))
    put(s3, "added", b"")
    states.append(state_of(SOURCE))
    s3.delete_object(Bucket="models", Key="1/run/artifacts/model/added")
    states.append(state_of(SOURCE))

    assert states[0] == states[1] != states[2] == states[4] != states[3]
    assert None not in states


@pytest.mark.parametrize("name", ["../../other", "a//b", "a/./b", "a/../b", "/a"])
def test_a_key_that_leads_elsewhere_is_refused(s3: Any, model: Path, name: str) -> None:
    put(s3, name, b"x")

    with pytest.raises(EvidenceError, match="not such as can be hashed") as caught:
        files_digest(SOURCE, CLIENT)
    assert "lead to nowhere else" in str(caught.value.expected)
    assert state_of(SOURCE) is None


@dataclass
class Shelf:
    """A store that holds what it is told, and says of each file what size it likes."""

    files: dict[str, bytes]
    sizes: dict[str, int] = field(default_factory=dict)
    fetched: list[Path] = field(default_factory=list)

    def list_artifacts(self, folder: str | None) -> list[Any]:
        below = f"{folder}/" if folder else ""
        names = {path.removeprefix(below).split("/")[0] for path in self.files if path.startswith(below)}
        return [self.info(below + name) for name in sorted(names)]

    def info(self, path: str) -> Any:
        is_dir = path not in self.files
        size = None if is_dir else self.sizes.get(path, len(self.files[path]))
        return SimpleNamespace(path=path, is_dir=is_dir, file_size=size)

    def download_artifacts(self, path: str, folder: str) -> str:
        assert not any(each.exists() for each in self.fetched), "the file before this one was not dropped"
        self.fetched.append(Path(folder) / "file")
        self.fetched[-1].write_bytes(self.files[path])
        return str(self.fetched[-1])


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """What MLflow finds at every address."""
    made = Shelf({"weights": b"abc", "deeper/config.json": b"{}"})
    monkeypatch.setattr("mlflow.store.artifact.artifact_repository_registry.get_artifact_repository", lambda _: made)
    return made


def test_another_store_is_fetched_file_by_file_and_gives_the_same_digest(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    for name, data in shelf.files.items():
        (tmp_path / name).write_bytes(data)

    assert remote_manifest("gs://bucket/model").digest == file_manifest(tmp_path).digest
    assert len(shelf.fetched) == 2
    assert not any(each.exists() for each in shelf.fetched)


def test_a_change_of_size_in_another_store_changes_the_state(shelf: Shelf) -> None:
    before = remote_state("gs://bucket/model")
    shelf.files["deeper/config.json"] = b"{ }"

    assert remote_state("gs://bucket/model") != before


def test_a_file_that_is_not_as_long_as_listed_is_refused(shelf: Shelf) -> None:
    shelf.sizes["weights"] = 4

    with pytest.raises(EvidenceError, match="not such as can be hashed") as caught:
        remote_manifest("gs://bucket/model")
    assert "a listing that says 4" in str(caught.value.got)


@pytest.mark.parametrize(("limit", "at_most"), [("MOST_FILES", 1), ("MOST_BYTES", 4)])
def test_more_than_the_limits_is_refused_before_anything_is_fetched(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, limit: str, at_most: int
) -> None:
    monkeypatch.setattr(remote_bytes, limit, at_most)

    with pytest.raises(EvidenceError, match="not such as can be hashed") as caught:
        remote_manifest("gs://bucket/model")
    assert f"more than {at_most}" in str(caught.value.got)
    assert "a directory that holds the model only" in str(caught.value.remedy)
    assert shelf.fetched == []


def test_more_bytes_than_the_limit_are_refused_also_where_no_size_is_listed(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_bytes, "MOST_BYTES", 4)
    monkeypatch.setattr(Shelf, "info", lambda self, path: SimpleNamespace(
        path=path, is_dir=path not in self.files, file_size=None
    ))  # fmt: skip

    with pytest.raises(EvidenceError, match="not such as can be hashed"):
        remote_manifest("gs://bucket/model")


def test_folders_without_end_are_refused(shelf: Shelf) -> None:
    shelf.files = {"deeper/" * 40 + "file": b""}

    with pytest.raises(EvidenceError, match="too deep"):
        remote_manifest("gs://bucket/model")


def test_a_store_that_hangs_is_given_up_with_a_word_to_try_again(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.exceptions import MlflowException

    never = Event()
    monkeypatch.setattr(Shelf, "list_artifacts", lambda *_: never.wait(60))
    try:
        with pytest.raises(SlowStoreError, match=r"within 0\.05 s"):
            remote_state("gs://bucket/model", 0.05)
        monkeypatch.setattr(remote_bytes.remote_state, "__defaults__", (0.05,))
        with pytest.raises(MlflowException, match="nothing was changed, try again") as caught:
            state_of(Source("gs://bucket/model", "gs://bucket/model", None))
        assert caught.value.error_code == "TEMPORARILY_UNAVAILABLE"
    finally:
        never.set()
