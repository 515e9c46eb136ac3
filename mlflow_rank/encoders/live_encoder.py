"""The speech encoder inside a model that is being trained: found, heard, and never changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlflow_rank.encoders.any_module import by_names, match_modules, numbered, stated_number
from mlflow_rank.encoders.features import DEFAULT_SAMPLING_RATE, Features, extractor_features
from mlflow_rank.encoders.huggingface import BLOCKS, features_of_family, frames_of, places_of
from mlflow_rank.encoders.interface import Layer
from mlflow_rank.encoders.minimum_length import probe
from mlflow_rank.encoders.preprocessor import given_preprocessor
from mlflow_rank.encoders.sharding import refuse_sharded
from mlflow_rank.encoders.undisturbed import undisturbed
from mlflow_rank.errors import UsageError

if TYPE_CHECKING:
    import torch

Forward = Callable[["torch.Tensor"], list["torch.Tensor"]]

_INDICES = re.compile(r"\s*(all|last|[\d\s,-]+)\s*")
_WRAPPERS = {"DistributedDataParallel": "module", "DataParallel": "module", "OptimizedModule": "_orig_mod"}


@dataclass(frozen=True, slots=True, eq=False)
class LiveEncoder:
    """An encoder whose weights change from step to step.

    `module` is the encoder itself, `layers`, `sampling_rate`, `minimum_samples` and `maximum_samples` are as an
    `Encoder`'s. `forward` takes float32 waveforms (batch, samples) on the module's device to the frames (batch, frames,
    dim) of each layer; call it within `undisturbed(module)`. `details` say how it is heard, JSON-ready.
    """

    module: torch.nn.Module
    layers: tuple[Layer, ...]
    sampling_rate: int
    minimum_samples: int
    maximum_samples: int | None
    forward: Forward
    details: Mapping[str, object]

    @property
    def device(self) -> torch.device:
        """Where its weights lie now."""
        return place_of(self.module)[0]

    @property
    def dtype(self) -> str:
        """The number format of its weights now, such as "float32"."""
        return str(place_of(self.module)[1]).removeprefix("torch.")

    def encode(self, waveforms: torch.Tensor) -> list[torch.Tensor]:
        """Return the frames of each layer in float32, from float32 waveforms (batch, samples) wherever they lie.

        Raises:
            UsageError: the waveforms are shorter or longer than the encoder hears.
        """
        samples, longest = waveforms.shape[1], self.maximum_samples
        if samples < self.minimum_samples or (longest is not None and samples > longest):
            raise UsageError(
                f"the encoder cannot hear a waveform of this length at {self.sampling_rate} Hz",
                got=f"{samples} samples",
                expected=f"at least {self.minimum_samples}" + ("" if longest is None else f" and at most {longest}"),
            )
        return [frames.float() for frames in self.forward(waveforms.to(self.device))]


def live_encoder(
    model: torch.nn.Module,
    *,
    layers: str | None = None,
    preprocessor: object = None,
    sampling_rate: int | None = None,
) -> LiveEncoder:
    """Find the speech encoder in a model that is being trained, and say how it is heard.

    The model may be a transformers encoder, hold one (`HubertForCTC`, a module or Lightning module of your own), or be
    any torch module whose submodules are named. It may be wrapped by DistributedDataParallel or compiled. Nothing in it
    is frozen, cast or moved.

    Args:
        model: the model.
        layers: for a transformers encoder as in `select_layers` (default: all); else name patterns of submodules of
            `model` separated by commas, such as "encoder.layers.*", which make the model itself the encoder: it is
            called with waveforms (batch, samples).
        preprocessor: what feeds a transformers encoder: a feature extractor or processor, its configuration, or the
            directory that holds preprocessor_config.json; by default what its family is normally fed with.
        sampling_rate: in Hz; by default the preprocessor's, or the `sampling_rate` attribute of the module, or 16000.

    Raises:
        UsageError: there is no encoder, or more than one; or no such layer; or the preprocessor does not fit.
        MeasurementError: the parameters are sharded over processes, so that no process could hear alone.
    """
    root = unwrapped(model)
    refuse_sharded(root)
    if layers is not None and not _INDICES.fullmatch(layers):
        return _by_patterns(root, layers, sampling_rate)
    found = _encoders_in(root)
    if len(found) > 1:
        names = [name or "the model itself" for name in found]
        raise UsageError(
            f"the model holds {len(found)} speech encoders, and only one can be monitored at a time",
            got=", ".join(names),
            expected="one",
            remedy=f"give the one that is trained, e.g. model.{next(name for name in found if name)}",
        )
    if not found:
        if layers is not None:  # names may be numbers: torch.nn.Sequential
            return _by_patterns(root, layers, sampling_rate)
        raise _no_encoder(root)
    [encoder] = found.values()
    return _of_transformers(encoder, layers, given_preprocessor(preprocessor), sampling_rate)


def unwrapped(model: torch.nn.Module) -> torch.nn.Module:
    """Return the model inside wrappers for data-parallel training and of torch.compile."""
    inner = getattr(model, _WRAPPERS.get(type(model).__name__, ""), None)
    return model if inner is None else unwrapped(inner)


def place_of(module: torch.nn.Module) -> tuple[torch.device, torch.dtype]:
    """Return the device and number format of a module's first floating-point weight; CPU and float32 if it has none."""
    import torch

    for each in (*module.parameters(), *module.buffers()):
        if each.is_floating_point():
            return each.device, each.dtype
    return torch.device("cpu"), torch.float32


