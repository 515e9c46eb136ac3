"""Which models and which of their aliases and stages a policy is asked about, and which aliases it leaves alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from mlflow_rank.policy.closed import Closed, Misfit
from mlflow_rank.policy.vocabulary import Targets

CHAMPION = "champion"
_ALIAS_GLOB = r"^[a-z0-9*?\[][a-z0-9_*?!\[\]-]{0,254}$"  # what an alias in canonical form can be, with * ? [..]


def _alias_glob(text: str) -> str:
    """Return the name or glob of aliases that it is.

    Raises:
        PydanticCustomError: no alias in canonical form can be meant.
    """
    if not re.fullmatch(_ALIAS_GLOB, text):
        message = "{text} names no alias; write it without alias:, in lower-case ASCII letters, digits, - and _"
        raise PydanticCustomError("alias", message, {"text": ascii(text)})  # so that a look-alike shows
    return text


ModelGlobs = Annotated[tuple[Annotated[str, StringConstraints(min_length=1, max_length=256)], ...], Field(min_length=1)]
AliasGlob = Annotated[str, AfterValidator(_alias_glob), Field(json_schema_extra={"pattern": _ALIAS_GLOB})]


class Match(Closed):
    """Which models, and which promotions of them, the policy is asked about."""

    models: ModelGlobs
    """Names of registered models, with * ? [..] as in file names; upper and lower case differ."""
    targets: Targets

    def names(self, model: str) -> bool:
        """Say whether the policy is about this model at all."""
        return any_matches(self.models, model)

    def includes(self, target: str) -> bool:
        """Say whether it is asked about this target, in its canonical form."""
        return self.targets == "any" or self.spells_out(target)

    def spells_out(self, target: str) -> bool:
        """Say whether the target is among those that the policy names, so that `any` is not enough."""
        return isinstance(self.targets, tuple) and target in self.targets

    def misfits(self) -> Iterator[Misfit]:
        """Yield what makes no sense."""
        yield from model_misfits(self.models, ("match", "models"))
        if isinstance(self.targets, tuple) and len(set(self.targets)) < len(self.targets):
            yield ("match", "targets"), "names one twice"


class PromotionMatch(Match):
    """Which models and promotions of them the policy is asked about, and which aliases anybody may move."""

    ungated_aliases: tuple[AliasGlob, ...] = ()
    """Aliases of these models that anybody may move, by name or with * ? [..]: [candidate, "exp-*"]. Never champion."""

    def ungates(self, target: str) -> bool:
        """Say whether the target is an alias that the policy leaves alone."""
        sort, _, name = target.partition(":")
        return sort == "alias" and any_matches(self.ungated_aliases, name)

    def includes(self, target: str) -> bool:
        """Say whether it is asked about this target, in its canonical form."""
        return super().includes(target) and not self.ungates(target)

    def misfits(self) -> Iterator[Misfit]:
        """Yield what makes no sense."""
        yield from super().misfits()
        if len(set(self.ungated_aliases)) < len(self.ungated_aliases):
            yield ("match", "ungated_aliases"), "names one twice"
        own = [target.partition(":")[2] for target in self.targets if target.startswith("alias:")]
        for position, glob in enumerate(self.ungated_aliases):
            at = ("match", "ungated_aliases", position)
            if fnmatchcase(CHAMPION, glob):
                yield at, f"{glob!r} matches {CHAMPION}, which is never ungated"
                continue
            both = sorted(name for name in own if fnmatchcase(name, glob))
            if both:
                yield at, f"{glob!r} matches {both[0]}, which is one of the policy's own targets"


def any_matches(globs: Iterable[str], name: str) -> bool:
    """Say whether one of the globs matches a name, in its upper and lower case.

    >>> any_matches(["exp-*", "candidate"], "exp-7"), any_matches(["exp-*"], "Exp-7")
    (True, False)
    """
    return any(fnmatchcase(name, glob) for glob in globs)


def model_misfits(globs: tuple[str, ...], at: tuple[str, ...]) -> Iterator[Misfit]:
    """Yield what makes no sense in globs of models that stand at a place."""
    for position, glob in enumerate(globs):
        if not glob.isascii():
            yield (*at, position), f"{glob!r} holds letters that are not ASCII and may look like others"
    if len(set(globs)) < len(globs):
        yield at, "names one twice"
