"""How many independent rows the rows are worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlflow_rank.spectra.moments import Moments
from mlflow_rank.spectra.packed import Block


def effective_size(blocks: Sequence[Block], total: Moments) -> float:
    """Return N over the design effect: the number of independent rows whose mean would be as uncertain, in [blocks, N].

    The design effect is the mean square between block means over the mean square of all rows, both summed over the D
    dimensions: Σ_b n_b ‖m_b − m‖² / (B − 1), over trace(scatter) / (N − 1). Independent rows give 1; rows of a
    stationary AR(1) process with coefficient ρ in long blocks give (1 + ρ)/(1 − ρ); rows that are alike within a block
    and independent between give the block's size. `blocks` are two or more and not empty, `total` is their merger.

    Source: Kish (1965), Survey Sampling, section 8.2, with the variance of a mean taken between clusters.
    """
    counts = np.array([block.count for block in blocks], dtype=np.float64)
    offsets = np.array([block.mean - total.mean for block in blocks])
    between = float(counts @ (offsets**2).sum(axis=1)) / (len(blocks) - 1)
    within = float(total.scatter.trace()) / max(total.count - 1, 1)
    design_effect = between / within if within > 0.0 else 1.0
    return float(np.clip(total.count / max(design_effect, 1.0), len(blocks), total.count))
