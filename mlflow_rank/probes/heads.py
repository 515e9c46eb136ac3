"""The classifiers that a pilot puts on a layer, by name, and what each of them offers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.probes.centroid import Centroid
from mlflow_rank.probes.logistic import Logistic
from mlflow_rank.probes.ridge import Ridge


class FittedHead(Protocol):
    """A head that has seen its training items."""

    @property
    def held_out(self) -> float | None:
        """Balanced accuracy on the training items, each predicted without its group, at the chosen penalty.

        Optimistic, as the penalty was chosen by it: it is for choosing layers inside the training items and is never
        reported. Items whose class has no items outside their group are left aside; None where that is all of them.
        """

    @property
    def penalty(self) -> float | None:
        """The penalty chosen, in the head's own unit; None where the head has none."""

    def decide(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the decision values (m, C) of `features` (m, d); higher is more likely, and all are finite."""


class Head(Protocol):
    """A way to learn classes from labelled items; `normalisation` says in words what it does to the features."""

    @property
    def name(self) -> str:
        """What it is called in results and on the command line."""

    @property
    def normalisation(self) -> str:
        """What it does to the features and how it chooses its penalty, in words, printed with results."""

    def fit(
        self, features: NDArray[np.floating], labels: NDArray[np.integer], groups: NDArray[np.integer], *, classes: int
    ) -> FittedHead:
        """Return the head fitted to `features` (n, d) with `labels` (n,) from 0 to `classes` − 1 in `groups` (n,).

        Raises:
            UsageError: shapes do not fit, a label is no class, or fewer than two classes have items.
            MeasurementError: a feature is NaN or infinite.
        """


_ALL: tuple[Head, ...] = (Ridge(), Logistic(), Centroid())
HEADS: Mapping[str, Head] = MappingProxyType({head.name: head for head in _ALL})  # the first is the default
