"""How sure a score is, where the groups tested are few and the training items were drawn by chance.

Three sources of chance, and what is done about each:

- Which groups (speakers) are tested: the delete-a-group jackknife of the mean over draws, with Student's t. Not the
  percentile bootstrap: resampling G groups takes their spread for √((G − 1)/G) of what it is and the normal's tails
  for t's, so that its 95 % intervals cover about 89 % at 8 groups.
- Which training items are drawn: the variance of the R draws' scores, over R. What a draw and a group do to each other
  is in both terms, so the sum errs to the wide side. The pool they are drawn from stays the same, and with it its
  voices.
- The edge: scores near 0 or 1 have skewed errors, and a perfect score has none to learn from. So a score's interval is
  Wilson's, with the effective number of items n* that would have this standard error; and no score may claim more than
  a perfect one may, whose n* is n / (1 + (n/G − 1)·ρ): the items of a group with an intraclass correlation of ρ = 0.1.
  At 8 speakers with 50 items each a perfect score reads 1.00 [0.92, 1.00].

Sources: Busing, Meijer & van der Leeden (1999) for the jackknife; Satterthwaite (1946) for the degrees of freedom of
the sum; Wilson (1927) with effective size and t as in Dean & Pagano (2015), Evaluating confidence interval methods for
binomial proportions in clustered surveys, J. Survey Stat. Methodol. 3; Kish (1965) for the design effect.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from mlflow_rank.errors import UsageError
from mlflow_rank.probes.scores import Replicates
from mlflow_rank.spectra.intervals import CONFIDENCE, jackknife_error

POWER = 0.8  # of `resolvable`: four in five true differences of that size are found
INTRACLASS = 0.1  # ρ, only where no error shows it: keeps the coverage of near-perfect scores (tests, by simulation)


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % interval: bounds, standard error, and the degrees of freedom it was read with.

    `effective_n` is the number of independent items that would be as uncertain. `resolvable` is the smallest true
    difference found with 80 % power at the two-sided 5 % level: from this very difference's paired error, or, beside a
    single score, between two encoders tested without pairing (pairing resolves less).
    """

    low: float
    high: float
    se: float
    degrees: float
    effective_n: float
    resolvable: float


@dataclass(frozen=True, slots=True)
class NoInterval:
    """Why a score or a difference has no interval."""

    cause: str


@dataclass(frozen=True, slots=True)
class Score:
    """A mean over draws, how sure it is, and the group it is worst for (that group's own score, mean over draws)."""

    metric: str
    value: float
    interval: Interval | NoInterval
    n: int
    groups: int
    worst_group: float
    worst_group_name: str

    def row(self) -> dict[str, float | int | str | None]:
        """Return the score in the fields of a result's row; what has no value is null beside its cause."""
        return {
            "score": self.value,
            **_bounds(self.interval),
            "n": self.n,
            "groups": self.groups,
            "worst_group": self.worst_group,
            "worst_group_name": self.worst_group_name,
        }


@dataclass(frozen=True, slots=True)
class Difference:
    """The first score minus the second, and how sure it is; `n` items and `groups` of both together."""

    metric: str
    value: float
    interval: Interval | NoInterval
    n: int
    groups: int
    paired: bool

    def row(self) -> dict[str, float | int | str | None]:
        """Return the difference in the fields of a result's row, as the score of a row of its own."""
        return {"score": self.value, **_bounds(self.interval), "n": self.n, "groups": self.groups}


def score(found: Replicates) -> Score:
    """Return the mean over draws with its interval; one group, or one that carries all pairs, has none."""
    own = found.alone.mean(axis=0)
    ranked = sorted(
        (value if found.metric.direction == "higher" else -value, name)
        for value, name in zip(own.tolist(), found.groups, strict=True)
        if math.isfinite(value)
    )
    worst, name = ranked[0]
    value = float(found.full.mean())
    return Score(
        metric=found.metric.name,
        value=value,
        interval=_interval(found, value),
        n=sum(found.items),
        groups=len(found.groups),
        worst_group=worst if found.metric.direction == "higher" else -worst,
        worst_group_name=name,
    )


def difference(first: Replicates, second: Replicates, *, pairing: Literal["same_items", "other_items"]) -> Difference:
    """Return `first` minus `second`, both of the same draws.

    `same_items`: two encoders (or layers, heads) on the same test items, paired by group and draw. `other_items`: one
    encoder on two test sets (in-domain minus out-of-domain), paired by draw only; the sets' groups are strata of one
    jackknife, so a group in both is taken for two, which errs to the wide side where it is good or bad in both.

    Raises UsageError where metric, draws or, if paired, groups or items differ.
    """
    paired = pairing == "same_items"
    _ensure_same(first, second, paired)
    value = float(first.full.mean() - second.full.mean())
    n = sum(first.items) + (0 if paired else sum(second.items))
    groups = len(first.groups) + (0 if paired else len(second.groups))
    return Difference(first.metric.name, value, _difference_interval(first, second, value, paired), n, groups, paired)


