"""Which registered models no policy is asked about: there, every promotion to a protected target is denied."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mlflow_rank.policy.model import PromotionPolicy


@dataclass(frozen=True, slots=True)
class Covered:
    """A model and a target, and the names of the policies that are asked when it is promoted there."""

    model: str
    target: str
    policies: tuple[str, ...]


def coverage(policies: Sequence[PromotionPolicy], models: Iterable[str], targets: Sequence[str]) -> list[Covered]:
    """Return, for every model and target, which policies cover it.

    >>> coverage([], ["encoder"], ["alias:champion"])
    [Covered(model='encoder', target='alias:champion', policies=())]
    """
    return [
        Covered(
            model,
            target,
            tuple(sorted({policy.metadata.name for policy in policies if policy.matches(model, target)})),
        )
        for model in sorted(models)
        for target in targets
    ]


def protected_targets(policies: Sequence[PromotionPolicy], usual: Sequence[str] = ("alias:champion",)) -> list[str]:
    """Return the targets that any policy names, and the usual ones."""
    named = {target for policy in policies if policy.match.targets != "any" for target in policy.match.targets}
    return sorted(named | set(usual))
