"""Scores read from tallies, with every group left out in turn and every group by itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.errors import UsageError
from mlflow_rank.probes.refusals import RefusedError
from mlflow_rank.probes.tallies import Tallies

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Metric:
    """A score: which way is better, what no knowledge scores, and what it is read from.

    `kind` is `share` (within [0, 1]) or `rate` (0 and above: PER can pass 1). `reads` is the kind of tallies, or
    `pairs` for scores of pairs of items (`verification`). `chance` takes the number of classes.
    """

    name: str
    meaning: str
    direction: Literal["higher", "lower"]
    kind: Literal["share", "rate"]
    reads: Literal["classes", "sequences", "pairs"]
    chance: Callable[[int], float]


def _one_of(classes: int) -> float:
    return 1.0 / classes


def _half(_: int) -> float:
    return 0.5


def _all(_: int) -> float:
    return 1.0


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric("balanced_accuracy", "mean recall of the classes", "higher", "share", "classes", _one_of),
            # of a uniform guess among equally frequent classes: precision = recall = 1/C
            Metric("macro_f1", "mean F1 of the classes", "higher", "share", "classes", _one_of),
            Metric(
                "balanced_frame_accuracy",
                "mean recall of the phones over frames, silence left out",
                "higher",
                "share",
                "classes",
                _one_of,
            ),
            # of an empty answer: every symbol deleted
            Metric("per", "phone errors per spoken phone, micro", "lower", "rate", "sequences", _all),
            Metric("eer_cosine", "equal error rate by cosine", "lower", "share", "pairs", _half),
            Metric("eer_probe", "equal error rate by the probe's values", "lower", "share", "pairs", _half),
        )
    }
)


@dataclass(frozen=True, slots=True)
class Replicates:
    """A score of R draws on G groups, in the three forms that intervals need.

    `full` (R,) is on all groups, `without` (R, G) on all but one, `alone` (R, G) on one; NaN only where leaving a group
    out, or taking it alone, leaves nothing to score. `items` are those of each group (n in all). `effective_items` is
    the number of equally weighted items that would be as uncertain, were items independent.
    """

    metric: Metric
    groups: tuple[str, ...]
    items: tuple[int, ...]
    effective_items: float
    full: NDArray[np.float64]
    without: NDArray[np.float64]
    alone: NDArray[np.float64]


def balanced_accuracy(counts: Array) -> NDArray[np.float64]:
    """Return the mean recall over classes that are present, of counts (…, C, 3); NaN where none is.

    >>> float(balanced_accuracy(np.array([[9, 10, 9], [1, 2, 2], [0, 0, 1]])))
    0.7
    """
    return _mean_of_present(counts[..., 0] / np.maximum(counts[..., 1], 1), counts[..., 1] > 0)


def macro_f1(counts: Array) -> NDArray[np.float64]:
    """Return the mean of 2·hits / (items + calls) over classes that are present, of counts (…, C, 3); NaN for none.

    A class that is called but absent costs the classes it was taken from, and is no class of the mean.
    """
    together = counts[..., 1] + counts[..., 2]
    return _mean_of_present(2 * counts[..., 0] / np.maximum(together, 1), counts[..., 1] > 0)


def error_rate(counts: Array) -> NDArray[np.float64]:
    """Return errors per reference symbol, of counts (…, 4); NaN without reference.

    >>> float(error_rate(np.array([1, 1, 0, 8])))
    0.25
    """
    return _ratio(counts[..., :3].sum(axis=-1), counts[..., 3])


FORMULAS: Mapping[str, Callable[[Array], NDArray[np.float64]]] = MappingProxyType(
    {
        "balanced_accuracy": balanced_accuracy,
        "balanced_frame_accuracy": balanced_accuracy,
        "macro_f1": macro_f1,
        "per": error_rate,
    }
)


def replicates(metric: str, tallies: Tallies) -> Replicates:
    """Return the score named `metric` of every draw on all groups, without each and on each alone.

    Raises UsageError where the metric reads other tallies, RefusedError where nothing was tested.
    """
    if metric not in FORMULAS or METRICS[metric].reads != tallies.kind:
        fitting = sorted(name for name in FORMULAS if METRICS[name].reads == tallies.kind)
        raise UsageError(
            f"no metric {metric!r} is read from tallies of {tallies.kind}", got=metric, expected=" or ".join(fitting)
        )
    counts = tallies.counts
    if not counts.size or not counts.any():
        raise RefusedError("no item was tested", remedy="label items of more groups, or test a larger share")
    of_group = counts[0, ..., 1].sum(axis=-1) if tallies.kind == "classes" else counts[0, ..., 3]
    total = counts.sum(axis=1)
    formula = FORMULAS[metric]
    return Replicates(
        metric=METRICS[metric],
        groups=tallies.groups,
        items=tuple(int(number) for number in of_group),
        effective_items=_effective(total[0], tallies.kind),
        full=formula(total),
        without=formula(total[:, None] - counts),
        alone=formula(counts),
    )


def _effective(total: Array, kind: str) -> float:
    """Kish's (Σw)² / Σw² with each item's weight in the score: 1/(C·n_c) for a mean over classes gives C² / Σ 1/n_c."""
    if kind == "sequences":
        return float(total[3])
    present = total[total[:, 1] > 0, 1]
    return float(len(present) ** 2 / math.fsum(1 / present))


def _ratio(above: Array, below: Array) -> NDArray[np.float64]:
    return np.where(below > 0, above / np.maximum(below, 1), np.nan)


def _mean_of_present(values: Array, present: Array) -> NDArray[np.float64]:
    return _ratio((values * present).sum(axis=-1), present.sum(axis=-1))