def _interval(found: Replicates, value: float) -> Interval | NoInterval:
    cause = _no_jackknife(found)
    if cause:
        return NoInterval(cause)
    between = jackknife_error(value, found.without.mean(axis=0).tolist(), found.items) ** 2
    drawn = _draw_variance(found.full)
    degrees = _satterthwaite([(between, len(found.groups) - 1)], (drawn, len(found.full) - 1))
    t = _quantile(degrees, 0.5 + CONFIDENCE / 2)
    cautious = _cautious_size(found)
    spread = value * (1.0 - value) if found.metric.kind == "share" else value
    # No smaller than were each item of each draw by itself: groups that happen to score alike prove nothing. Pairs are
    # more than the items, so there it does not hold.
    alike = 0.0 if found.metric.reads == "pairs" else max(value * (1.0 - value), 0.0)
    se = math.sqrt(max(between + drawn, alike / (found.effective_items * len(found.full))))
    # A perfect score's error is zero up to rounding, which must not pass for one that was measured.
    size = spread / se**2 if se > 0.0 and spread > 0.0 else cautious
    bounds = _wilson if found.metric.kind == "share" else _poisson
    low, high = bounds(value, size, t)
    low = min(low, bounds(1.0, cautious, t)[0]) if found.metric.kind == "share" else low
    high = max(high, bounds(0.0, cautious, t)[1])
    resolved = math.hypot(1.0, 1.0) * max(se, _least_error(found)) * (t + _quantile(degrees, POWER))
    return Interval(low, high, se, degrees, size, resolved)


def _difference_interval(first: Replicates, second: Replicates, value: float, paired: bool) -> Interval | NoInterval:
    cause = _no_jackknife(first) or _no_jackknife(second)
    if cause:
        return NoInterval(cause)
    drawn = _draw_variance(first.full - second.full)
    sources = []
    if paired:
        without = (first.without - second.without).mean(axis=0)
        sources.append((jackknife_error(value, without.tolist(), first.items) ** 2, len(first.groups) - 1))
        least = _least_error(first)
    else:
        for one in (first, second):
            error = jackknife_error(float(one.full.mean()), one.without.mean(axis=0).tolist(), one.items)
            sources.append((error**2, len(one.groups) - 1))
        least = math.hypot(_least_error(first), _least_error(second))
    degrees = _satterthwaite(sources, (drawn, len(first.full) - 1))
    t = _quantile(degrees, 0.5 + CONFIDENCE / 2)
    se = max(math.sqrt(sum(variance for variance, _ in sources) + drawn), least)
    reach = 1.0 if first.metric.kind == "share" else math.inf
    size = _cautious_size(first) + (0.0 if paired else _cautious_size(second))
    return Interval(
        max(value - t * se, -reach), min(value + t * se, reach), se, degrees, size, se * (t + _quantile(degrees, POWER))
    )


def _no_jackknife(found: Replicates) -> str:
    if len(found.groups) < 2:
        return f"one group only ({found.groups[0]}): nothing shows how much groups differ"
    if not np.isfinite(found.without).all():
        return "without one of its groups nothing is left to score"
    return ""


def _ensure_same(first: Replicates, second: Replicates, paired: bool) -> None:
    differing = [
        f"{what}: {mine} and {its}"
        for what, mine, its, asked in (
            ("metric", first.metric.name, second.metric.name, True),
            ("draws", len(first.full), len(second.full), True),
            ("groups", first.groups, second.groups, paired),
            ("items of each group", first.items, second.items, paired),
        )
        if asked and mine != its
    ]
    if differing:
        raise UsageError(
            "these scores cannot be compared",
            got="; ".join(differing),
            expected="the same metric and draws" + (" on the same test items" if paired else ""),
        )


def _draw_variance(full: NDArray[np.float64]) -> float:
    return float(full.var(ddof=1) / len(full)) if len(full) > 1 else 0.0


def _satterthwaite(between: list[tuple[float, int]], drawn: tuple[float, int]) -> float:
    """Return the degrees of freedom of a sum of (variance, degrees); the groups' where nothing varies."""
    varying = [(variance, degrees) for variance, degrees in [*between, drawn] if variance > 0.0]
    if not varying:
        return float(min(degrees for _, degrees in between))
    total = sum(variance for variance, _ in varying)
    return total**2 / sum(variance**2 / degrees for variance, degrees in varying)


def _quantile(degrees: float, probability: float) -> float:
    return float(special.stdtrit(degrees, probability))


def _cautious_size(found: Replicates) -> float:
    """Return n / (1 + (n/G − 1)·ρ): n over Kish's design effect with the assumed ρ."""
    each = max(found.effective_items / len(found.groups), 1.0)
    return found.effective_items / (1.0 + (each - 1.0) * INTRACLASS)


def _least_error(found: Replicates) -> float:
    """Return the least standard error of a difference: one disagreement in n* + 2 items, however alike both are.

    Agresti & Min (2005), Simple improved confidence intervals for comparing matched proportions, Stat. Med. 24: two
    pseudo-pairs, of which one disagrees: √(1/(n + 2)²).
    """
    return 1.0 / (_cautious_size(found) + 2.0)


def _wilson(value: float, size: float, t: float) -> tuple[float, float]:
    """Solve (value − p)² = t² p (1 − p) / size."""
    shrink = t * t / size
    centre = (value + shrink / 2.0) / (1.0 + shrink)
    reach = math.sqrt(max(shrink * value * (1.0 - value) + shrink * shrink / 4.0, 0.0)) / (1.0 + shrink)
    return max(min(centre - reach, value), 0.0), min(max(centre + reach, value), 1.0)  # rounding apart


def _poisson(value: float, size: float, t: float) -> tuple[float, float]:
    """Solve (value − λ)² = t² λ / size, for rates without an upper end."""
    shrink = t * t / size
    reach = math.sqrt(shrink * value + shrink * shrink / 4.0)
    return max(value + shrink / 2.0 - reach, 0.0), value + shrink / 2.0 + reach


def _bounds(interval: Interval | NoInterval) -> dict[str, float | str | None]:
    if isinstance(interval, NoInterval):
        return {"low": None, "high": None, "se": None, "resolvable": None, "cause": interval.cause}
    return {
        "low": interval.low,
        "high": interval.high,
        "se": interval.se,
        "resolvable": interval.resolvable,
        "cause": None,
    }
