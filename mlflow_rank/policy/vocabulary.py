"""The closed vocabularies of a policy, each with what makes sense for it.

The metrics stand here by name, so that reading a policy loads no arithmetic; a test holds them against
`spectra.METRICS` and `probes.scores.METRICS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, WrapValidator
from pydantic_core import PydanticCustomError

Bound = Literal["point", "ci_lower", "ci_upper", "corrected"]
"""Which number of an estimate is held against a limit: the plug-in value, an end of its 95 % interval, or the value
less its bias (ranks only)."""

Level = Literal["frame", "utterance", "utterance_sum"]
RankMetric = Literal[
    "effective_rank", "rankme", "rankme_t", "spectral_entropy_rank", "participation_ratio", "stable_rank",
    "threshold_rank", "energy_rank_90", "energy_rank_95", "energy_rank_99", "alpha", "isoscore", "total_variance",
    "mean_norm_ratio", "normalised_std",
]  # fmt: skip
PilotMetric = Literal["balanced_accuracy", "macro_f1", "balanced_frame_accuracy", "per", "eer_cosine", "eer_probe"]
Domain = Literal["in_domain", "out_of_domain"]
Head = Literal["ridge", "logistic", "centroid", "ctc", "cosine"]
Severity = Literal["block", "warn"]
Mode = Literal["audit", "warn", "enforce"]
Role = Literal["measurer", "reviewer", "owner", "gate", "emergency"]
Excluded = Literal["requester", "evidence_signer", "policy_author"]
"""Whose approval need not count: who asks for the promotion, who signed evidence for it, who wrote the policy."""
EvidenceKind = Literal["measurement", "pilot", "alarms"]
FirstPromotion = Literal["pass", "fail"]
Preset = Literal["robust", "rankme_t"]

CENTRINGS: Mapping[str, tuple[bool, ...]] = MappingProxyType(
    {
        "effective_rank": (True, False), "rankme": (False,), "rankme_t": (False,),
        "spectral_entropy_rank": (True, False), "participation_ratio": (True, False), "stable_rank": (True, False),
        "threshold_rank": (True,), "energy_rank_90": (True,), "energy_rank_95": (True,), "energy_rank_99": (True,),
        "alpha": (True,), "isoscore": (True,), "total_variance": (True,), "mean_norm_ratio": (False,),
        "normalised_std": (False,),
    }
)  # fmt: skip
"""Whether a metric is reported with the mean taken off (True), left in (False), or both ways."""

LEVELS_OF: Mapping[str, tuple[Level, ...]] = MappingProxyType(
    {"rankme": ("frame", "utterance"), "rankme_t": ("utterance_sum",)}
)
"""The levels of metrics that are not reported at all three."""

RANKS = frozenset(
    {
        "effective_rank", "rankme", "rankme_t", "spectral_entropy_rank", "participation_ratio", "stable_rank",
        "threshold_rank", "energy_rank_90", "energy_rank_95", "energy_rank_99",
    }
)  # fmt: skip
"""Metrics that count directions: between 1 and D, so that a share of D makes sense."""

HIGHEST: Mapping[str, float] = MappingProxyType({"isoscore": 1.0, "mean_norm_ratio": 1.0, "normalised_std": 1.0})
"""The largest value that a metric of another kind can have, where there is one."""

ERROR_RATES = frozenset({"per", "eer_cosine", "eer_probe"})
"""Pilot metrics of which less is better."""

Identifier = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$", max_length=64),
    Field(description="Lower-case ASCII words joined by hyphens."),
]
Task = Annotated[
    str,
    StringConstraints(pattern=r"^(phone|keyword|speaker|label:[^\s:][^\s]*)$", max_length=128),
    Field(description="phone, keyword, speaker or label:FIELD."),
]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
Duration = Annotated[
    str,
    StringConstraints(pattern=r"^[1-9][0-9]{0,4}[hdw]$"),
    Field(description="A number of hours, days or weeks: 12h, 30d, 8w."),
]
Target = Annotated[
    str,
    StringConstraints(pattern=r"^(alias:[a-z0-9][a-z0-9_-]{0,254}|stage:(Staging|Production|Archived))$"),
    Field(description="alias:NAME (lower case) or stage:Staging, stage:Production, stage:Archived."),
]
HOURS = MappingProxyType({"h": 1, "d": 24, "w": 168})


def _said_plainly(message: str) -> WrapValidator:
    """Return a validator that says one sentence where a union would complain once for each of its members."""

    def validate(value: Any, inner: Callable[[Any], Any]) -> Any:
        try:
            return inner(tuple(value) if isinstance(value, list) else value)  # JSON has no tuples
        except ValueError as error:
            shown = repr(value)
            raise PydanticCustomError(
                "vocabulary",
                "{message}, not {value}",
                {"message": message, "value": shown if len(shown) < 60 else shown[:57] + "…"},
            ) from error

    return WrapValidator(validate)


LayerNumbers = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
RankLayers = Annotated[
    Literal["all", "last", "pilot_best"] | LayerNumbers,
    _said_plainly("must be all, last, pilot_best (the layer that a pilot chose) or a list of layer numbers"),
    Field(description="all, last, pilot_best (the layer that the pilot of `task` chose) or a list of layer numbers."),
]
PilotLayers = Annotated[
    Literal["all", "last", "pilot_best", "weighted_sum"] | LayerNumbers,
    _said_plainly("must be all, last, pilot_best, weighted_sum or a list of layer numbers"),
    Field(description="all, last, pilot_best (chosen inside the training labels), weighted_sum, or layer numbers."),
]
ShotsAsked = Annotated[
    Literal["all"] | Annotated[int, Field(ge=1)],
    _said_plainly("must be all or a number of labels per class from 1"),
    Field(description="Training labels per class: all, or a number that was piloted."),
]
Targets = Annotated[
    Literal["any"] | Annotated[tuple[Target, ...], Field(min_length=1)],
    _said_plainly("must be any, or a list of alias:NAME and stage:Staging|Production|Archived"),
    Field(description="any, or a list such as [alias:champion, stage:Production]."),
]
