"""Which bytes a model is: its directory as it lies there, or what it is exported as."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mlflow_rank.encoders.export import export_encoder
from mlflow_rank.encoders.load import load_encoder
from mlflow_rank.errors import EvidenceError, UsageError
from mlflow_rank.evidence.file_manifest import file_manifest
from mlflow_rank.registry.runs.resolve import ResolvedModel
from mlflow_rank.workflow import model_files
from mlflow_rank.workflow.model_files import directory_of, files_digest, hashed
from mlflow_rank.workflow.progress import Silence

LISTENER = "module:listeners:plain"


class Told(Silence):
    """What was said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.total = self.done = 0.0

    def say(self, text: str) -> None:
        self.said.append(text)

    def begin(self, title: str, total: float) -> None:
        self.said.append(title)
        self.total = total

    def advance(self, amount: float) -> None:
        self.done += amount


@pytest.fixture
def digest(listeners: pytest.MonkeyPatch) -> Callable[..., tuple[str | None, list[str]]]:
    """The digest of a spec's files, and what was said."""

    def of(spec: str, resolved: ResolvedModel | None = None) -> tuple[str | None, list[str]]:
        told = Told()
        layers = "blocks.*" if "listeners" in spec else None
        return files_digest(resolved or ResolvedModel(spec, spec), load_encoder(spec, layers=layers), told), told.said

    return of


def exported(spec: str, into: Path) -> str:
    export_encoder(load_encoder(spec, layers="blocks.*" if "listeners" in spec else None), into)
    return file_manifest(into).digest


# directories


def test_a_checkpoint_is_its_files_as_they_lie_there(digest: Callable[..., object], tiny_hubert: Path) -> None:
    assert digest(str(tiny_hubert)) == (file_manifest(tiny_hubert).digest, [])


def test_one_more_file_in_a_checkpoint_is_another_model(
    digest: Callable[..., tuple[str | None, object]], tiny_hubert: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(tiny_hubert, tmp_path / "copy"))
    same, _ = digest(str(copy))
    (copy / "notes.txt").write_text("trained again")

    assert same == digest(str(tiny_hubert))[0]
    assert digest(str(copy))[0] == file_manifest(copy).digest != same


def test_a_model_in_mlflow_is_all_its_files_not_only_the_encoder(
    digest: Callable[..., tuple[str | None, object]], tiny_hubert: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_hubert, tmp_path / "model" / "encoder")
    (tmp_path / "model" / "MLmodel").write_text("flavors: {}")
    resolved = ResolvedModel("models:/encoder/1", str(tmp_path / "model" / "encoder"), files=tmp_path / "model")

    assert digest(str(tiny_hubert), resolved)[0] == file_manifest(tmp_path / "model").digest


def test_links_in_a_directory_are_no_files_so_what_is_exported_counts(
    digest: Callable[..., tuple[str | None, list[str]]], tiny_hubert: Path, tmp_path: Path
) -> None:
    linked = tmp_path / "snapshot"
    linked.mkdir()
    for path in tiny_hubert.iterdir():
        (linked / path.name).symlink_to(path)

    found, said = digest(str(linked))

    assert found == exported(str(linked), tmp_path / "exported")
    assert ["so evidence is about the encoder as exported" in each for each in said] == [True]


# what has no files of its own


@pytest.mark.parametrize("spec", [LISTENER, f"random:{LISTENER}"])
def test_what_is_no_directory_is_bound_to_its_export_the_same_each_time(
    digest: Callable[..., tuple[str | None, list[str]]], tmp_path: Path, spec: str
) -> None:
    found, said = digest(spec)

    assert found == digest(spec)[0] == exported(spec, tmp_path / "exported")
    assert said == []


def test_a_hub_s_id_is_bound_to_its_export(tiny_hubert: Path, tmp_path: Path) -> None:
    encoder = load_encoder(str(tiny_hubert))
    export_encoder(encoder, tmp_path / "exported")

    found = files_digest(ResolvedModel("lab/tiny", "lab/tiny"), encoder, Silence())

    assert found == file_manifest(tmp_path / "exported").digest


def test_random_weights_are_no_checkpoint_s_files(
    digest: Callable[..., tuple[str | None, object]], tiny_hubert: Path
) -> None:
    assert digest(f"random:{tiny_hubert}")[0] not in (None, digest(str(tiny_hubert))[0])


def test_log_mel_features_are_no_files(digest: Callable[..., object]) -> None:
    assert digest("log-mel") == (None, [])


def test_a_hub_s_id_stands_for_no_directory_and_the_starter_encoder_for_its_own(tmp_path: Path) -> None:
    def directory(spec: str) -> Path | None:
        return directory_of(ResolvedModel(spec, spec))

    starter = directory("starter")
    assert starter is not None
    assert (starter / "config.json").is_file()
    assert directory(str(tmp_path)) == tmp_path
    for spec in ("lab/no-such-model", f"random:{tmp_path}", "torchaudio:HUBERT_BASE", LISTENER, "log-mel"):
        assert directory(spec) is None


# hashing


def test_hashing_shows_how_far_it_is_where_it_takes_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    told, quick = Told(), Told()

    small = hashed(tmp_path, quick)
    monkeypatch.setattr(model_files, "WORTH_A_BAR", 1e6)
    large = hashed(tmp_path, told)

    assert small == large
    assert quick.said == []
    assert (told.said, told.total, told.done) == (["hashing files"], 3_000_000, 3_000_000)


def test_what_cannot_be_hashed_is_an_error_that_says_why(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "file").symlink_to("nowhere")

    with pytest.raises(UsageError, match="cannot be read"):
        hashed(tmp_path / "none", Silence())
    with pytest.raises(EvidenceError, match="holds no file"):
        hashed(tmp_path / "empty", Silence())
    with pytest.raises(EvidenceError, match="only files"):
        hashed(tmp_path / "linked", Silence())
