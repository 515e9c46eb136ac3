"""The centred effective rank of one layer and level, kept so that two encoders' can be compared block by block."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mlflow_rank.errors import MeasurementError
from mlflow_rank.spectra.family import effective_rank
from mlflow_rank.spectra.intervals import half_width, jackknife_error
from mlflow_rank.spectra.metrics import SPECTRAL
from mlflow_rank.spectra.packed import Block
from mlflow_rank.spectra.replicates import Replicates, spectrum_replicates
from mlflow_rank.spectra.sample import Sample
from mlflow_rank.spectra.spectrum import Spectrum

_EFFECTIVE_RANK = next(metric for metric in SPECTRAL if metric.name == "effective_rank")


@dataclass(frozen=True, slots=True)
class RankReading:
    """The rank that N = `n` rows of `dim` dimensions gave; None where `cause` says why it is unknown.

    `corrected` is less its bias, None below N/D = 4; `without` are the plug-in values without each block of `counts`
    rows, empty where blocks could not be compared.
    """

    layer: int
    level: str
    n: int
    dim: int
    value: float | None = None
    corrected: float | None = None
    without: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    cause: str | None = None

    @property
    def shown(self) -> float | None:
        """The corrected value where there is one, else the plug-in value."""
        return self.value if self.corrected is None else self.corrected

    @property
    def half_width(self) -> float | None:
        """Half of the 95 % interval, None where blocks could not be compared."""
        if self.value is None or not self.without:
            return None
        return half_width(jackknife_error(self.value, self.without, self.counts), len(self.counts))


@dataclass(frozen=True, slots=True)
class Ratio:
    """One rank over another of the same rows, with its 95 % interval; None and the cause where it is unknown."""

    value: float | None
    low: float | None
    high: float | None
    cause: str | None = None

    @property
    def direction(self) -> int:
        """1 where the first is higher, −1 where it is lower, 0 where the interval holds both."""
        if self.low is None or self.high is None:
            return 0
        return int(self.low > 1.0) - int(self.high < 1.0)


def read_rank(blocks: Sequence[Block], layer: int, level: str) -> RankReading:
    """Return the rank of all rows of the blocks; below as many rows as dimensions it is unknown.

    Args:
        blocks: moments of disjoint groups of rows; empty ones are passed over.
        layer: index of the layer.
        level: what a row is, for the record.
    """
    sample = Sample.of(blocks, None, compare=True)
    n, dim = sample.total.count, sample.total.dim
    if sample.no_value is not None:
        return RankReading(layer, level, n, dim, cause=sample.no_value)
    found: Replicates[Spectrum] = spectrum_replicates(sample, centred=True)
    try:
        value = effective_rank(found.whole)
        without = tuple(effective_rank(each) for each in found.without)
        corrected = None if sample.no_correction else found.corrected(_EFFECTIVE_RANK)
    except MeasurementError as error:
        return RankReading(layer, level, n, dim, cause=error.what)
    if corrected is not None:
        corrected = _EFFECTIVE_RANK.report(corrected, dim)
    return RankReading(layer, level, n, dim, value, corrected, without, found.counts if without else ())


def ratio(first: RankReading, second: RankReading) -> Ratio:
    """Return `first` over `second`, by the jackknife over the blocks that both share.

    Each plug-in value reads low by about as much at the same N, so their ratio is closer to the truth than either.

    >>> ratio(RankReading(1, "frame", 5, 9, cause="too few rows"), RankReading(1, "frame", 5, 9)).cause
    'too few rows'
    """
    cause = first.cause or second.cause
    if first.value is None or second.value is None or not second.value > 0:
        return Ratio(None, None, None, cause or "no rank to compare with")
    if (first.n, first.counts) != (second.n, second.counts):
        return Ratio(None, None, None, f"ranks of {first.n} and {second.n} rows are not compared")
    if first.corrected is not None and second.corrected is not None:
        value = math.log(first.corrected / second.corrected)
    else:
        value = math.log(first.value / second.value)
    if not first.without:
        return Ratio(math.exp(value), None, None, "fewer than two blocks of clips")
    plug_in = math.log(first.value / second.value)
    logs = [math.log(one / other) for one, other in zip(first.without, second.without, strict=True)]
    reach = half_width(jackknife_error(plug_in, logs, first.counts), len(logs))
    return Ratio(math.exp(value), math.exp(value - reach), math.exp(value + reach))
