"""How registered models stand: which policies are asked, and what none covers, where every promotion is refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mlflow_rank.policy.load import Policy
from mlflow_rank.policy.model import PromotionPolicy
from mlflow_rank.policy.scope import Standing, standing


def coverage(policies: Sequence[Policy], models: Iterable[str], targets: Sequence[str]) -> list[Standing]:
    """Return how every model and target stands, in order of model.

    >>> [each.kind for each in coverage([], ["encoder"], ["alias:champion"])]
    ['uncovered']
    """
    return [standing(policies, model, target) for model in sorted(models) for target in targets]


def protected_targets(policies: Sequence[Policy], usual: Sequence[str] = ("alias:champion",)) -> list[str]:
    """Return the targets that any policy that may approve names, and the usual ones."""
    asking = [policy.match.targets for policy in policies if isinstance(policy, PromotionPolicy)]
    named = {target for targets in asking if targets != "any" for target in targets}
    return sorted(named | set(usual))
