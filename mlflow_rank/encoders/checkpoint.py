"""Whether a checkpoint really filled the encoder: what transformers reports as missing or unexpected, judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlflow_rank.errors import UsageError

if TYPE_CHECKING:
    import torch

_UNHEARD = "masked_spec_embed"
"""The vector that stands for masked frames in training. Inference never uses it, and public checkpoints (among them
facebook/wav2vec2-base-960h) come without it or carry it for a configuration that has none."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How a checkpoint filled an encoder: heads left aside, and weights that inference never reads, set to zero."""

    heads: tuple[str, ...]
    zeroed: tuple[str, ...]


def check_fit(report: Mapping[str, Iterable[str]], model: Any, encoder: torch.nn.Module, location: str) -> Fit:
    """Judge the report that comes with a loaded model.

    Args:
        report: transformers' loading information: `missing_keys` as named in the model, `unexpected_keys` as named in
            the checkpoint (with the base model's prefix where it was saved below a head).
        model: the loaded base model.
        encoder: the part of it that is used; the model itself, or its encoder where it also has a decoder.
        location: where the checkpoint lies, for the message.

    Raises:
        UsageError: a weight of the encoder is not in the checkpoint (transformers would leave it random), or the
            checkpoint holds weights for parts of the encoder that its configuration does not build.
    """
    import torch

    prefix = next(f"{name}." if name else "" for name, part in model.named_modules() if part is encoder)
    missing = sorted(name.removeprefix(prefix) for name in report["missing_keys"] if name.startswith(prefix))
    zeroed = [name for name in missing if name == _UNHEARD]
    with torch.no_grad():
        for name in zeroed:  # drawn at random by transformers: two loads of one file must have one digest
            encoder.get_parameter(name).zero_()
    lacking = [name for name in missing if name not in zeroed]
    if lacking:
        raise UsageError(
            "the checkpoint does not fill this encoder: the weights below would stay random",
            got=f"{location} without {_named(lacking)}",
            expected=f"every weight of {type(encoder).__name__}, under its own names or below a head's prefix",
            remedy="check that config.json and the weights file belong together; use random:… if random is meant",
        )
    parts = {name for name, _ in encoder.named_children()}
    base = f"{getattr(model, 'base_model_prefix', '')}."
    heads, strangers = set(), []
    for name in sorted(report["unexpected_keys"]):
        inner = name.removeprefix(base)
        below = inner.removeprefix(prefix) if inner.startswith(prefix) else ""
        if below.split(".")[0] in parts:
            strangers.append(below)
        elif below != _UNHEARD:
            heads.add(inner.split(".")[0])
    if strangers:
        raise UsageError(
            "the checkpoint holds weights that its configuration has no place for: part of the encoder would be lost",
            got=f"{location} with {_named(strangers)}",
            expected=f"a config.json that builds them (it builds {_depth(encoder)})",
            remedy="use the config.json that was saved with these weights",
        )
    return Fit(tuple(sorted(heads)), tuple(zeroed))


def _named(names: list[str]) -> str:
    rest = len(names) - 3  # three show the pattern; the count says how bad it is
    return ", ".join(names[:3]) + (f" and {rest} more" if rest > 0 else "")


def _depth(encoder: Any) -> str:
    return f"{encoder.config.num_hidden_layers} blocks of width {encoder.config.hidden_size}"
