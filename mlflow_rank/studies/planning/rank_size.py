"""How much unlabelled audio a rank needs: enough rows for its bias to be corrected, and for the precision asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from mlflow_rank.errors import UsageError

ROWS_PER_DIM = 4.0  # below, the half-split correction over-corrects (spectra.extrapolation)
SLOPE = 1.0  # of singular values against their index where no measurement is at hand: rank 152 of 768
ALIKE = 6.0  # by how much rows of one utterance, taken for independent, understate the error of a rank (measured)
FRAMES_PER_SECOND = 50.0  # of HuBERT, wav2vec 2.0, WavLM and data2vec: 320 samples at 16 kHz
Z = float(special.ndtri(0.975))


@dataclass(frozen=True, slots=True)
class RankSize:
    """Rows and minutes of audio that a rank at a level needs.

    `for_bias` and `for_precision` are minutes; the larger is needed. `half_width` is that of the 95 % interval, as a
    share of the rank.
    """

    level: str
    dim: int
    half_width: float
    rows: int
    for_bias: float
    for_precision: float

    @property
    def minutes(self) -> float:
        """The audio that is enough for both."""
        return max(self.for_bias, self.for_precision)


@dataclass(frozen=True, slots=True)
class Read:
    """The precision that was measured: minutes heard, rows they gave, and half the 95 % interval over the rank."""

    minutes: float
    rows: int
    half_width: float


def relative_error(dim: int, slope: float = SLOPE) -> float:
    """Return √N times the relative standard error of the effective rank of N independent Gaussian rows.

    With p_i = σ_i/Σσ, σ_i ∝ i^−slope and H the entropy: √(Σ p_i² (ln p_i + H)² / 2), from dR/dσ_i = −R (ln p_i + H)/Σσ
    and the variance 2λ²/N of an eigenvalue (Anderson 1963, Asymptotic theory for principal component analysis).

    >>> round(relative_error(768), 2)
    0.33
    """
    singular = np.arange(1, dim + 1, dtype=np.float64) ** -slope
    share = singular / singular.sum()
    logs = np.log(share)
    entropy = -float(share @ logs)
    return math.sqrt(float((share**2) @ (logs + entropy) ** 2) / 2)


def assumed_size(level: str, dim: int, half_width: float, *, rows_per_minute: float, alike: float) -> RankSize:
    """Return what is needed where nothing was measured: independent rows of an assumed spectrum, times `alike`.

    Args:
        level: of the rows, for the report.
        dim: D, of a row.
        half_width: asked for, as a share of the rank.
        rows_per_minute: that audio gives.
        alike: by how much rows that are alike understate the error; 1 for independent ones.

    Raises:
        UsageError: a number is out of its range.
    """
    _check(dim, half_width)
    precise = (Z * alike * relative_error(dim) / half_width) ** 2
    return _size(level, dim, half_width, precise / rows_per_minute, rows_per_minute)


def measured_size(level: str, dim: int, half_width: float, read: Read) -> RankSize:
    """Return what is needed judging by a measurement: an interval narrows with the root of the audio.

    Raises:
        UsageError: a number is out of its range.
    """
    _check(dim, half_width)
    minutes = read.minutes * (read.half_width / half_width) ** 2
    return _size(level, dim, half_width, minutes, read.rows / read.minutes)


def _size(level: str, dim: int, half_width: float, precise: float, rows_per_minute: float) -> RankSize:
    bias = ROWS_PER_DIM * dim / rows_per_minute
    rows = math.ceil(max(precise, bias) * rows_per_minute - 1e-6)  # rounding apart
    return RankSize(level, dim, half_width, rows, bias, precise)


def _check(dim: int, half_width: float) -> None:
    if dim < 2:
        raise UsageError("bad dimension of a layer", got=str(dim), expected="2 or more")
    if not 0.0 < half_width < 1.0:
        raise UsageError("bad precision of a rank", got=f"{half_width:g}", expected="a share above 0 and below 1")
