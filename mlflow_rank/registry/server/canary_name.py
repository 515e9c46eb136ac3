"""The name of a canary: a model that a policy governs and that cannot be anybody's, to try the gate with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mlflow_rank.policy.load import Policy
from mlflow_rank.policy.matching import any_matches
from mlflow_rank.policy.model import PromotionPolicy
from mlflow_rank.policy.scope import standing

MARK = "rank-canary-"
TARGETS = ("alias:champion", "stage:Production")
"""What a canary is moved to."""
_PART = re.compile(r"\*|\?|\[(!?)([^\]]+)\]|[^*?\[]|\[")
_ALPHABET = "x0abcdefghijklmnopqrstuvwyz123456789-_"  # from which a class of letters that excludes some is filled


@dataclass(frozen=True, slots=True)
class CanaryName:
    """A name to register, and which moves of a version of it the gate refuses without evidence.

    `governed` is whether a policy that enforces is asked; else the model is refused because no policy covers it.
    """

    name: str
    refused: tuple[str, ...]
    governed: bool

    def document(self) -> dict[str, object]:
        """Return it JSON-ready."""
        return {"name": self.name, "refused": list(self.refused), "governed": self.governed}


def canary_name(policies: Sequence[Policy], token: str) -> CanaryName:
    """Return what to call a canary: as governed by policies that enforce as can be, else a name that none covers.

    Args:
        policies: all that are in force.
        token: letters and digits that nobody guesses, so that the name is nobody's.

    >>> canary_name([], "7f3a")
    CanaryName(name='rank-canary-7f3a', refused=('alias:champion', 'stage:Production'), governed=False)
    """
    enforcing = [each for each in policies if isinstance(each, PromotionPolicy) and each.mode == "enforce"]
    globs = dict.fromkeys(glob for each in enforcing for glob in each.match.models)
    filled = [name for glob in globs for name in _filled(glob, f"{MARK}{token}")]
    names = [_seen(policies, name) for name in (*filled, f"{MARK}{token}")]
    return max(names, key=lambda each: (len(each.refused), each.governed))  # of equals, the first


def _seen(policies: Iterable[Policy], name: str) -> CanaryName:
    stands = [standing(policies, name, target) for target in TARGETS]
    enforced = [any(policy.mode == "enforce" for policy in each.policies) for each in stands]
    refused = tuple(each.target for each, one in zip(stands, enforced, strict=True) if one or each.kind == "uncovered")
    return CanaryName(name, refused, enforced[0])


def _filled(glob: str, mark: str) -> Iterator[str]:
    """Yield a name that a glob matches with the mark in it; none where it names whole models."""
    name, marked = "", False
    for part in _PART.finditer(glob):
        said = part[0]
        if said == "*":
            name, marked = name + ("" if marked else mark), True
        elif said == "?":
            name += "x"
        elif part[2] is not None:
            name += _letter(part[2], excluded=bool(part[1]))
        else:
            name += said
    if marked and any_matches([glob], name) and not set(name) & set("/:@") and len(name) <= 250:  # MLflow takes 256
        yield name


def _letter(letters: str, *, excluded: bool) -> str:
    return next((one for one in _ALPHABET if any_matches([f"[{'!' if excluded else ''}{letters}]"], one)), letters[0])
