"""Every metric of one layer and level from the moments of its blocks, with interval, correction and status."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from mlflow_rank.errors import MeasurementError, UsageError
from mlflow_rank.spectra.intervals import half_width
from mlflow_rank.spectra.level import check_level
from mlflow_rank.spectra.metrics import METRICS, SCALES, SPECTRAL, Metric, S
from mlflow_rank.spectra.moments import Moments
from mlflow_rank.spectra.packed import Block
from mlflow_rank.spectra.replicates import Replicates, scale_replicates, spectrum_replicates
from mlflow_rank.spectra.sample import Sample
from mlflow_rank.spectra.spectrum import Spectrum


@dataclass(frozen=True, slots=True)
class RankEstimate:
    """One metric at one level and centring: a flat row of JSON-ready values.

    `value` is the plug-in estimate of all `n` rows, `corrected` the same less its bias, `se` the jackknife standard
    error, `low` and `high` the 95 % interval around `corrected` (around `value` where that is missing), all within the
    bounds of the metric. `n_effective` is how many independent rows the n are worth, `dim` is D. The status is

    - `ok`: corrected, with an interval. A metric of kind `scale` needs no correction: `corrected` is its `value`;
    - `uncorrected`: there is a `value`, but no correction, or no interval, or neither;
    - `unknown`: there is no `value` to trust.

    Where a number is None, `cause` says why; it is None exactly where the status is `ok`.
    """

    metric: str
    level: str
    centred: bool
    n: int
    n_effective: float | None
    dim: int
    status: Literal["ok", "uncorrected", "unknown"]
    cause: str | None
    value: float | None = None
    corrected: float | None = None
    se: float | None = None
    low: float | None = None
    high: float | None = None


def estimate(
    blocks: Sequence[Block],
    *,
    level: str,
    intervals: bool = True,
    metrics: Collection[str] | None = None,
    total: Moments | None = None,
) -> tuple[RankEstimate, ...]:
    """Return every metric that is reported at `level`, for each of its centrings.

    Args:
        blocks: moments of disjoint groups of rows, each group independent of the others: by speaker, or by utterance;
            about ten. Packed moments are opened one at a time. Empty blocks are passed over.
        level: what a row is, one of `LEVELS`.
        intervals: whether to estimate uncertainty and bias, which take most of the time.
        metrics: names of `METRICS` to report; by default all that this level has.
        total: the merger of the blocks where it is known more precisely than they are (blocks packed to float32).

    Raises:
        UsageError: no blocks, different dimensions, a total of other rows, an unknown level or metric.

    >>> import numpy as np
    >>> rows = np.random.default_rng(0).normal(size=(400, 4))
    >>> first, *_ = estimate([Moments.of(part) for part in np.split(rows, 10)], level="utterance")
    >>> first.metric, first.centred, first.status, f"{first.corrected:.1f}"
    ('effective_rank', True, 'ok', '4.0')
    """
    wanted = _wanted(check_level(level), metrics)
    sample = Sample.of(blocks, total, compare=intervals)
    spectral = [(metric, centred) for metric in SPECTRAL if metric.name in wanted for centred in metric.centrings]
    spectra: dict[bool, Replicates[Spectrum]] = {}
    if sample.no_value is None:
        spectra = {centred: spectrum_replicates(sample, centred=centred) for centred in {c for _, c in spectral}}
    rows = [_estimate(metric, centred, level, sample, spectra.get(centred)) for metric, centred in spectral]
    scales = scale_replicates(sample) if sample.total.count else None
    for metric in SCALES:
        if metric.name in wanted:
            rows += [_estimate(metric, centred, level, sample, scales) for centred in metric.centrings]
    return tuple(rows)


def _wanted(level: str, names: Collection[str] | None) -> set[str]:
    """Return the names of the metrics to report at `level`."""
    reported = {name for name, metric in METRICS.items() if level in metric.levels}
    if names is None:
        return reported
    if not set(names) <= reported:
        raise UsageError(
            f"not a metric of level {level}",
            got=", ".join(sorted(set(names) - reported)),
            expected=", ".join(name for name in METRICS if name in reported),
        )
    return set(names)


def _estimate(
    metric: Metric[S], centred: bool, level: str, sample: Sample, replicates: Replicates[S] | None
) -> RankEstimate:
    """Return one row; `replicates` is None where there are too few rows for any value."""
    n, dim = sample.total.count, sample.total.dim

    def unknown(cause: str) -> RankEstimate:
        return RankEstimate(metric.name, level, centred, n, sample.n_effective, dim, "unknown", cause)

    if replicates is None:
        return unknown(sample.no_value or "no rows")
    try:
        value = metric.formula(replicates.whole)
    except MeasurementError as error:
        return unknown(error.what)
    corrected, no_correction = _corrected(metric, value, sample, replicates)
    spread, no_interval = _error(metric, sample, replicates)
    low = high = None
    if spread is not None:
        centre, reach = value if corrected is None else corrected, half_width(spread, len(sample.blocks))
        low, high = metric.report(centre - reach, dim), metric.report(centre + reach, dim)
    causes = dict.fromkeys(cause for cause in (no_correction, no_interval) if cause)  # the two may be the same
    return RankEstimate(
        metric=metric.name,
        level=level,
        centred=centred,
        n=n,
        n_effective=sample.n_effective,
        dim=dim,
        status="uncorrected" if causes else "ok",
        cause="; ".join(causes) or None,
        value=metric.report(value, dim),
        corrected=None if corrected is None else metric.report(corrected, dim),
        se=spread,
        low=low,
        high=high,
    )


def _corrected(
    metric: Metric[S], value: float, sample: Sample, replicates: Replicates[S]
) -> tuple[float | None, str | None]:
    """Return the value less its bias, or None and why."""
    if metric.kind == "scale":
        return value, None
    if sample.no_correction:
        return None, sample.no_correction
    try:
        return replicates.corrected(metric), None
    except MeasurementError as error:
        return None, f"not corrected, as in one half of the blocks {error.what}"


def _error(metric: Metric[S], sample: Sample, replicates: Replicates[S]) -> tuple[float | None, str | None]:
    """Return the standard error, or None and why."""
    if sample.no_blocks:
        return None, sample.no_blocks
    try:
        return replicates.error(metric), None
    except MeasurementError as error:
        return None, f"no interval, as without one block {error.what}"
