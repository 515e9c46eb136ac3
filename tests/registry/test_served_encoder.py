from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import loaded_once
import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from mlflow import MlflowClient

from mlflow_rank.encoders.load import load_encoder
from mlflow_rank.errors import UsageError
from mlflow_rank.registry.runs.flavor import LoggedEncoder, log_encoder
from mlflow_rank.registry.runs.metric_names import metrics_of
from mlflow_rank.registry.runs.resolve import resolve_model
from mlflow_rank.registry.runs.tracking import Destination, RecordedRun, record_measurement

Make = Callable[..., dict[str, Any]]
Logged = tuple[RecordedRun, LoggedEncoder]


@pytest.fixture
def waveforms() -> list[np.ndarray[Any, Any]]:
    noise = np.random.default_rng(0)
    return [noise.uniform(-0.1, 0.1, samples).astype(np.float32) for samples in (3000, 1700)]


def test_embeddings_are_the_mean_of_each_layers_frames(
    logged: Logged, tiny_encoder: Path, waveforms: list[np.ndarray[Any, Any]]
) -> None:
    served = mlflow.pyfunc.load_model(logged[1].model_uri).predict(pd.DataFrame({"audio": waveforms}, index=["a", "b"]))
    encoder = load_encoder(str(tiny_encoder))
    assert list(served.columns) == [f"layer_{layer.index:02d}" for layer in encoder.layers]
    assert list(served.index) == ["a", "b"]
    for key, waveform in zip("ab", waveforms, strict=True):
        frames = encoder.encode(torch.from_numpy(waveform)[None])
        for layer, tensor in zip(encoder.layers, frames, strict=True):
            expected = tensor[0].numpy().mean(axis=0)
            np.testing.assert_allclose(served.loc[key, f"layer_{layer.index:02d}"], expected, rtol=1e-5, atol=1e-6)


def test_it_loads_in_a_fresh_process_that_may_not_unpickle(logged: Logged, store: str, tmp_path: Path) -> None:
    program = """
import json, sys, mlflow, pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
print(json.dumps(model.predict(pd.DataFrame({"audio": [[0.1, -0.1] * 800], "sampling_rate": [16000]})).shape))
"""
    environment = os.environ | {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "MLFLOW_TRACKING_URI": store}
    done = loaded_once.run(["-c", program, logged[1].model_uri], cwd=tmp_path, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [1, 3]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"audio": [[0.0] * 2000, [0.0] * 5]}, "row 1 is no waveform this encoder can hear"),
        ({"audio": [[float("nan")] * 2000]}, "row 0 is no waveform this encoder can hear"),
        ({"audio": [[[0.0] * 2000] * 2]}, "row 0 is no waveform this encoder can hear"),
        ({"audio": [[0.0] * 2000], "sampling_rate": [8000]}, "row 0 has another sampling rate than the encoder"),
        ({"audio": [["loud", "quiet"]]}, "row 0 is no list of numbers"),
        ({"sound": [[0.0] * 2000]}, "there is no audio in this request"),
    ],
)
def test_what_cannot_be_heard_is_an_error_that_names_the_row(
    tiny_encoder: Path, request_: dict[str, list[object]], expected: str
) -> None:
    from mlflow_rank.registry.runs.served_encoder import ServedEncoder

    served = ServedEncoder()
    served.load_context(SimpleNamespace(artifacts={"encoder": str(tiny_encoder)}))
    with pytest.raises(UsageError) as raised:
        served.predict(None, pd.DataFrame(request_))
    assert raised.value.what == expected
    assert served.predict(None, pd.DataFrame({"audio": [[0.1] * 2000], "sampling_rate": [None]})).shape == (1, 3)


def test_audio_is_a_column_every_request_must_have(logged: Logged) -> None:
    with pytest.raises(mlflow.exceptions.MlflowException, match="audio"):
        mlflow.pyfunc.load_model(logged[1].model_uri).predict(pd.DataFrame({"sound": [[0.0] * 2000]}))


