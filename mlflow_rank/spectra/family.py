"""The formulas: every rank, slope and scale as a pure function of one spectrum.

The first four ranks are Hill numbers (effective numbers of directions) of one another's kind. With shares
q_i = λ_i / Σλ of the eigenvalues, `spectral_entropy_rank` has order 1, `participation_ratio` order 2 and `stable_rank`
order ∞; `effective_rank` is of order 1 in the shares of the singular values σ_i = √λ_i, and so sees small directions
(and noise) that the others pass over. All ranks lie in [1, min(N, D)] and change neither with the scale of the rows nor
with a rotation of their space.

Every function raises MeasurementError where the spectrum is zero: constant rows have no rank.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.errors import MeasurementError
from mlflow_rank.spectra.spectrum import Scales, Spectrum

RANKME_EPSILON = 1e-7  # Garrido et al. 2023 (arXiv 2210.02885) float32 data
THRESHOLD = 1e-4  # of the largest eigenvalue: a standard deviation of 1 % of the widest direction's; our choice
ALPHA_FIRST = 11  # Stringer et al. 2019 (doi 10.1038/s41586-019-1346-5) leave out the first ten components
ALPHA_LAST = 500  # and fit up to component 500
SINGULAR = 0.5  # the power of an eigenvalue that is a singular value


def effective_rank(spectrum: Spectrum) -> float:
    """Return exp of the entropy of the singular values' shares p_i = σ_i / Σσ; no ε.

    Source: Roy & Vetterli (2007), The effective rank, definition 1.

    >>> from mlflow_rank.spectra.moments import Moments
    >>> round(effective_rank(Spectrum.of(Moments.of(np.vstack([np.eye(3), -np.eye(3)])), centred=True)), 6)
    3.0
    """
    return _exp_entropy(_shares(spectrum, SINGULAR))


def rankme(spectrum: Spectrum, epsilon: float = RANKME_EPSILON) -> float:
    """Return exp(−Σ p_i ln p_i) with p_i = σ_i / Σσ + ε, over the min(N, D) singular values.

    ε stands outside the division, as published, so a flat spectrum may read up to D·ε·ln D above D, relatively.

    Source: Garrido et al. (2023), RankMe, arXiv 2210.02885.
    """
    shares = _shares(spectrum, SINGULAR)[: min(spectrum.count, spectrum.dim)] + epsilon
    return math.exp(-float(shares @ np.log(shares)))


def spectral_entropy_rank(spectrum: Spectrum) -> float:
    """Return exp of the entropy of the eigenvalues' shares λ_i / Σλ: the Hill number of order 1.

    Source: Hill (1973), Diversity and evenness, on shares of variance.
    """
    return _exp_entropy(_shares(spectrum))


def participation_ratio(spectrum: Spectrum) -> float:
    """Return (Σλ)² / Σλ²: the Hill number of order 2.

    Source: Gao et al. (2017), A theory of multineuronal dimensionality, dynamics and measurement.
    """
    shares = _shares(spectrum)
    return 1.0 / float(shares @ shares)


def stable_rank(spectrum: Spectrum) -> float:
    """Return Σλ / λ_max, the squared Frobenius norm over the squared spectral norm: the Hill number of order ∞.

    Source: Rudelson & Vershynin (2007), Sampling from large matrices.
    """
    return 1.0 / float(_shares(spectrum)[0])


def threshold_rank(spectrum: Spectrum, threshold: float = THRESHOLD) -> float:
    """Return how many eigenvalues are at least `threshold` times the largest, plus how far the next has come in ln λ.

    The whole part is the usual count. The fraction lets it move with the spectrum as a jackknife needs: a bare count
    stands still in most replicates.
    """
    relative = _relative(spectrum)
    relative = relative[relative > 0.0]
    kept = int((relative >= threshold).sum())
    if kept == relative.size:
        return float(kept)
    above, below = math.log(relative[kept - 1]), math.log(relative[kept])
    return kept + min((above - math.log(threshold)) / (above - below), 1.0 - 1e-9)  # 1 would be the next count


def energy_rank(spectrum: Spectrum, share: float) -> float:
    """Return how many leading eigenvalues hold `share` (0 to 1) of their sum, the last one in part; at least 1.

    Rounded up it is the usual count; the fraction lets it move with the spectrum as a jackknife needs.
    """
    held = np.cumsum(_shares(spectrum))
    target = share * held[-1]
    # A share that rounding puts a hair above a whole number of eigenvalues is that whole number.
    last = int(np.searchsorted(held, target * (1.0 - 1e-12)))  # 1e-12: D sums of rounding 2⁻⁵³ each, D < 9000
    before = held[last - 1] if last else 0.0
    return max(1.0, last + min(1.0, float((target - before) / (held[last] - before))))


def alpha(spectrum: Spectrum) -> float:
    """Return α of the power law λ_i ∝ i^−α: minus the least-squares slope of ln λ on ln i over `alpha_range`.

    A slope near 1 is a wide code that is still smooth; below 1 the tail rules, far above it few directions.

    Source: Stringer et al. (2019), doi 10.1038/s41586-019-1346-5; Agrawal et al. (2022), α-ReQ, NeurIPS.

    Raises:
        MeasurementError: fewer than three eigenvalues of the range are above rounding.
    """
    first, last = alpha_range(spectrum.dim)
    relative = _relative(spectrum)
    usable = min(last, int((relative > 0.0).sum()))
    if usable - first + 1 < 3:
        raise MeasurementError(
            f"a slope needs three eigenvalues within i = {first}…{last}",
            got=f"{max(0, usable - first + 1)} above rounding",
        )
    x = np.log(np.arange(first, usable + 1))
    y = np.log(relative[first - 1 : usable])
    x -= x.mean()
    return -float(x @ y / (x @ x))


def alpha_range(dim: int) -> tuple[int, int]:
    """Return the first and last index i (from 1) of the power-law fit at `dim` dimensions.

    The head is left out as in Stringer et al.; the half of the smallest eigenvalues too, as few rows bend it most.

    >>> alpha_range(768), alpha_range(24)
    ((11, 384), (4, 12))
    """
    return min(ALPHA_FIRST, 1 + dim // 8), min(ALPHA_LAST, dim // 2)


def isoscore(spectrum: Spectrum) -> float:
    """Return (PR − 1) / (D − 1) of the participation ratio PR: 0 for one direction, 1 for all alike.

    Source: Rudman et al. (2022), IsoScore, arXiv 2108.07344; its steps reduce to this closed form.

    Raises:
        MeasurementError: there is only one dimension.
    """
    if spectrum.dim == 1:
        raise MeasurementError("one dimension is neither isotropic nor not", got="D = 1", expected="D ≥ 2")
    return (participation_ratio(spectrum) - 1.0) / (spectrum.dim - 1)


def total_variance(scales: Scales) -> float:
    """Return the trace of the covariance (divided by N), in squared units of the rows; 0 for constant rows."""
    return scales.total_variance


def mean_norm_ratio(scales: Scales) -> float:
    """Return ‖mean‖² / (‖mean‖² + total variance), in [0, 1]: the share of a row's mean square that all rows share.

    1 is collapse onto one vector, which no centred rank can see.
    """
    return scales.mean_norm**2 / _mean_square(scales)


def normalised_std(scales: Scales) -> float:
    """Return √D · (mean over coordinates of their standard deviation) / (root mean square norm of the rows), in [0, 1].

    1 for centred rows that vary alike in every coordinate, 0 for collapse onto one vector; variation in few coordinates
    reads low. It is the collapse diagnostic of SimSiam (√D times the standard deviation of l2-normalised outputs), but
    rows are divided by their common root mean square norm, not each by its own: equal where norms are equal, as after a
    layer norm. Unlike a rank it changes with a rotation.

    Source: Chen & He (2021), SimSiam, arXiv 2011.10566, section 4.1.
    """
    return math.sqrt(scales.dim / _mean_square(scales)) * scales.mean_channel_std


def _mean_square(scales: Scales) -> float:
    """Return the mean squared norm of the rows, above 0."""
    mean_square = scales.mean_norm**2 + scales.total_variance
    if mean_square <= 0.0:
        raise MeasurementError("every row is zero", got="rows of norm 0", expected="rows that are not all zero")
    return mean_square


def _relative(spectrum: Spectrum) -> NDArray[np.float64]:
    """Return the eigenvalues as multiples of the largest, (D,), descending from 1."""
    largest = spectrum.eigenvalues[0]
    if not largest > 0.0:
        what = "every row is the same: nothing varies" if spectrum.centred else "every row is zero"
        raise MeasurementError(what, got="a spectrum of zeros", expected="at least one positive eigenvalue")
    return np.asarray(spectrum.eigenvalues / largest)


def _shares(spectrum: Spectrum, power: float = 1.0) -> NDArray[np.float64]:
    """Return λ_i^power / Σ λ^power, (D,), descending; relative to the largest first, so no sum under- or overflows."""
    weights = _relative(spectrum) ** power
    return np.asarray(weights / weights.sum())


def _exp_entropy(shares: NDArray[np.float64]) -> float:
    """Return exp(−Σ p ln p) with 0 ln 0 = 0."""
    positive = shares[shares > 0.0]
    return math.exp(-float(positive @ np.log(positive)))
