"""One state of all rows, of all but each block, and of each half: what standard error and bias are read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic

import numpy as np

from mlflow_rank.spectra.influence import scales_without, spectra_without
from mlflow_rank.spectra.intervals import jackknife_error
from mlflow_rank.spectra.metrics import Metric, S
from mlflow_rank.spectra.sample import Sample
from mlflow_rank.spectra.spectrum import Scales, Spectrum, matrix_of


@dataclass(frozen=True, slots=True, eq=False)
class Replicates(Generic[S]):
    """Spectra or scales of `whole`, `without` each block (with the blocks' `counts`), and of the `halves`.

    `without` is empty where blocks are not compared, `halves` where no correction is asked for.
    """

    whole: S
    without: tuple[S, ...]
    halves: tuple[S, ...]
    counts: tuple[int, ...]

    def error(self, metric: Metric[S]) -> float:
        """Return the jackknife standard error of `metric`.

        Raises:
            MeasurementError: a replicate has no value.
        """
        left_out = [metric.formula(state) for state in self.without]
        return jackknife_error(metric.formula(self.whole), left_out, self.counts)

    def corrected(self, metric: Metric[S]) -> float:
        """Return `metric` of the whole less its bias, which the halves show.

        Raises:
            MeasurementError: a half has no value.
        """
        halves = [metric.formula(half) for half in self.halves]
        counts = [half.count for half in self.halves]
        return metric.extrapolation.limit(metric.formula(self.whole), halves, counts, dim=self.whole.dim)


def scale_replicates(sample: Sample) -> Replicates[Scales]:
    """Return the scales of a sample with rows; they need no correction, so no halves."""
    blocks = () if sample.no_blocks else sample.blocks
    without = tuple(scales_without(block, sample.total) for block in blocks)
    return Replicates(Scales.of(sample.total), without, (), tuple(sample.counts))


def spectrum_replicates(sample: Sample, *, centred: bool) -> Replicates[Spectrum]:
    """Return the spectra of a sample with rows, from one decomposition with eigenvectors and one without per half."""
    counts = tuple(sample.counts)
    if sample.no_blocks:
        return Replicates(Spectrum.of(sample.total, centred=centred), (), (), counts)
    eigenvalues, eigenvectors = np.linalg.eigh(matrix_of(sample.total, centred=centred))
    whole = Spectrum.from_eigenvalues(eigenvalues, Scales.of(sample.total), centred=centred)
    without = spectra_without(sample.blocks, sample.total, eigenvalues, eigenvectors, centred=centred)
    halves = () if sample.no_correction else tuple(Spectrum.of(half, centred=centred) for half in sample.halves)
    return Replicates(whole, tuple(without), halves, counts)
