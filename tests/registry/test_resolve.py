from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from mlflow_rank.encoders.load import load_encoder
from mlflow_rank.errors import UsageError
from mlflow_rank.registry.runs.flavor import LoggedEncoder
from mlflow_rank.registry.runs.resolve import ResolvedModel, find_encoder, resolve_model
from mlflow_rank.registry.runs.tracking import RecordedRun

Logged = tuple[RecordedRun, LoggedEncoder]


@pytest.fixture
def addresses(logged: Logged, store: str) -> dict[str, str]:
    run, model = logged
    MlflowClient(store).set_registered_model_alias("tiny", "champion", str(model.version))
    return {
        "version": f"models:/tiny/{model.version}",
        "alias": "models:/tiny@champion",
        "logged model": model.model_uri,
        "run": f"runs:/{run.run_id}/encoder",
    }


@pytest.mark.parametrize("kind", ["version", "alias", "logged model", "run"])
def test_every_form_of_address_gives_the_encoder_that_was_logged(
    addresses: dict[str, str], logged: Logged, kind: str, tiny_encoder: Path, tmp_path: Path
) -> None:
    resolved = resolve_model(addresses[kind], into=tmp_path)
    assert load_encoder(resolved.loadable).digest == load_encoder(str(tiny_encoder)).digest
    assert resolved.run_id == logged[0].run_id
    named = ("tiny", logged[1].version) if kind in ("version", "alias") else (None, None)
    assert (resolved.name, resolved.version) == named


def test_a_model_on_this_machine_is_read_where_it_lies(addresses: dict[str, str], tmp_path: Path) -> None:
    resolve_model(addresses["version"], into=tmp_path / "unused")
    assert not (tmp_path / "unused").exists()


def test_random_weights_of_a_registered_model_are_asked_for_by_prefix(
    addresses: dict[str, str], tmp_path: Path
) -> None:
    plain = resolve_model(addresses["alias"], into=tmp_path)
    for prefix in ("random:", "shuffled:"):
        other = resolve_model(f"{prefix}{addresses['alias']}", into=tmp_path)
        assert (other.loadable, other.files) == (f"{prefix}{plain.loadable}", None)


@pytest.mark.parametrize("spec", ["starter", "facebook/hubert-base-ls960", "./models/x", "random:starter"])
def test_what_is_not_mlflows_passes_through(spec: str, tmp_path: Path) -> None:
    assert resolve_model(spec, into=tmp_path) == ResolvedModel(spec, spec)


@pytest.mark.parametrize(
    ("spec", "what", "expected"),
    [
        ("models:/tiny/999", "the registered model 'tiny' has no version 999", "version 1"),
        ("models:/none/1", "there is no registered model 'none' with versions", "one of tiny"),
        ("models:/none@x", "there is no registered model 'none' with versions", "one of tiny"),
        ("models:/tiny@gone", "the registered model 'tiny' has no alias 'gone'", "champion (version 1)"),
        ("runs:/abc/encoder", "there is no run abc", "a run in sqlite"),
        (f"models:/m-{'0' * 32}", f"there is no logged model m-{'0' * 32}", "the id of a model"),
        ("models:/tiny", "this MLflow address is not complete", "models:/NAME/VERSION"),
        ("models:/tiny/latest", "this MLflow address is not complete", "models:/NAME/VERSION"),
        ("runs:/abc", "this MLflow address is not complete", "models:/NAME/VERSION"),
    ],
)
def test_an_address_of_nothing_says_what_there_is(
    addresses: dict[str, str], spec: str, what: str, expected: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as raised:
        resolve_model(spec, into=tmp_path)
    assert raised.value.what == what
    assert str(raised.value.expected).startswith(expected)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_path_that_a_run_does_not_have_and_one_without_an_encoder_differ(
    logged: Logged, store: str, tmp_path: Path
) -> None:
    run_id = logged[0].run_id
    with pytest.raises(UsageError, match="cannot be fetched"):
        resolve_model(f"runs:/{run_id}/elsewhere", into=tmp_path)
    with pytest.raises(UsageError, match=f"there is no encoder in runs:/{run_id}/mlflow_rank") as raised:
        resolve_model(f"runs:/{run_id}/mlflow_rank", into=tmp_path)
    assert raised.value.got == "layers.parquet, measurement.json, skipped.jsonl"


def test_a_folder_in_transformers_form_is_found_with_its_preprocessor_kept_apart(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    logged_by_transformers = tmp_path / "logged"
    shutil.copytree(tiny_encoder, logged_by_transformers / "model")
    (logged_by_transformers / "model" / "encoder.json").unlink()
    apart = logged_by_transformers / "components" / "feature_extractor"
    apart.mkdir(parents=True)
    (logged_by_transformers / "model" / "preprocessor_config.json").rename(apart / "preprocessor_config.json")
    found = find_encoder(logged_by_transformers, into=tmp_path / "into", named="models:/x/1")
    assert json.loads((found / "preprocessor_config.json").read_text())["sampling_rate"] == 16000
    assert load_encoder(str(found)).digest == load_encoder(str(tiny_encoder)).digest


def test_a_pickled_model_is_not_an_encoder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "model.pth").write_bytes(b"\x80\x04.")
    (tmp_path / "MLmodel").write_text("flavors: {pytorch: {}}")
    with pytest.raises(UsageError) as raised:
        find_encoder(tmp_path, into=tmp_path, named="models:/x/1")
    assert raised.value.got == "MLmodel, data"
