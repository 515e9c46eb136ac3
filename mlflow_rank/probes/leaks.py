"""Nothing that is tested may have been trained on."""

from __future__ import annotations

from collections.abc import Sequence

from mlflow_rank.errors import UsageError
from mlflow_rank.probes.items import Items, listed


class LeakError(UsageError):
    """Audio or a speaker stands on both the training and the test side; `keys` are the test items concerned."""

    def __init__(self, what: str, *, keys: Sequence[str], trained: Sequence[str], remedy: str) -> None:
        super().__init__(
            what,
            got=f"tested: {listed(keys)}; trained: {listed(trained)}",
            expected="nothing that is tested among what is trained on",
            remedy=remedy,
        )
        self.keys = tuple(keys)

    # Made whole again from its state by MlflowRankError.__reduce__, so the different signature is no harm.


def ensure_no_shared_audio(train: Items, pool: Sequence[int], tested: Items, test: Sequence[int]) -> None:
    """Raise LeakError where an item of `tested` (at `test`) has the audio content of one of `train` (at `pool`)."""
    _ensure_apart(
        (train, pool, [train.digests[index] for index in pool]),
        (tested, test, [tested.digests[index] for index in test]),
        what="the same audio is on the training and the test side",
        remedy="keep one copy of each recording, under one speaker",
    )


def ensure_no_shared_units(
    train: Items, pool: Sequence[int], tested: Items, test: Sequence[int], *, unit: str, units: Sequence[Sequence[str]]
) -> None:
    """Raise LeakError where a unit of `tested` (at `test`) is one of `train` (at `pool`).

    `unit` says what it is (`group`, `session`); `units` are the names of the units of all items of `train` and of
    `tested`.
    """
    _ensure_apart(
        (train, pool, [units[0][index] for index in pool]),
        (tested, test, [units[1][index] for index in test]),
        what=f"the same {unit} is on the training and the test side",
        remedy=f"remove these items from one side, or rename the {unit} if it only shares its name",
    )


def _ensure_apart(
    train: tuple[Items, Sequence[int], Sequence[str]],
    test: tuple[Items, Sequence[int], Sequence[str]],
    *,
    what: str,
    remedy: str,
) -> None:
    shared = set(train[2]) & set(test[2])
    if shared:
        concerned = [
            sorted(items.keys[index] for index, mark in zip(indices, marks, strict=True) if mark in shared)
            for items, indices, marks in (train, test)
        ]
        raise LeakError(what, trained=concerned[0], keys=concerned[1], remedy=remedy)
