from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from mlflow_rank.cli import main

Document = dict[str, Any]


@dataclass(frozen=True)
class Registered:
    """What `measure --register tiny --control` left, and the directory it was called in."""

    directory: Path
    document: Document
    said: str


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory, tiny_hubert: Path, recordings: Path) -> Iterator[Registered]:
    with pytest.MonkeyPatch.context() as patch:
        directory = tmp_path_factory.mktemp("registered")
        for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
            patch.delenv(name)
        patch.setenv("MLFLOW_RANK_CACHE", str(directory / "cache"))
        patch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
        patch.chdir(directory)
        words = ["--model", tiny_hubert, "--audio", recordings, "--control", "--register", "tiny"]
        result = CliRunner().invoke(main, ["measure", *map(str, words), "--json", "ranks.json", "--run-name", "first"])
        assert result.exit_code == 0, result.output
        yield Registered(directory, json.loads(Path("ranks.json").read_text()), result.stderr)


def test_the_command_says_where_to_look(registered: Registered) -> None:
    assert "registered as models:/tiny/1" in registered.said
    assert "to see it: mlflow ui" in registered.said


def test_the_registered_encoder_gives_an_embedding_for_each_utterance_and_layer(registered: Registered) -> None:
    import mlflow
    import pandas as pd

    model = mlflow.pyfunc.load_model("models:/tiny/1")
    waveforms = np.random.default_rng(0).normal(size=(2, 1600)) * 0.1

    embeddings = model.predict(pd.DataFrame({"audio": list(waveforms)}))

    assert list(embeddings.columns) == ["layer_00", "layer_01", "layer_02"]
    assert embeddings.shape == (2, 3)
    assert {len(cell) for cell in embeddings.to_numpy().ravel()} == {8}


def test_what_was_registered_measures_the_same_again(registered: Registered, recordings: Path) -> None:
    words = ["--model", "models:/tiny/1", "--audio", str(recordings), "--json", "-", "--no-mlflow"]

    again = json.loads(CliRunner().invoke(main, ["measure", *words]).stdout)

    assert again["model"]["digest"] == registered.document["model"]["digest"]
    assert again["model"]["spec"] == "models:/tiny/1"
    assert again["audio"]["corpus_digest"] == registered.document["audio"]["corpus_digest"]
    assert again["ranks"] == registered.document["ranks"]


def test_the_run_holds_metrics_of_the_encoder_and_of_the_control_with_all_files(registered: Registered) -> None:
    from mlflow import MlflowClient

    client = MlflowClient()
    (version,) = client.search_model_versions("name = 'tiny'")
    run = client.get_run(version.run_id)
    files = {Path(each.path).name for each in client.list_artifacts(version.run_id, "mlflow_rank")}

    assert run.info.run_name == "first"
    assert run.info.status == "FINISHED"
    expected = rank(registered.document, layer=2, level="frame")["corrected"]
    assert run.data.metrics["rank_frame/layer_02"] == pytest.approx(expected, rel=1e-12)
    random = {name for name in run.data.metrics if "random" in name}
    assert random == {
        f"rank_{level}_random/layer_{layer:02d}" for level in ("frame", "utterance") for layer in (0, 1, 2)
    }
    assert files == {
        "measurement.json", "control.json", "layers.parquet", "skipped.jsonl", "rank_by_layer.svg", "rank_by_layer.png",
        "evidence",
    }  # fmt: skip
    assert [each.dataset.name for each in run.inputs.dataset_inputs] == ["recordings"]


def test_measuring_again_makes_a_run_of_its_own(registered: Registered, tiny_hubert: Path, recordings: Path) -> None:
    from mlflow import MlflowClient

    words = ["--model", str(tiny_hubert), "--audio", str(recordings), "--layers", "2"]
    assert CliRunner().invoke(main, ["measure", *words]).exit_code == 0

    client = MlflowClient()
    experiment = client.get_experiment_by_name("mlflow_rank")
    assert experiment is not None
    latest, first = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time DESC"])
    assert "rank_frame/layer_01" in first.data.metrics
    assert "rank_frame/layer_01" not in latest.data.metrics


def rank(document: Document, *, layer: int, level: str) -> Document:
    (row,) = (
        row
        for row in document["ranks"]
        if (row["layer"], row["level"], row["metric"], row["centred"]) == (layer, level, "effective_rank", True)
    )
    return row
