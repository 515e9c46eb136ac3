"""Whether policies are asked, nobody is asked, or a promotion is refused for want of a policy.

What no policy speaks of is refused: a model that nobody thought of is not let through. Two things are left alone, and
both are written down: aliases on the list of every policy that names the model, and models that an Exemption names and
no policy does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from mlflow_rank.policy.exemption import Exemption
from mlflow_rank.policy.load import Policy
from mlflow_rank.policy.model import PromotionPolicy
from mlflow_rank.policy.targets import canonical_target

Kind = Literal["governed", "ungated", "exempt", "uncovered"]
RETIRED = ("stage:None", "stage:Archived")  # where a version is put that is served no more


@dataclass(frozen=True, slots=True)
class Standing:
    """How a model and a target stand under all policies, and why.

    Attributes:
        model: the registered name.
        target: in its canonical form, or as given where it has none.
        kind: `governed`: the policies must approve. `ungated` and `exempt`: nobody is asked. `uncovered`: refused, as
            no policy could approve.
        policies: those that are asked, in order of name; none unless governed.
        reason: why, as one sentence.
    """

    model: str
    target: str
    kind: Kind
    policies: tuple[PromotionPolicy, ...]
    reason: str

    @property
    def left_alone(self) -> bool:
        """Whether the gate leaves the target of this model to anybody."""
        return self.kind in ("ungated", "exempt")


def standing(policies: Iterable[Policy], model: str, alias_or_stage: str) -> Standing:
    """Return how a model and a target stand: a pure and total function, in whatever order the policies come.

    Args:
        policies: all that are in force, of every kind; a WatchPolicy plays no part.
        model: the registered name, as the registry spells it.
        alias_or_stage: the target, `alias:NAME` or `stage:NAME`, in any spelling; what is no target is uncovered.

    >>> standing([], "encoder", "alias:Champion").reason
    'No policy and no exemption names encoder.'
    """
    every = list(policies)
    naming = _each_once(each for each in every if isinstance(each, PromotionPolicy) and each.match.names(model))
    exempting = sorted({each.metadata.name for each in every if isinstance(each, Exemption) and each.names(model)})
    if exempting and not naming:
        by = "exemption" if len(exempting) == 1 else "exemptions"
        return _unasked(model, alias_or_stage, "exempt", f"{model} is exempt by the {by} {_listed(exempting)}.")
    try:
        target = canonical_target(alias_or_stage)
    except ValueError as error:
        return _unasked(model, alias_or_stage, "uncovered", f"No policy can be asked: {error}.")
    if target in RETIRED and not any(each.match.spells_out(target) for each in naming):
        said = f"{target} takes {model} out of use, and no policy names that stage."
        return _unasked(model, target, "ungated", said)
    asked = [each for each in naming if each.match.includes(target)]
    if asked:
        said = f"{_say(asked, 'is', 'are')} asked when {model} goes to {target}."
        return Standing(model, target, "governed", tuple(asked), said[:1].upper() + said[1:])
    return _beside(naming, model, target)


def _beside(naming: Sequence[PromotionPolicy], model: str, target: str) -> Standing:
    """Return how a target stands that none of the policies that name the model is asked about."""
    if not naming:
        return _unasked(model, target, "uncovered", f"No policy and no exemption names {model}.")
    silent = [each for each in naming if not each.match.ungates(target)]
    if silent:
        said = f"No policy is asked when {model} goes to {target}, and {_say(silent, 'does', 'do')} not ungate it."
        return _unasked(model, target, "uncovered", said)
    said = f"{_say(naming, 'leaves', 'leave')} {target} of {model} ungated."
    return _unasked(model, target, "ungated", said[:1].upper() + said[1:])


def _each_once(policies: Iterable[PromotionPolicy]) -> list[PromotionPolicy]:
    by_digest = {each.digest: each for each in policies}
    return sorted(by_digest.values(), key=lambda each: (each.metadata.name, each.metadata.revision, each.digest))


def _unasked(model: str, target: str, kind: Kind, reason: str) -> Standing:
    return Standing(model, target, kind, (), reason)


def _say(policies: Iterable[PromotionPolicy], one: str, several: str) -> str:
    names = sorted({each.metadata.name for each in policies})
    return f"policy {names[0]} {one}" if len(names) == 1 else f"policies {_listed(names)} {several}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
