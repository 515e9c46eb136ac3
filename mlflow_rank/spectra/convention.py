"""Everything that changes a number: two numbers are compared only where all of it agrees."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType

from mlflow_rank.errors import UsageError
from mlflow_rank.spectra.level import LEVELS
from mlflow_rank.spectra.metrics import METRICS


@dataclass(frozen=True, slots=True)
class Preset:
    """A named choice of levels and metrics; `headline` is the (metric, centred) that a summary shows first."""

    name: str
    levels: tuple[str, ...]
    metrics: tuple[str, ...]
    headline: tuple[str, bool]
    note: str


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        preset.name: preset
        for preset in (
            Preset(
                "robust",
                tuple(LEVELS),
                tuple(METRICS),
                ("effective_rank", True),
                "Every metric at every level, both centrings, bias corrected, with intervals.",
            ),
            Preset(
                "rankme_t",
                ("utterance_sum",),
                ("rankme_t",),
                ("rankme_t", False),
                "RankMe-t of arXiv 2409.10787: RankMe (uncentred, ε = 1e-7) of the frames summed over time, one row "
                "per utterance. Reconstructed from secondary readings: its own ε and centring are not verified.",
            ),
        )
    }
)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the audio was drawn: limits asked for (None is no limit), durations in seconds, and the seed."""

    utterances: int | None
    hours: float | None
    min_duration: float | None
    max_duration: float | None
    seed: int


@dataclass(frozen=True, slots=True)
class Convention:
    """The full convention behind one number.

    `epsilon` is None where the formula has none, `frame_stride` 1 where every frame counts, `dtype` that of the
    activations, `count` the number of rows N. Digests are `sha256:…`.
    """

    metric: str
    level: str
    centred: bool
    epsilon: float | None
    frame_stride: int
    dtype: str
    preset: str
    sampling: Sampling
    corpus_digest: str
    encoder_digest: str
    layer: int
    count: int

    def settings(self) -> dict[str, object]:
        """Return every setting by name, JSON-ready; those of the sampling as `sampling.seed` and so on."""
        flat: dict[str, object] = {}
        for name, value in asdict(self).items():
            flat |= {f"{name}.{key}": item for key, item in value.items()} if name == "sampling" else {name: value}
        return flat


def ensure_comparable(a: Convention, b: Convention, *, ignoring: Collection[str] = frozenset()) -> None:
    """Return if two numbers of conventions `a` and `b` may be compared.

    `ignoring` names settings that may differ, because they are what the comparison is about: `encoder_digest` between
    checkpoints, `layer` along an encoder; `sampling` stands for all of the sampling.

    Raises:
        UsageError: a setting differs (the error names each), or a name to ignore is no setting.
    """
    left, right = a.settings(), b.settings()
    unknown = set(ignoring) - set(left) - {"sampling"}
    if unknown:
        raise UsageError("no such setting to ignore", got=", ".join(sorted(unknown)), expected=", ".join(left))
    compared = [name for name in left if name not in ignoring and name.split(".")[0] not in ignoring]
    differing = [name for name in compared if left[name] != right[name]]
    if differing:
        raise UsageError(
            "numbers of different conventions cannot be compared: " + ", ".join(differing),
            got="; ".join(f"{name}: {left[name]!r} and {right[name]!r}" for name in differing),
            expected="the same settings on both sides",
            remedy="measure both under one convention",
        )
