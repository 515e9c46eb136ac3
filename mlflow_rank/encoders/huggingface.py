"""Encoders in transformers' form: a directory or a model on the hub."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow_rank.encoders.anatomy import Anatomy, frozen
from mlflow_rank.encoders.checkpoint import Fit, check_fit
from mlflow_rank.encoders.features import (
    Features,
    extractor_features,
    filter_bank_features,
    waveform_features,
    whisper_features,
)
from mlflow_rank.encoders.hub import Location, locate, quiet, read_config, read_preprocessor, unreadable
from mlflow_rank.encoders.interface import Layer
from mlflow_rank.encoders.layers import select_layers
from mlflow_rank.encoders.minimum_length import probe, samples_for_one_frame
from mlflow_rank.encoders.random_weights import seeded
from mlflow_rank.encoders.taps import Tap, read_taps
from mlflow_rank.errors import UsageError
from mlflow_rank.speech.torchaudio_backend import import_torchaudio

if TYPE_CHECKING:
    import torch

BLOCKS = {
    "data2vec-audio": "encoder.layers",
    "hubert": "encoder.layers",
    "sew": "encoder.layers",
    "sew-d": "encoder.encoder.layer",
    "unispeech": "encoder.layers",
    "unispeech-sat": "encoder.layers",
    "wav2vec2": "encoder.layers",
    "wav2vec2-bert": "encoder.layers",
    "wav2vec2-conformer": "encoder.layers",
    "wavlm": "encoder.layers",
    "whisper": "layers",
}
"""Where each known family keeps its transformer blocks. Reading the blocks themselves gives the same frames with every
release of transformers, whereas what `hidden_states[-1]` holds (before or after the last layer norm) has changed."""


def load_huggingface(text: str, layers: str | None, *, seed: int | None, trust_remote_code: bool) -> Anatomy:
    """Load a speech encoder in transformers' form.

    Args:
        text: a directory with config.json, or a hub id.
        layers: which layers, see `select_layers`.
        seed: draw random weights from it instead of reading any; None reads the checkpoint.
        trust_remote_code: let transformers run code that comes with the checkpoint.

    Raises:
        UsageError: no such model, not a speech encoder, or its weights are missing, refused or do not fit.
    """
    import_torchaudio()  # transformers imports it by itself, and fails beside a CPU-only torch without this
    location = locate(text)
    with quiet():
        config = read_config(location, trust_remote_code=trust_remote_code)
        model_class = _model_class(config)
        if seed is None:
            model, fit = _read_model(model_class, config, location, trust_remote_code=trust_remote_code)
        else:
            model, fit = _draw_model(model_class, config, seed, trust_remote_code=trust_remote_code), Fit((), ())
        encoder = frozen(_encoder_of(model))
        preprocessor = read_preprocessor(location)
        features = _features(location, model, encoder, preprocessor, trust_remote_code=trust_remote_code)
    return _anatomy(location, encoder, features, layers, fit)


def _anatomy(location: Location, encoder: Any, features: Features, layers: str | None, fit: Fit) -> Anatomy:
    import transformers

    family = encoder.config.model_type
    places, forward, minimum = places_of(encoder, features, layers)

    def save(directory: Path) -> Mapping[str, object]:
        with quiet():
            encoder.save_pretrained(directory)
        (directory / "preprocessor_config.json").write_text(json.dumps(dict(features.preprocessor), indent=2) + "\n")
        return {"form": "huggingface"}

    details = {
        "architecture": type(encoder).__name__,
        "input": dict(features.description),
        "frames": frames_of(family),
        "transformers": transformers.__version__,
        **({"revision": location.revision} if location.revision else {}),
        **({"heads_left_aside": list(fit.heads)} if fit.heads else {}),
        **({"zeroed_as_never_read": list(fit.zeroed)} if fit.zeroed else {}),
    }
    return Anatomy(
        family, encoder, places, forward, features.sampling_rate, minimum, features.maximum_samples, details, save
    )


def _model_class(config: Any) -> Any:
    """Return AutoModel, or the encoder's own class where only the encoder of an encoder-decoder was saved."""
    from transformers import AutoModel

    named = (getattr(config, "architectures", None) or [""])[0]
    if type(config) in AutoModel._model_mapping and named.endswith("Encoder"):
        home = sys.modules[AutoModel._model_mapping[type(config)].__module__]
        return getattr(home, named, AutoModel)
    return AutoModel


def _read_model(model_class: Any, config: Any, location: Location, *, trust_remote_code: bool) -> tuple[Any, Fit]:
    import torch

    remote = {"trust_remote_code": trust_remote_code} if trust_remote_code else {}
    try:
        with seeded(0):  # transformers draws what the checkpoint lacks before it says so; spare the caller's generator
            model, report = model_class.from_pretrained(
                location.name,
                config=config,
                dtype=torch.float32,
                weights_only=True,
                output_loading_info=True,
                **location.options,
                **remote,
            )
    except Exception as error:  # each weights format has errors of its own
        raise unreadable(location.text, error, "the weights") from error
    return model, check_fit(report, model, _encoder_of(model), location.text)


