"""What scales and spectrum would be without one block: every replicate of the jackknife from one decomposition."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas

from mlflow_rank.spectra.moments import Moments
from mlflow_rank.spectra.packed import Block, upper_scatter
from mlflow_rank.spectra.spectrum import Scales, Spectrum


def scales_without(block: Block, total: Moments) -> Scales:
    """Return the scales of the rows of `total` that are not in `block`; exact."""
    rest = total.count - block.count
    offset = block.mean - total.mean
    diagonal = total.diagonal - block.diagonal - offset**2 * (block.count * total.count / rest)
    return Scales.from_variances(rest, total.mean - offset * (block.count / rest), diagonal / rest)


def spectra_without(
    blocks: Sequence[Block],
    total: Moments,
    eigenvalues: NDArray[np.float64],
    eigenvectors: NDArray[np.float64],
    *,
    centred: bool,
) -> list[Spectrum]:
    """Return, for each block, the spectrum of the rows of all others, to first order in what the block changes.

    The eigenvalues of the leave-out matrix C₍₋b₎ are diag(Vᵀ C₍₋b₎ V) in the eigenvectors V (D, D) of the whole, whose
    `eigenvalues` are (D,), of a matrix per row. `blocks` are two or more, none empty; `total` is their merger.

    Source: first-order perturbation of symmetric eigenvalues, Kato (1966), Perturbation theory for linear operators.
    """
    vectors = np.asfortranarray(eigenvectors)
    spectra = []
    for block in blocks:
        rest = total.count - block.count
        if centred:
            offset = (block.mean - total.mean) @ vectors
            taken = offset**2 * (block.count * total.count / rest)
        else:
            taken = (block.mean @ vectors) ** 2 * block.count
        taken += _quadratic_forms(upper_scatter(block), vectors)
        remaining = (total.count * eigenvalues - taken) / rest
        spectra.append(Spectrum.from_eigenvalues(remaining, scales_without(block, total), centred=centred))
    return spectra


def _quadratic_forms(upper: NDArray[np.float64], vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return diag(Vᵀ S V), (D,), of symmetric S and V, both in Fortran order and S known by its upper triangle.

    Only that triangle U is multiplied, at half the price: S = U + Uᵀ − diag(S). In float64, since float32
    products would drown the small eigenvalues of a collapsed spectrum in rounding.
    """
    product = blas.dtrmm(1.0, upper, vectors)
    return np.asarray(2.0 * np.einsum("ij,ij->i", vectors.T, product.T) - upper.diagonal() @ vectors**2)
