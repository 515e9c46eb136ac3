"""Which units (speakers, sessions, recordings) are tested, and which give the training labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mlflow_rank.probes.seeded_order import seeded_order

STARTS = 16  # seeded orders tried before a split that leaves a class on one side only is accepted
CANDIDATES = 32  # units tried as a swap for each class that is on one side only; bounds the search for thousands


def units_to_test(labels: Sequence[str], units: Sequence[str], *, share: float, seed: int) -> frozenset[str]:
    """Return the units to test: about `share` of all, at least one on either side, chosen by names and seed only.

    `labels` and `units` have one entry per item; there are two units or more. Where every unit carries one label
    (sessions of a speaker, speakers of an accent) each label's units are split by themselves. Otherwise the first
    seeded split with every label on both sides is taken, repaired by swaps where chance alone does not find it; where
    none is found, the one with the fewest labels on one side only.

    >>> sorted(units_to_test(["x", "x", "y", "y"], ["a", "b", "c", "d"], share=0.5, seed=0) & {"a", "b"}) != ["a", "b"]
    True
    """
    of_label: dict[str, set[str]] = {}
    of_unit: dict[str, set[str]] = {}
    for label, unit in zip(labels, units, strict=True):
        of_label.setdefault(label, set()).add(unit)
        of_unit.setdefault(unit, set()).add(label)
    if all(len(carried) == 1 for carried in of_unit.values()):
        chosen: set[str] = set()
        for label, members in of_label.items():
            if len(members) > 1:
                chosen.update(seeded_order(members, seed, "test", label)[: _tested(len(members), share)])
        return frozenset(chosen)
    return _covering(of_unit, of_label, share, seed)


def _tested(units: int, share: float) -> int:
    return min(max(round(share * units), 1), units - 1)


def _covering(of_unit: dict[str, set[str]], of_label: dict[str, set[str]], share: float, seed: int) -> frozenset[str]:
    labels = sorted(of_label)
    best: frozenset[str] = frozenset()
    fewest = len(labels) + 1
    for start in range(STARTS):
        order = seeded_order(of_unit, seed, "test", start)
        presence = np.array([[label in of_unit[unit] for label in labels] for unit in order])
        tested = np.arange(len(order)) < _tested(len(order), share)
        one_sided = _repair(presence, tested)
        if one_sided < fewest:
            fewest = one_sided
            best = frozenset(unit for unit, chosen in zip(order, tested, strict=True) if chosen)
        if fewest == 0:
            break
    return best


def _repair(presence: NDArray[np.bool_], tested: NDArray[np.bool_]) -> int:
    """Swap tested and other units, in place, while that leaves fewer labels on one side; return how many remain."""
    carries = presence.astype(np.int64)
    while True:
        inside, outside = carries[tested].sum(axis=0), carries[~tested].sum(axis=0)
        missing = np.flatnonzero((inside == 0) | (outside == 0))
        best, swap = len(missing), None
        for label in missing:
            wanted = ~tested if inside[label] == 0 else tested  # the side that has it gives one away
            giving = np.flatnonzero(wanted & presence[:, label])[:CANDIDATES]
            taking = np.flatnonzero(~wanted)
            for unit in giving:
                moved = (carries[unit] - carries[taking]) * (1 if inside[label] == 0 else -1)  # what the test gains
                left = ((inside + moved <= 0) | (outside - moved <= 0)).sum(axis=1)
                least = int(left.argmin())
                if left[least] < best:
                    best, swap = int(left[least]), (int(unit), int(taking[least]))
        if swap is None:
            return len(missing)
        tested[list(swap)] = tested[list(swap)[::-1]]