def _draw_model(model_class: Any, config: Any, seed: int, *, trust_remote_code: bool) -> Any:
    import torch
    from transformers import AutoModel

    with seeded(seed):
        if model_class is not AutoModel:
            return model_class._from_config(config, dtype=torch.float32)
        try:
            return AutoModel.from_config(config, dtype=torch.float32, trust_remote_code=trust_remote_code)
        except ValueError as error:
            raise unreadable(str(config.name_or_path), error, "the configuration") from error


def _encoder_of(model: Any) -> Any:
    return (
        model.get_encoder()
        if getattr(model.config, "is_encoder_decoder", False) and hasattr(model, "decoder")
        else model
    )


def _features(
    location: Location, model: Any, encoder: Any, preprocessor: Mapping[str, Any], *, trust_remote_code: bool
) -> Features:
    from transformers import AutoFeatureExtractor

    argument = model.main_input_name
    known = features_of_family(encoder, preprocessor, argument)
    if known is not None:
        return known
    if argument not in ("input_values", "input_features"):
        raise UsageError(
            "this is not a speech encoder",
            got=f"{location.text}: {type(model).__name__}, whose input is {argument}",
            expected="a model that hears input_values or input_features",
        )
    if not preprocessor:
        raise UsageError(
            f"{type(model).__name__} needs to be told how to hear",
            got=f"{location.text} without preprocessor_config.json",
            expected="the preprocessor_config.json that belongs to it",
        )
    extractor = AutoFeatureExtractor.from_pretrained(
        location.name, trust_remote_code=trust_remote_code, **location.options
    )
    return extractor_features(extractor, argument)


def features_of_family(encoder: Any, preprocessor: Mapping[str, Any], argument: str) -> Features | None:
    """Return what an encoder of a known family is fed with, by the preprocessor's configuration or its defaults.

    None where the family is not known and the preprocessor does not say that the waveform itself goes in.
    """
    family = encoder.config.model_type
    if family == "whisper":
        return whisper_features(preprocessor, encoder)
    if family == "wav2vec2-bert":
        return filter_bank_features(preprocessor)
    takes_waveform = preprocessor.get("feature_extractor_type") == "Wav2Vec2FeatureExtractor"
    if family in BLOCKS or takes_waveform:
        return waveform_features(preprocessor, stated=bool(preprocessor), argument=argument)
    return None


def places_of(
    encoder: Any, features: Features, layers: str | None
) -> tuple[tuple[Layer, ...], Callable[[torch.Tensor], list[torch.Tensor]], int]:
    """Return an encoder's layers, the forward pass that gives their frames, and its shortest input in samples."""
    if encoder.config.model_type not in BLOCKS:
        return _by_hidden_states(encoder, features, layers)
    places, forward = _by_blocks(encoder, features, layers)
    return places, forward, features.minimum_samples or _minimum_by_convolutions(encoder.config)


def frames_of(family: str) -> str:
    """Return in words what the frames of a family's layers are."""
    return "outputs of the blocks" if family in BLOCKS else "hidden_states as transformers gives them"


def _by_blocks(
    encoder: Any, features: Features, layers: str | None
) -> tuple[tuple[Layer, ...], Callable[[torch.Tensor], list[torch.Tensor]]]:
    path = BLOCKS[encoder.config.model_type]
    blocks = list(encoder.get_submodule(path))
    everywhere = [Tap("input", blocks[0], side="input")]
    everywhere += [Tap(f"{path}.{number}", block) for number, block in enumerate(blocks)]
    chosen = select_layers(layers, len(everywhere))
    taps = [everywhere[index] for index in chosen]
    kept = features.frames_kept

    def forward(waveforms: torch.Tensor) -> list[torch.Tensor]:
        heard = features.prepare(waveforms)
        frames = read_taps(taps, lambda: encoder(**heard))
        return frames if kept is None else [layer[:, : kept(waveforms.shape[1])] for layer in frames]

    width = int(encoder.config.hidden_size)
    return tuple(Layer(index, everywhere[index].name, width) for index in chosen), forward


def _by_hidden_states(
    encoder: Any, features: Features, layers: str | None
) -> tuple[tuple[Layer, ...], Callable[[torch.Tensor], list[torch.Tensor]], int]:
    def every(waveforms: torch.Tensor) -> Sequence[torch.Tensor]:
        output = encoder(**features.prepare(waveforms), output_hidden_states=True, return_dict=True)
        hidden = getattr(output, "hidden_states", None)
        if not hidden:
            raise UsageError(
                "this model gives no hidden_states",
                got=type(encoder).__name__,
                expected="a transformers model with output_hidden_states",
                remedy="wrap it in a torch module and use module:PACKAGE.MODULE:FACTORY with --layers patterns",
            )
        return list(hidden)

    widths, minimum = probe(every, features.sampling_rate, features.maximum_samples)
    chosen = select_layers(layers, len(widths))

    def forward(waveforms: torch.Tensor) -> list[torch.Tensor]:
        frames = every(waveforms)
        return [frames[index] for index in chosen]

    places = tuple(Layer(index, f"hidden_states.{index}", widths[index]) for index in chosen)
    return places, forward, minimum


def _minimum_by_convolutions(config: Any) -> int:
    squeeze = getattr(config, "squeeze_factor", 1)  # SEW averages so many frames into one before its blocks
    return samples_for_one_frame(zip(config.conv_kernel, config.conv_stride, strict=True), squeeze)
