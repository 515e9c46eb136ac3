"""Which ridge penalties are tried, and which of them is taken."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# In units of the mean eigenvalue: half decades from next to no penalty to one that leaves only the class means.
PENALTIES = tuple(10.0 ** (power / 2) for power in range(-8, 5))
UNCHOSEN = 7  # taken where no item can be predicted without its group; in simulations of one item per class, all from
# 1e-2 to 1 do alike, and more items choose from the middle of that


def mean_eigenvalue(values: NDArray[np.float64]) -> float:
    """Return the mean of the eigenvalues that are not zero up to rounding; 1 if none.

    Zeros do not count, so the mean is the same whether there are more items than dimensions or fewer, and whether
    items come once or twice.

    >>> mean_eigenvalue(np.array([0.0, 1.0, 3.0]))
    2.0
    """
    bound = values.max(initial=0.0) * values.size * np.finfo(np.float64).eps
    kept = values[values > bound]
    return float(kept.mean()) if kept.size else 1.0


def choose(errors: Sequence[float], accuracies: Sequence[float] | None = None) -> int:
    """Return the place of the penalty with the best accuracy, then the smallest error, then the largest penalty.

    Args:
        errors: squared error on left-out items, for every penalty, smallest penalty first.
        accuracies: on the same items; absent where only sums of frames are left.

    >>> choose([0.2, 0.1, 0.1], [0.5, 0.5, 0.5]), choose([0.2, 0.1, 0.1], [0.7, 0.5, 0.5])
    (2, 0)
    """
    accurate = [0.0] * len(errors) if accuracies is None else accuracies
    least = min(errors)
    # Errors closer than rounding tie, so that the order of the items does not matter.
    relative = [round(error / least, 10) if least > 0 else error for error in errors]
    return min(range(len(errors)), key=lambda place: (-accurate[place], relative[place], -place))
