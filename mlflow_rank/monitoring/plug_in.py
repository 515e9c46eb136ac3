"""One layer at one level in numbers: plug-in values, by the formulas that `measure` uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.errors import MeasurementError
from mlflow_rank.monitoring.point import Reading
from mlflow_rank.spectra import Moments, Spectrum, family
from mlflow_rank.spectra.spectrum import Scales


def of_moments(layer: int, level: str, moments: Moments) -> Reading:
    """Return the reading of many rows, from their moments.

    Where every row is the same the centred rank is None, as constant rows have none, and the cause says so; the other
    values stand. Without rows, or with numbers beyond float64, nothing stands.
    """
    return _reading(layer, level, moments, lambda centred: Spectrum.of(moments, centred=centred))


def of_rows(layer: int, level: str, rows: NDArray[np.float64]) -> Reading:
    """Return the reading of `rows` (N, D); fewer rows than dimensions are taken by the smaller side, N × N."""
    moments = Moments.of(rows)
    if len(rows) >= rows.shape[1]:
        return of_moments(layer, level, moments)
    return _reading(layer, level, moments, lambda centred: _by_small_side(rows, moments, centred=centred))


def unknown(layer: int, level: str, dim: int, cause: str) -> Reading:
    """Return the reading of a layer of which nothing is known."""
    return Reading(layer, level, 0, dim, cause=cause)


def _reading(layer: int, level: str, moments: Moments, spectrum: Callable[[bool], Spectrum]) -> Reading:
    reading = Reading(layer, level, moments.count, moments.dim)
    causes: dict[str, None] = {}

    def known(formula: Callable[[], float]) -> float | None:
        try:
            return formula()
        except MeasurementError as error:
            causes[error.what] = None
        except np.linalg.LinAlgError as error:
            causes[f"the spectrum could not be computed: {error}"] = None
        return None

    if moments.count == 0:
        return replace(reading, cause="no rows, nothing to measure")
    scales = Scales.of(moments)
    return replace(
        reading,
        rank=known(lambda: family.effective_rank(spectrum(True))),
        rank_uncentred=known(lambda: family.effective_rank(spectrum(False))),
        total_variance=known(lambda: family.total_variance(scales)),
        normalised_std=known(lambda: family.normalised_std(scales)),
        mean_norm_ratio=known(lambda: family.mean_norm_ratio(scales)),
        cause="; ".join(causes) or None,
    )


def _by_small_side(rows: NDArray[np.float64], moments: Moments, *, centred: bool) -> Spectrum:
    """Return the spectrum from the Gram matrix of the rows: the same eigenvalues but for zeros."""
    seen = rows - moments.mean if centred else rows
    eigenvalues = np.linalg.eigvalsh(seen @ seen.T / len(rows))
    zeros = np.zeros(moments.dim - len(rows))
    return Spectrum.from_eigenvalues(np.concatenate([eigenvalues, zeros]), Scales.of(moments), centred=centred)
