from __future__ import annotations

import json

import pytest
from safetensors.torch import load_file, save_file

from mlflow_rank.encoders.export import export_encoder
from mlflow_rank.encoders.load import load_encoder
from mlflow_rank.errors import UsageError


@pytest.fixture
def exported(hubert, tmp_path):
    export_encoder(load_encoder(str(hubert), layers="1-2", device="cpu"), tmp_path / "exported")
    return tmp_path / "exported"


def test_an_export_holds_no_pickle(exported):
    assert {file.suffix for file in exported.iterdir()} == {".json", ".safetensors"}


def test_an_export_keeps_its_layers_unless_others_are_asked_for(exported):
    assert [layer.index for layer in load_encoder(str(exported), device="cpu").layers] == [1, 2]
    assert [layer.index for layer in load_encoder(str(exported), layers="all", device="cpu").layers] == [0, 1, 2]


def test_an_export_of_an_export_still_names_the_first_origin(exported, hubert, tmp_path):
    again = load_encoder(str(exported), device="cpu")
    export_encoder(again, tmp_path / "second")
    assert load_encoder(str(tmp_path / "second"), device="cpu").describe()["exported_from"]["spec"] == str(hubert)


def test_random_weights_can_be_exported_and_stay_what_they_were(hubert, tmp_path):
    control = load_encoder(f"random:{hubert}", device="cpu", seed=3)
    export_encoder(control, tmp_path / "control")
    again = load_encoder(str(tmp_path / "control"), device="cpu")
    assert again.digest == control.digest
    assert again.describe()["exported_from"]["weights"] == "random"


def test_an_export_has_a_random_control_of_its_own(exported, hubert):
    control = load_encoder(f"random:{exported}", device="cpu", seed=2)
    assert control.digest == load_encoder(f"random:{hubert}", device="cpu", seed=2).digest


def test_changed_weights_are_refused(exported):
    weights = load_file(exported / "model.safetensors")
    weights["encoder.layers.0.layer_norm.bias"][0] += 1
    save_file(weights, exported / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UsageError, match="not those that were exported"):
        load_encoder(str(exported), device="cpu")


def test_a_directory_that_holds_something_is_left_alone(hubert, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        export_encoder(load_encoder(str(hubert), device="cpu"), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("change", [{"kind": "Other"}, {"form": "pickle"}, {"digest": ...}], ids=str)
def test_another_record_is_refused(exported, change):
    record = json.loads((exported / "encoder.json").read_text())
    record = {key: value for key, value in (record | change).items() if value is not ...}
    (exported / "encoder.json").write_text(json.dumps(record))
    with pytest.raises(UsageError, match="not the record of an exported encoder"):
        load_encoder(str(exported), device="cpu")
