"""What a `--model` text means: where an encoder comes from, and whether its weights are to be random or shuffled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mlflow_rank.errors import UsageError

STARTER = Path(__file__).parent / "starter"
"""Where the encoder shipped with the package lies, in Hugging Face form."""

LOG_MEL = "log-mel"

_FORMS = (
    "a Hugging Face directory or hub id, starter, log-mel, torchaudio:BUNDLE[@STATE_FILE], "
    "module:PACKAGE.MODULE:FACTORY[@STATE_FILE], models:/… or runs:/…, each optionally after random: (or, but for "
    "models:/… and runs:/…, after shuffled:)"
)


@dataclass(frozen=True, slots=True)
class HuggingFaceSource:
    """A directory in transformers' form, or a model id on the hub."""

    location: str


@dataclass(frozen=True, slots=True)
class TorchaudioSource:
    """A wav2vec2-family bundle of `torchaudio.pipelines`; `state` is a file with its weights, None for its own."""

    bundle: str
    state: Path | None


@dataclass(frozen=True, slots=True)
class ModuleSource:
    """A factory in an importable module that returns a torch module.

    `state` is a file whose weights replace those that the factory gives, None to keep them.
    """

    module: str
    factory: str
    state: Path | None = None


@dataclass(frozen=True, slots=True)
class LogMelSource:
    """Log-mel filter banks: no weights, the baseline of pilots."""


Source = HuggingFaceSource | TorchaudioSource | ModuleSource | LogMelSource


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """A parsed `--model` text.

    `random` asks for the same architecture with seeded random weights, `shuffled` for the weights as stored with the
    entries of each tensor in a seeded order.
    """

    text: str
    source: Source
    random: bool = False
    shuffled: bool = False

    @property
    def as_stored(self) -> bool:
        """Whether the weights are those that lie where the text says."""
        return not (self.random or self.shuffled)


def parse_spec(text: str) -> EncoderSpec:
    """Say what a `--model` text means, without looking at any file.

    Raises:
        UsageError: the text has no known form, or names something that the registry resolves first.

    >>> parse_spec("random:torchaudio:HUBERT_BASE")
    EncoderSpec(text='random:torchaudio:HUBERT_BASE',
                source=TorchaudioSource(bundle='HUBERT_BASE', state=None), random=True, shuffled=False)
    >>> parse_spec("facebook/hubert-base-ls960").source
    HuggingFaceSource(location='facebook/hubert-base-ls960')
    """
    random, shuffled = text.startswith("random:"), text.startswith("shuffled:")
    plain = text.partition(":")[2] if random or shuffled else text
    if plain == LOG_MEL and plain != text:
        done = "draw at random" if random else "shuffle"
        raise UsageError(f"log-mel features have no weights to {done}", got=text, expected=LOG_MEL)
    return EncoderSpec(text, _parse_source(plain, text), random, shuffled)


def _parse_source(plain: str, text: str) -> Source:
    scheme, _, rest = plain.partition(":")
    if not plain.strip() or scheme in ("random", "shuffled"):
        raise UsageError("this names no encoder", got=repr(text), expected=_FORMS)
    if scheme in ("models", "runs") and rest.startswith("/"):
        raise UsageError(
            "an MLflow address cannot be loaded as weights directly",
            got=repr(text),
            expected="the local directory that the registry resolves it to",
            remedy="let mlflow-rank resolve it (--model takes it as it is), or download it with mlflow artifacts",
        )
    if plain == LOG_MEL:
        return LogMelSource()
    if scheme == "torchaudio" and rest:
        bundle, _, state = rest.partition("@")
        return TorchaudioSource(bundle, Path(state).expanduser() if state else None)
    if scheme == "module" and rest:
        module, _, named = rest.partition(":")
        factory, _, state = named.partition("@")
        if not module or not factory:
            raise UsageError(
                "a module encoder needs a module and a factory in it",
                got=repr(text),
                expected="module:PACKAGE.MODULE:FACTORY",
                remedy="name the function that returns the torch module, e.g. module:my_models.hubert:build",
            )
        return ModuleSource(module, factory, Path(state).expanduser() if state else None)
    if scheme in ("torchaudio", "module", "models", "runs"):
        raise UsageError("this spec is not complete", got=repr(text), expected=_FORMS)
    return HuggingFaceSource(str(STARTER) if plain == "starter" else plain)
