"""What all parts of a policy are, and what all rules have: closed, frozen, and refused where they make no sense."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from mlflow_rank.evidence.strict_yaml import PLACED
from mlflow_rank.policy.vocabulary import Identifier, Severity

Flaw = tuple[str, str]  # the field it is about, and what is wrong
Misfit = tuple[tuple[str | int, ...], str]  # the path within a part of a policy, and what is wrong


class Closed(BaseModel):
    """What all parts of a policy are: strict, frozen, and without unknown fields."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", use_attribute_docstrings=True)


def refuse(misfits: Iterable[Misfit]) -> None:
    """Raise what a validator raises, with all that was found and where; nothing where that is nothing."""
    problems = [(list(path), message) for path, message in misfits]
    if problems:
        words = "; ".join(f"{'.'.join(map(str, path))}: {message}" for path, message in problems)
        raise PydanticCustomError(PLACED, "{words}", {"words": words, "problems": problems})


class RuleBase(Closed):
    """What every rule has; with a flaw there is no such rule."""

    id: Identifier
    """Names the rule in `decide`, waivers and findings."""
    severity: Severity = "block"
    """block: counts in `decide`. warn: is checked and shown, and decides nothing."""
    why: Annotated[str, StringConstraints(max_length=500)] = ""
    """For people: why this is asked."""

    proves: ClassVar[bool] = False  # whether a pass says that the encoder is good for a task: lock of `rank alone`

    def flaws(self) -> Iterator[Flaw]:
        """Yield what makes no sense in this rule."""
        return iter(())

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        refuse(((field,), message) for field, message in self.flaws())
        return self

    def passes_unmeasured(self) -> bool:
        """Say whether the rule can pass without any measured number, as where there is no champion yet."""
        return False
