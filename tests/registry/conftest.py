"""A real store in a temporary directory, and measurements to put into it."""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlflow_rank.registry.runs.flavor import LoggedEncoder, log_encoder
from mlflow_rank.registry.runs.tracking import RecordedRun, record_measurement

Document = dict[str, Any]


def measurement(*, layers: int = 3, dim: int = 16, unknown: tuple[int, ...] = (), spec: str = "tiny") -> Document:
    """A document with every kind of row: ok, uncorrected (layer 0 of utterances) and unknown (the layers named)."""
    rows: list[Document] = []
    for level, metric, centred, share in (
        ("frame", "effective_rank", True, 0.6),
        ("frame", "effective_rank", False, 0.4),
        ("frame", "rankme", False, 0.41),
        ("frame", "total_variance", True, 0.2),
        ("frame", "stable_rank", True, 0.1),
        ("utterance", "effective_rank", True, 0.3),
        ("utterance_sum", "rankme_t", False, 0.25),
    ):
        for layer in range(layers):
            value = dim * share * (1 + 0.1 * math.sin(layer))
            row: Document = {"layer": layer, "name": f"hidden_states.{layer}", "level": level, "centred": centred}
            row |= {
                "metric": metric,
                "value": value,
                "corrected": value + 0.5,
                "se": 0.25,
                "low": value,
                "high": value + 1,
            }
            row |= {"n": 900, "n_utterances": 90, "n_speakers": 8, "n_effective": 120.5, "dim": dim}
            row |= {"status": "ok", "cause": None}
            if level == "utterance" and layer == 0:
                row |= {"corrected": None, "status": "uncorrected", "cause": "N/D below 4: reads low"}
            if layer in unknown:
                row |= dict.fromkeys(("value", "corrected", "se", "low", "high"))
                row |= {"n": 9, "status": "unknown", "cause": "9 rows for 16 dimensions"}
            rows.append(row)
    return {
        "kind": "RankMeasurement",
        "model": {
            "spec": spec, "family": "hubert", "digest": f"sha256:{'a' * 64}", "parameters": 12345, "dtype": "float32",
            "device": "cpu", "sampling_rate": 16000,
        },
        "audio": {
            "source": "/data/speech/dev", "kind": "directory", "corpus_digest": f"sha256:{'c' * 64}", "minutes": 3.5,
            "utterances": 90, "speakers": 8, "left_out": {"over_budget": 7},
        },
        "protocol": {
            "preset": "robust", "frame_stride": 1, "seed": 0, "blocks": 8, "block_unit": "speaker",
            "levels": ["frame", "utterance", "utterance_sum"], "epsilon": 1e-7,
        },
        "skipped": [{"key": "a/b.wav", "cause": "silent", "detail": "peak below -90 dBFS"}],
        "ranks": rows,
    }  # fmt: skip


@pytest.fixture(scope="session")
def make_measurement() -> Callable[..., Document]:
    return measurement


@pytest.fixture(scope="session")
def make_pilot() -> Callable[..., Document]:
    """Make a pilot document: see tests/modules/pilots.py for what it can be asked."""
    spec = importlib.util.spec_from_file_location("pilots", Path(__file__).parents[1] / "modules" / "pilots.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    make: Callable[..., Document] = module.pilot
    return make


@pytest.fixture(scope="session")
def store_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def store(store_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URI of MLflow's own default store, as it is for someone working in `store_directory`; made once a session."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(store_directory)
    return f"sqlite:///{store_directory / 'mlflow.db'}"


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HuBERT of 16 dimensions and two blocks with random weights, exported."""
    from mlflow_rank.speech.torchaudio_backend import import_torchaudio

    import_torchaudio()  # before transformers' audio code looks for it
    import torch
    from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

    from mlflow_rank.encoders.export import export_encoder
    from mlflow_rank.encoders.load import load_encoder

    torch.manual_seed(7)
    config = HubertConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(8, 8),
        conv_stride=(10, 8),
        conv_kernel=(10, 8),
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
    )
    source = tmp_path_factory.mktemp("hubert")
    HubertModel(config).save_pretrained(source)
    Wav2Vec2FeatureExtractor().save_pretrained(source)
    exported = tmp_path_factory.mktemp("exported") / "tiny"
    export_encoder(load_encoder(str(source)), exported)
    return exported


_LOGGED: dict[Path, tuple[RecordedRun, LoggedEncoder]] = {}


@pytest.fixture
def logged(store: str, store_directory: Path, tiny_encoder: Path) -> tuple[RecordedRun, LoggedEncoder]:
    """A measured encoder, logged and registered as `tiny` once a session; layer 2 is unknown."""
    if store_directory not in _LOGGED:
        document = measurement(unknown=(2,))
        run = record_measurement(document)
        logged = log_encoder(tiny_encoder, document, run=run, registered_model_name="tiny")
        _LOGGED[store_directory] = (run, logged)
    return _LOGGED[store_directory]