def test_the_ranks_are_on_the_model(logged: Logged, store: str, make_measurement: Make) -> None:
    run, model = logged
    client = MlflowClient(store)
    stored = client.get_logged_model(model.model_id)
    assert {metric.key: metric.value for metric in stored.metrics or []} == metrics_of(make_measurement(unknown=(2,)))
    assert stored.source_run_id == run.run_id
    assert stored.experiment_id == run.experiment_id
    assert stored.params["protocol.preset"] == "robust"
    assert len(client.get_metric_history(run.run_id, "rank_frame/layer_00")) == 1
    metadata = mlflow.models.get_model_info(model.model_uri).metadata["mlflow_rank"]
    assert (
        metadata["effective_rank"]["frame"]["layer_01"]["value"]
        == metrics_of(make_measurement())["rank_frame/layer_01"]
    )
    assert metadata["effective_rank"]["frame"]["layer_02"] == {"unknown": "9 rows for 16 dimensions"}


def test_it_is_registered_with_the_digests_it_was_measured_under(logged: Logged, store: str) -> None:
    _, model = logged
    version = MlflowClient(store).get_model_version("tiny", str(model.version))
    assert version.tags["mlflow_rank.model_digest"] == f"sha256:{'a' * 64}"
    assert version.run_id == logged[0].run_id
    linked = MlflowClient(store).get_logged_model(model.model_id).tags["mlflow.modelVersions"]
    assert json.loads(linked)[0] == {"name": "tiny", "version": int(str(model.version))}


def test_requirements_name_exact_public_versions(logged: Logged) -> None:
    lines = Path(mlflow.pyfunc.get_model_dependencies(logged[1].model_uri)).read_text().split()
    assert {line.partition("==")[0] for line in lines} >= {"mlflow_rank", "torch", "torchaudio", "transformers"}
    assert not any("+" in line for line in lines)


def test_without_a_name_nothing_is_registered_and_a_second_version_follows_the_first(
    logged: Logged, store: str, make_measurement: Make, tiny_encoder: Path
) -> None:
    run = record_measurement(make_measurement())
    assert log_encoder(tiny_encoder, make_measurement(), run=run).version is None
    again = log_encoder(tiny_encoder, make_measurement(), run=run, registered_model_name="tiny")
    assert int(str(again.version)) == int(str(logged[1].version)) + 1


def test_a_store_named_by_the_caller_is_used_and_mlflows_own_choice_stays(
    store: str, make_measurement: Make, tiny_encoder: Path, tmp_path: Path
) -> None:
    before = mlflow.get_tracking_uri()
    elsewhere = f"sqlite:///{tmp_path / 'other.db'}"
    run = record_measurement(make_measurement(), destination=Destination(tracking_uri=elsewhere))
    model = log_encoder(tiny_encoder, make_measurement(), run=run, registered_model_name="away")
    resolved = resolve_model("models:/away/1", into=tmp_path / "into", tracking_uri=elsewhere)
    assert (model.version, resolved.run_id) == ("1", run.run_id)
    by_run = resolve_model(f"runs:/{run.run_id}/encoder", into=tmp_path / "into", tracking_uri=elsewhere)
    assert load_encoder(by_run.loadable).digest == load_encoder(str(tiny_encoder)).digest
    assert mlflow.get_tracking_uri() == before


def test_a_directory_without_an_encoder_and_a_name_mlflow_refuses_are_named(
    tmp_path: Path, tiny_encoder: Path, make_measurement: Make
) -> None:
    run = RecordedRun("r", "1", "sqlite:///unused.db")
    with pytest.raises(UsageError, match="there is no exported encoder in this directory"):
        log_encoder(tmp_path, make_measurement(), run=run)
    with pytest.raises(UsageError) as raised:
        log_encoder(tiny_encoder, make_measurement(), run=run, registered_model_name="a/b")
    assert raised.value.got == "'a/b'"
