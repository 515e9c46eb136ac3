"""From a `--model` text to an encoder."""

from __future__ import annotations

from pathlib import Path

from mlflow_rank.encoders.anatomy import Anatomy
from mlflow_rank.encoders.any_module import load_module
from mlflow_rank.encoders.export import ExportRecord, read_export
from mlflow_rank.encoders.huggingface import load_huggingface
from mlflow_rank.encoders.log_mel import load_log_mel
from mlflow_rank.encoders.precision import choose_precision
from mlflow_rank.encoders.shuffled_weights import shuffle
from mlflow_rank.encoders.specs import (
    EncoderSpec,
    HuggingFaceSource,
    LogMelSource,
    ModuleSource,
    TorchaudioSource,
    parse_spec,
)
from mlflow_rank.encoders.torch_encoder import TorchEncoder
from mlflow_rank.encoders.torchaudio_bundles import load_bundle
from mlflow_rank.encoders.weights import state_tensors, weights_digest
from mlflow_rank.errors import UsageError


def load_encoder(
    spec: str,
    *,
    layers: str | None = None,
    device: str = "auto",
    dtype: str = "float32",
    trust_remote_code: bool = False,
    seed: int = 0,
) -> TorchEncoder:
    """Load the encoder that a `--model` text names, frozen and in eval mode.

    Args:
        spec: a Hugging Face directory or hub id, `starter`, `torchaudio:BUNDLE[@STATE_FILE]`,
            `module:PACKAGE.MODULE:FACTORY[@STATE_FILE]`, or a directory written by `export_encoder`; each optionally
            after `random:`, for the same architecture with random weights, or after `shuffled:`, for the same weights
            with the entries of each tensor in a random order.
        layers: "all" (as None), "last" or e.g. "0,3,6-12"; for `module:` comma-separated name patterns.
        device: "auto", "cpu" or "cuda".
        dtype: "float32", or "bfloat16" for a forward pass under autocast.
        trust_remote_code: run code that comes with a Hugging Face checkpoint.
        seed: what random weights and orders are drawn from; of no effect without `random:` or `shuffled:`.

    Raises:
        UsageError: no such model, device or layer, weights that do not fit or would execute code, …; it says which.
    """
    parsed = parse_spec(spec)
    precision = choose_precision(device, dtype)
    drawn = seed if parsed.random else None
    weights = "random" if parsed.random else "shuffled"
    origin: dict[str, object] = {"weights": "as stored"} if parsed.as_stored else {"weights": weights, "seed": seed}
    record = _exported(parsed)
    if record is None:
        anatomy = _dissect(parsed, layers, seed=drawn, trust_remote_code=trust_remote_code)
        if parsed.shuffled:
            shuffle(anatomy.module, seed)
        return TorchEncoder(spec, anatomy, precision, layers_asked=layers or "all", **origin)
    inner = EncoderSpec(spec, record.source(), random=parsed.random)
    asked = layers or record.layers
    anatomy = _dissect(inner, asked, seed=drawn, trust_remote_code=trust_remote_code)
    origin |= {"exported_from": dict(record.origin)}
    before = None
    if parsed.shuffled:
        before = weights_digest(state_tensors(anatomy.module))
        shuffle(anatomy.module, seed)
    encoder = TorchEncoder(spec, anatomy, precision, layers_asked=asked, **origin)
    lying_there = before or encoder.digest
    if not parsed.random and lying_there != record.digest:
        raise UsageError(
            "the weights in this directory are not those that were exported into it",
            got=lying_there,
            expected=f"{record.digest}, as encoder.json says",
            remedy="export or download it again",
        )
    return encoder


def _exported(spec: EncoderSpec) -> ExportRecord | None:
    if not isinstance(spec.source, HuggingFaceSource):
        return None
    directory = Path(spec.source.location).expanduser()
    return read_export(directory) if (directory / "encoder.json").is_file() else None


def _dissect(spec: EncoderSpec, layers: str | None, *, seed: int | None, trust_remote_code: bool) -> Anatomy:
    match spec.source:
        case HuggingFaceSource(location):
            return load_huggingface(location, layers, seed=seed, trust_remote_code=trust_remote_code)
        case TorchaudioSource(bundle, state):
            return load_bundle(bundle, state, layers, seed=seed)
        case ModuleSource() as source:
            return load_module(source, layers, seed=seed)
        case LogMelSource():
            return load_log_mel(layers)
