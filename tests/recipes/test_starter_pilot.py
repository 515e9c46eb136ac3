from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from mlflow_rank.encoders.load import load_encoder
from mlflow_rank.encoders.specs import STARTER
from recipes.starter_pilot.__main__ import SETS, beside_controls, choices, requests, spoilt_rows
from recipes.starter_pilot.spoilt import WEIGHTS, write_spoilt

MODULES = Path(__file__).parents[1] / "modules"


def test_a_spoilt_encoder_has_every_value_and_none_in_its_place(tmp_path):
    write_spoilt(STARTER, tmp_path / "spoilt")

    whole, spoilt = load_file(STARTER / WEIGHTS), load_file(tmp_path / "spoilt" / WEIGHTS)
    assert set(whole) == set(spoilt)
    moved = 0
    for name, tensor in whole.items():
        np.testing.assert_array_equal(np.sort(tensor, axis=None), np.sort(spoilt[name], axis=None))
        moved += int((tensor != spoilt[name]).sum())
    assert moved > 0.99 * sum(tensor.size for tensor in whole.values() if np.unique(tensor).size > 1)
    encoder = load_encoder(str(tmp_path / "spoilt"), device="cpu")
    assert encoder.digest != load_encoder("starter", device="cpu").digest


def test_each_task_has_a_line_in_each_table(monkeypatch):
    monkeypatch.syspath_prepend(MODULES)
    from pilots import pilot

    document = pilot(tasks=("keyword", "label:kind"), layers=3)

    assert sum("keyword" in line for line in beside_controls(document)) == 2  # in domain and out of it
    assert [line.split("|")[1].strip() for line in choices(document)[2:]] == ["keyword", "label:kind"]
    assert [line.split("|")[1].strip() for line in spoilt_rows(document)[2:]] == ["keyword", "label:kind"]
    for table in (beside_controls(document), choices(document), spoilt_rows(document)):
        assert len({line.count("|") for line in table}) == 1


def test_the_study_pilots_every_labelled_set_with_the_defaults():
    assert [request.task for request in requests()] == list(SETS)
    assert {request.against for request in requests(against="starter")} == {"starter"}
