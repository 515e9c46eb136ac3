"""Which metrics there are, and for which centrings, levels and bounds each is reported."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Generic, Literal, TypeVar

from mlflow_rank.spectra import family
from mlflow_rank.spectra.extrapolation import LINEAR, RECIPROCAL, RECIPROCAL_ISOSCORE, Extrapolation
from mlflow_rank.spectra.level import LEVELS
from mlflow_rank.spectra.spectrum import Scales, Spectrum

S = TypeVar("S", Spectrum, Scales)
CENTRED, UNCENTRED, BOTH = (True,), (False,), (True, False)


@dataclass(frozen=True, slots=True)
class Metric(Generic[S]):
    """A formula with the conventions it is reported under.

    `kind` is `rank` (a number of directions, in [1, D]), `shape` (another number read from the whole spectrum) or
    `scale` (known well from few rows, so free of the rules on N/D). `lowest` and `highest` bound every true value;
    `highest` is None where it is D. `whole` makes a count of a number that has a fraction; it is applied last, to
    value, correction and bounds, so that these keep the fraction while they are estimated. `extrapolation` is how its
    bias is corrected.
    """

    name: str
    meaning: str
    formula: Callable[[S], float]
    kind: Literal["rank", "shape", "scale"]
    centrings: tuple[bool, ...]
    levels: tuple[str, ...] = tuple(LEVELS)
    lowest: float = 1.0
    highest: float | None = None
    whole: Callable[[float], int] | None = None
    extrapolation: Extrapolation = LINEAR
    epsilon: float | None = None

    def report(self, value: float, dim: int) -> float:
        """Return `value` as it is reported: within the bounds, and whole where the metric is a count."""
        bounded = min(max(value, self.lowest), float(dim) if self.highest is None else self.highest)
        return float(self.whole(bounded)) if self.whole else bounded


def _rankme(name: str, meaning: str, *levels: str) -> Metric[Spectrum]:
    epsilon = family.RANKME_EPSILON
    return Metric(name, meaning, family.rankme, "rank", UNCENTRED, levels=levels, epsilon=epsilon)


def _energy(percent: int) -> Metric[Spectrum]:
    return Metric(
        f"energy_rank_{percent}",
        f"leading eigenvalues that hold {percent} % of the variance",
        partial(family.energy_rank, share=percent / 100),
        "rank",
        CENTRED,
        whole=math.ceil,
    )


# Both centrings for the Hill family: a centred rank cannot see collapse onto a shared vector, and an uncentred one sees
# little else. Counts, slope and isotropy describe the covariance, so they are centred only.
SPECTRAL: tuple[Metric[Spectrum], ...] = (
    Metric("effective_rank", "exp entropy of the singular values", family.effective_rank, "rank", BOTH),
    _rankme("rankme", "effective rank with RankMe's ε", "frame", "utterance"),
    _rankme("rankme_t", "RankMe of the time-summed frames, one row per utterance", "utterance_sum"),
    Metric("spectral_entropy_rank", "exp entropy of the eigenvalues", family.spectral_entropy_rank, "rank", BOTH),
    Metric("participation_ratio", "(Σλ)² / Σλ²", family.participation_ratio, "rank", BOTH, extrapolation=RECIPROCAL),
    Metric("stable_rank", "Σλ / λ_max", family.stable_rank, "rank", BOTH, extrapolation=RECIPROCAL),
    Metric(
        "threshold_rank",
        f"eigenvalues of at least {family.THRESHOLD:g} of the largest",
        family.threshold_rank,
        "rank",
        CENTRED,
        whole=math.floor,
    ),
    _energy(90),
    _energy(95),
    _energy(99),
    Metric("alpha", "power-law slope of the eigenvalues", family.alpha, "shape", CENTRED, lowest=0.0, highest=math.inf),
    Metric(
        "isoscore",
        "(PR − 1) / (D − 1)",
        family.isoscore,
        "shape",
        CENTRED,
        lowest=0.0,
        highest=1.0,
        extrapolation=RECIPROCAL_ISOSCORE,
    ),
)

# The total variance is the covariance's; the other two compare it with the mean, so they are not centred.
SCALES: tuple[Metric[Scales], ...] = (
    Metric(
        "total_variance",
        "trace of the covariance",
        family.total_variance,
        "scale",
        CENTRED,
        lowest=0.0,
        highest=math.inf,
    ),
    Metric(
        "mean_norm_ratio",
        "share of the rows' mean square that lies in their mean",
        family.mean_norm_ratio,
        "scale",
        UNCENTRED,
        lowest=0.0,
        highest=1.0,
    ),
    Metric(
        "normalised_std",
        "a coordinate's standard deviation against a row's norm: 1 isotropic, 0 collapsed",
        family.normalised_std,
        "scale",
        UNCENTRED,
        lowest=0.0,
        highest=1.0,
    ),
)

METRICS: Mapping[str, Metric[Spectrum] | Metric[Scales]] = MappingProxyType(
    {**{metric.name: metric for metric in SPECTRAL}, **{metric.name: metric for metric in SCALES}}
)