def _encoders_in(root: torch.nn.Module) -> dict[str, Any]:
    """Return transformers' speech encoders by name, "" for the root; of nested ones the outermost."""
    found: dict[str, Any] = {}
    for name, part in root.named_modules():
        inside = any(name.startswith(f"{outer}." if outer else "") for outer in found)
        if not inside and _is_encoder(part):
            found[name] = part
    return found or _of_other_families(root)


def _is_encoder(part: Any) -> bool:
    family = getattr(getattr(part, "config", None), "model_type", None)
    if family not in BLOCKS or getattr(part, "main_input_name", None) not in ("input_values", "input_features"):
        return False
    try:
        return len(list(part.get_submodule(BLOCKS[family]).children())) > 0
    except AttributeError:  # a model that holds the encoder, or a part of one
        return False


def _of_other_families(root: Any) -> dict[str, Any]:
    """Return the root if transformers knows it as a model that hears, whatever its family."""
    if getattr(root, "main_input_name", None) not in ("input_values", "input_features") or not hasattr(root, "config"):
        return {}
    whole = getattr(root.config, "is_encoder_decoder", False) and hasattr(root, "get_encoder")
    return {"": root.get_encoder() if whole else root}


def _of_transformers(
    encoder: Any, layers: str | None, preprocessor: Mapping[str, Any] | None, sampling_rate: int | None
) -> LiveEncoder:
    stated = dict(preprocessor or {})
    if sampling_rate is not None and stated.setdefault("sampling_rate", sampling_rate) != sampling_rate:
        raise UsageError(
            "the preprocessor hears another sampling rate",
            got=f"{sampling_rate} Hz, and a preprocessor of {stated['sampling_rate']} Hz",
        )
    features = _fed(encoder, _features(encoder, stated))
    with undisturbed(encoder):
        places, forward, minimum = places_of(encoder, features, layers)
    family = encoder.config.model_type
    source = "as given" if preprocessor else "the family's defaults: no preprocessor was given"
    details = {
        "family": family,
        "architecture": type(encoder).__name__,
        "input": {**features.description, "source": source},
        "frames": frames_of(family),
    }
    return LiveEncoder(encoder, places, features.sampling_rate, minimum, features.maximum_samples, forward, details)


def _features(encoder: Any, preprocessor: Mapping[str, Any]) -> Features:
    known = features_of_family(encoder, preprocessor, encoder.main_input_name)
    if known is not None:
        return known
    if "feature_extractor_type" not in preprocessor:
        raise UsageError(
            f"{type(encoder).__name__} needs to be told how to hear",
            got="no preprocessor",
            expected="the feature extractor that belongs to it, or the directory of its preprocessor_config.json",
        )
    import transformers

    extractor = getattr(transformers, str(preprocessor["feature_extractor_type"]))
    return extractor_features(extractor.from_dict(dict(preprocessor)), encoder.main_input_name)


def _fed(encoder: Any, features: Features) -> Features:
    """Return the features in the number format and on the device of the encoder's weights, whatever these are then."""
    prepare = features.prepare

    def fitting(waveforms: torch.Tensor) -> dict[str, torch.Tensor]:
        device, dtype = place_of(encoder)
        return {name: value.to(device, dtype) for name, value in prepare(waveforms.to(device)).items()}

    return replace(features, prepare=fitting)


def _by_patterns(root: torch.nn.Module, patterns: str, sampling_rate: int | None) -> LiveEncoder:
    names = match_modules(patterns, root)
    read = by_names(root, names)

    def forward(waveforms: torch.Tensor) -> list[torch.Tensor]:
        return read(waveforms.to(*place_of(root)))

    rate = sampling_rate or stated_number(root, "sampling_rate") or DEFAULT_SAMPLING_RATE
    longest = stated_number(root, "maximum_samples")
    with undisturbed(root):
        widths, minimum = probe(forward, rate, longest)
    details = {
        "family": type(root).__name__,
        "architecture": f"{type(root).__module__}.{type(root).__qualname__}",
        "input": {"features": "waveform", "normalised": False, "source": "the module does what it needs itself"},
        "frames": "outputs of the named modules",
    }
    return LiveEncoder(root, numbered(names, widths), rate, minimum, longest, forward, details)


def _no_encoder(root: torch.nn.Module) -> UsageError:
    children = ", ".join(f"{name} ({type(part).__name__})" for name, part in root.named_children())
    return UsageError(
        "no speech encoder that transformers knows is in this model",
        got=f"{type(root).__name__}, which holds {children or 'no modules'}",
        expected="a transformers speech encoder in it, or names of its submodules that are layers",
        remedy='give the patterns, e.g. layers="encoder.layers.*"; the model is then called with (batch, samples)',
    )
