from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mlflow_rank.speech.torchaudio_backend import import_torchaudio

import_torchaudio()  # before transformers, which imports it by itself

CONVOLUTIONS = {"conv_dim": (8, 8), "conv_kernel": (10, 3), "conv_stride": (5, 2), "num_feat_extract_layers": 2}
BLOCKS = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
POSITIONS = {"num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2}
TINY = {**CONVOLUTIONS, **BLOCKS, **POSITIONS, "vocab_size": 8}


@pytest.fixture(scope="session")
def tiny() -> dict[str, Any]:
    """Arguments of a wav2vec2-like configuration: two convolutions (one frame per 10 samples), two blocks of 16."""
    return dict(TINY)


@pytest.fixture(scope="session")
def waveforms() -> torch.Tensor:
    """Two seconds-long noises with an offset, so that normalising them matters."""
    return torch.randn(2, 1600, generator=torch.Generator().manual_seed(7)) * 0.1 + 0.05


@pytest.fixture(scope="session")
def save() -> Callable[..., Any]:
    """Make a model with seeded weights from its class and configuration, save it, and return it in eval mode."""

    def make(model_class: Any, config: Any, directory: Path, preprocessor: dict[str, Any] | None = None) -> Any:
        with torch.random.fork_rng():
            torch.manual_seed(3)
            model = model_class(config).eval()
        norms = (part for part in model.modules() if isinstance(part, torch.nn.LayerNorm))
        for norm in (norm for norm in norms if norm.elementwise_affine):
            norm.weight.data.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(1))  # else ones, as if random
        model.save_pretrained(directory)
        if preprocessor is not None:
            (directory / "preprocessor_config.json").write_text(json.dumps(preprocessor))
        return model

    return make


@pytest.fixture(scope="session")
def hubert(tiny: dict[str, Any], save: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a tiny HuBERT encoder (group norm, as the base models have). Read it, change nothing in it."""
    from transformers import HubertConfig, HubertModel

    directory = tmp_path_factory.mktemp("hubert")
    save(HubertModel, HubertConfig(**tiny), directory, {"do_normalize": True, "sampling_rate": 16000})
    return directory
