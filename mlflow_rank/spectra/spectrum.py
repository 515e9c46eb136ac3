"""The eigenvalues of moments, and the scales that no rank can see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.errors import MeasurementError
from mlflow_rank.spectra.moments import Moments, frozen

DOUBLE_PRECISION_STEP = 2.0**-52  # between neighbouring float64 numbers, relative (IEEE 754 binary64)
SINGLE_PRECISION_STEP = (
    2.0**-24
)  # the largest relative rounding error of float32 (IEEE 754 binary32: 24 significant bits)


@dataclass(frozen=True, slots=True, eq=False)
class Scales:
    """How far N rows of D dimensions lie from zero and from one another; no eigenvalue is needed for these.

    `mean_norm` is the length of the mean, `total_variance` the trace of the covariance, `mean_channel_std` the average
    over the D coordinates of their standard deviations. Variances divide by N. Units are those of the rows, squared
    for the variance.
    """

    count: int
    dim: int
    mean_norm: float
    total_variance: float
    mean_channel_std: float

    @classmethod
    def of(cls, moments: Moments) -> Scales:
        """Return the scales of `moments`.

        Raises:
            MeasurementError: there are no rows.

        >>> Scales.of(Moments.of(np.array([[0.0, 2.0], [0.0, 4.0]]))).total_variance
        1.0
        """
        if moments.count == 0:
            raise MeasurementError("no rows, nothing to measure", got="0 rows", expected="at least one")
        return cls.from_variances(moments.count, moments.mean, moments.scatter.diagonal() / moments.count)

    @classmethod
    def from_variances(cls, count: int, mean: NDArray[np.float64], variances: NDArray[np.float64]) -> Scales:
        """Return the scales of `count` rows with this mean (D,) and these variances of the coordinates (D,)."""
        variances = np.maximum(variances, 0.0)  # rounding may leave a constant coordinate a hair below zero
        return cls(
            count=count,
            dim=mean.size,
            mean_norm=float(np.linalg.norm(mean)),
            total_variance=float(variances.sum()),
            mean_channel_std=float(np.sqrt(variances).mean()),
        )

    @property
    def constant(self) -> bool:
        """Whether all rows agree to float32 precision, so that what scatters is rounding."""
        return self.total_variance <= (SINGLE_PRECISION_STEP * self.mean_norm) ** 2


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """The eigenvalues of the covariance (`centred`) or of the second moment of N rows of D dimensions.

    `eigenvalues` is (D,), descending, ≥ 0: scatter / N. Their square roots are the singular values of the matrix of
    rows up to the factor √N, on which no rank depends. At most min(N, D) are positive, one less of N when centred.

    >>> Spectrum.of(Moments.of(np.array([[0.0, 2.0], [0.0, 4.0]])), centred=True).eigenvalues.tolist()
    [1.0, 0.0]
    """

    eigenvalues: NDArray[np.float64]
    centred: bool
    scales: Scales

    @property
    def count(self) -> int:
        """The number of rows N."""
        return self.scales.count

    @property
    def dim(self) -> int:
        """The number of dimensions D."""
        return self.scales.dim

    @property
    def mean_norm(self) -> float:
        """The length of the mean of the rows."""
        return self.scales.mean_norm

    @classmethod
    def of(cls, moments: Moments, *, centred: bool) -> Spectrum:
        """Return the spectrum of `moments`, by a symmetric eigenvalue decomposition in float64.

        Raises:
            MeasurementError: there are no rows.
        """
        scales = Scales.of(moments)
        return cls.from_eigenvalues(np.linalg.eigvalsh(matrix_of(moments, centred=centred)), scales, centred=centred)

    @classmethod
    def from_eigenvalues(cls, eigenvalues: NDArray[np.floating], scales: Scales, *, centred: bool) -> Spectrum:
        """Return the spectrum with these eigenvalues (D,), in any order.

        Rounding leaves zeros a hair above or below zero; they are zero again. Where all rows agree to float32 precision
        the centred spectrum is zero.
        """
        descending = np.sort(np.maximum(eigenvalues, 0.0))[::-1]
        # D rounding errors add up like a random walk. Singular values below 1e-7 of the largest are lost with them,
        # which moves no rank of a condition number up to 1e8 by more than 1e-5.
        descending[descending <= np.sqrt(scales.dim) * DOUBLE_PRECISION_STEP * descending[0]] = 0.0
        descending[0 if centred and scales.constant else scales.count - centred :] = 0.0
        return cls(frozen(descending), centred, scales)


def matrix_of(moments: Moments, *, centred: bool) -> NDArray[np.float64]:
    """Return the covariance, or the second moment, of the rows of `moments`: (D, D), divided by N ≥ 1."""
    covariance = moments.scatter / moments.count
    return covariance if centred else covariance + np.outer(moments.mean, moments.mean)
