"""Encoders that torchaudio's wav2vec2-family bundles describe."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow_rank.encoders.anatomy import Anatomy, frozen
from mlflow_rank.encoders.features import waveform_features
from mlflow_rank.encoders.foreign_errors import first_line, pickle_refused
from mlflow_rank.encoders.interface import Layer
from mlflow_rank.encoders.layers import select_layers
from mlflow_rank.encoders.minimum_length import samples_for_one_frame
from mlflow_rank.encoders.random_weights import seeded
from mlflow_rank.encoders.taps import Tap, read_taps
from mlflow_rank.encoders.weights import read_state_file, write_state_file
from mlflow_rank.errors import UsageError
from mlflow_rank.speech.torchaudio_backend import import_torchaudio

if TYPE_CHECKING:
    import torch


def load_bundle(name: str, state: Path | None, layers: str | None, *, seed: int | None) -> Anatomy:
    """Load the encoder of a bundle such as HUBERT_BASE; the head of a recogniser's bundle is left aside.

    Args:
        name: the bundle's name in `torchaudio.pipelines`.
        state: a local file with its weights; None takes torchaudio's own, from its cache or the network.
        layers: which layers, see `select_layers`.
        seed: draw random weights from it instead of reading any.

    Raises:
        UsageError: no such bundle, or its weights are missing, refused or do not fit.
    """
    torchaudio = import_torchaudio()
    bundle = _bundle(name)
    parameters = {**bundle._params, "aux_num_out": None}  # without the head
    make = {"Wav2Vec2": torchaudio.models.wav2vec2_model, "WavLM": torchaudio.models.wavlm_model}[bundle._model_type]
    with seeded(seed or 0):
        module = make(**parameters)
    if seed is None:
        _fill(module, _encoder_state(read_state_file(state) if state else _own_state(name, bundle)), name)
    encoder: Any = frozen(module)
    features = waveform_features(
        {"do_normalize": bundle._normalize_waveform, "sampling_rate": bundle.sample_rate}, stated=True, argument=""
    )

    blocks = list(encoder.encoder.transformer.layers)
    everywhere = [Tap("input", blocks[0], side="input")]
    everywhere += [Tap(f"encoder.transformer.layers.{number}", block) for number, block in enumerate(blocks)]
    chosen = select_layers(layers, len(everywhere))
    taps = [everywhere[index] for index in chosen]

    def forward(waveforms: torch.Tensor) -> list[torch.Tensor]:
        (heard,) = features.prepare(waveforms).values()
        return read_taps(taps, lambda: encoder.extract_features(heard))

    def save(directory: Path) -> Mapping[str, object]:
        write_state_file(encoder, directory / "model.safetensors")
        return {"form": "torchaudio", "bundle": name}

    convolutions = [(layer.kernel_size, layer.stride) for layer in encoder.feature_extractor.conv_layers]
    return Anatomy(
        family=f"torchaudio-{bundle._model_type.lower()}",
        module=encoder,
        layers=tuple(Layer(index, everywhere[index].name, parameters["encoder_embed_dim"]) for index in chosen),
        forward=forward,
        sampling_rate=features.sampling_rate,
        minimum_samples=samples_for_one_frame(convolutions),
        maximum_samples=None,
        details={
            "architecture": f"torchaudio {name}",
            "input": {**features.description, "source": "the bundle's"},
            "frames": "outputs of the blocks",
            "torchaudio": torchaudio.__version__,
        },
        save=save,
    )


def _bundle(name: str) -> Any:
    from torchaudio import pipelines  # import_torchaudio() came before

    bundle = getattr(pipelines, name, None)
    if isinstance(bundle, pipelines.Wav2Vec2Bundle):
        return bundle
    known = sorted(key for key, value in vars(pipelines).items() if isinstance(value, pipelines.Wav2Vec2Bundle))
    raise UsageError("torchaudio has no such wav2vec2-family bundle", got=name, expected=", ".join(known))


def _own_state(name: str, bundle: Any) -> dict[str, torch.Tensor]:
    try:
        # Without weights_only, torch.hub would unpickle whatever the download holds.
        state: dict[str, torch.Tensor] = bundle._get_state_dict({"weights_only": True, "progress": False})
    except pickle.UnpicklingError as error:
        raise pickle_refused(f"torchaudio:{name}", error) from error
    except OSError as error:  # urllib's URLError, a full disk, …
        raise UsageError(
            "the bundle's weights are not in torch's cache and could not be downloaded",
            got=f"torchaudio:{name} ({first_line(error)})",
            expected="network access, or a local file",
            remedy=f"download the weights elsewhere and pass torchaudio:{name}@/path/to/state.pt",
        ) from error
    return state


def _encoder_state(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the encoder's weights alone.

    They may lie in a bundle's own file, below `model.` (a bundle that normalises its input) or below `wav2vec2.` (as
    torchaudio's HuBERTPretrainModel names its encoder).
    """
    for prefix in ("model.", "wav2vec2."):
        if any(name.startswith(f"{prefix}encoder.") for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    return {name: value for name, value in state.items() if not name.startswith("aux.")}


def _fill(module: torch.nn.Module, state: Mapping[str, torch.Tensor], name: str) -> None:
    try:
        module.load_state_dict(dict(state))
    except RuntimeError as error:
        raise UsageError(
            f"these weights do not fit the bundle {name}",
            got=" ".join(str(error).split())[:300],  # torch lists every name; the first ones tell enough
            expected=f"the state dict of torchaudio.pipelines.{name}.get_model()",
        ) from error
