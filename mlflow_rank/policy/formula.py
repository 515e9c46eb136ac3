"""How rules combine: `all` and `any` over rule ids, without `not`, so that better evidence never turns yes into no."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from functools import lru_cache
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from mlflow_rank.policy.closed import Closed
from mlflow_rank.policy.vocabulary import Identifier

MOST_WAYS = 128  # ways to pass; a formula with more is one that nobody can review
MOST_PAIRS = 8 * MOST_WAYS  # combined for one `all` before the larger ones are left out: milliseconds
MOST_MENTIONS = 1000  # rule ids in one formula: twice as many as a policy may have rules

PassSet = frozenset[str]


class TooManyWaysError(Exception):
    """A formula has more ways to pass than can be reviewed."""


def _form(value: Any) -> str | None:
    """Return the tag of a part; no tag is the name of a field, so that places of errors are told apart."""
    if isinstance(value, AllOf) or (isinstance(value, Mapping) and "all" in value):
        return "all of"
    if isinstance(value, AnyOf) or (isinstance(value, Mapping) and "any" in value):
        return "any of"
    return "rule" if isinstance(value, str) else None


def _combination(value: Any) -> str | None:
    return None if isinstance(value, str) else _form(value)


class AllOf(Closed):
    """Passes when every part passes."""

    all: Annotated[tuple[Clause, ...], Field(min_length=1)]


class AnyOf(Closed):
    """Passes when one part passes."""

    any: Annotated[tuple[Clause, ...], Field(min_length=1)]


Clause = Annotated[
    Annotated[Identifier, Tag("rule")] | Annotated[AllOf, Tag("all of")] | Annotated[AnyOf, Tag("any of")],
    Discriminator(
        _form,
        custom_error_type="clause",
        custom_error_message="must be the id of a rule, or all: or any: with a list of such",
    ),
]
Formula = Annotated[
    Annotated[AllOf, Tag("all of")] | Annotated[AnyOf, Tag("any of")],
    Discriminator(
        _combination,
        custom_error_type="formula",
        custom_error_message="must be all: or any: with a list of rule ids, or of further all: and any:",
    ),
]
AllOf.model_rebuild()
AnyOf.model_rebuild()


def passes(formula: str | AllOf | AnyOf, rules: Mapping[str, bool]) -> bool:
    """Say whether the formula passes, given which rules do.

    >>> passes(AnyOf(any=("a", AllOf(all=("b", "c")))), {"a": False, "b": True, "c": True})
    True
    """
    if isinstance(formula, str):
        return rules[formula]
    if isinstance(formula, AllOf):
        return all(passes(part, rules) for part in formula.all)
    return any(passes(part, rules) for part in formula.any)


def mentioned(formula: str | AllOf | AnyOf, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield each rule id that stands in the formula, with the path to it; one that stands there twice comes twice."""
    if isinstance(formula, str):
        yield formula, path
        return
    name, parts = _parts(formula)
    for position, part in enumerate(parts):
        yield from mentioned(part, (*path, name, position))


@lru_cache(maxsize=4096)  # parts are asked for again at each level of a formula
def ways_to_pass(formula: str | AllOf | AnyOf) -> frozenset[PassSet]:
    """Return the smallest sets of rules whose passing lets the formula pass (its prime implicants).

    Raises:
        TooManyWaysError: there are more than can be reviewed.

    >>> ways = ways_to_pass(AllOf(all=("a", AnyOf(any=("b", "c")))))
    >>> sorted(sorted(way) for way in ways)
    [['a', 'b'], ['a', 'c']]
    """
    if isinstance(formula, str):
        return frozenset({frozenset({formula})})
    if isinstance(formula, AnyOf):
        return _smallest({way for part in formula.any for way in ways_to_pass(part)})
    ways = frozenset({PassSet()})
    for part in formula.all:
        more = ways_to_pass(part)
        if len(ways) * len(more) > MOST_PAIRS:
            raise TooManyWaysError
        ways = _smallest({one | other for one in ways for other in more})
    return ways


def _smallest(ways: Set[PassSet]) -> frozenset[PassSet]:
    """Keep the sets that contain no other one."""
    kept: list[PassSet] = []
    for way in sorted(ways, key=len):
        if not any(smaller <= way for smaller in kept):
            kept.append(way)
        if len(kept) > MOST_WAYS:
            raise TooManyWaysError
    return frozenset(kept)


def needless(formula: str | AllOf | AnyOf, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of each part that makes no difference to the parts beside it.

    In an `any` these are branches that pass only where others do; in an `all`, parts that pass wherever another does.
    Of two that are the same, the later one is.

    >>> list(needless(AnyOf(any=("a", AllOf(all=("a", "b"))))))
    [('any', 1)]
    """
    if isinstance(formula, str):
        return
    name, parts = _parts(formula)
    kept = {position: ways_to_pass(part) for position, part in enumerate(parts)}
    for position, part in reversed(list(enumerate(parts))):
        yield from needless(part, (*path, name, position))
        own = kept.pop(position)
        if _settled(own, list(kept.values()), any_of=name == "any"):
            yield (*path, name, position)
        else:
            kept[position] = own


def _settled(own: frozenset[PassSet], others: Sequence[frozenset[PassSet]], *, any_of: bool) -> bool:
    if any_of:
        return _whenever(own, frozenset().union(*others))
    return any(_whenever(other, own) for other in others)


def _whenever(one: frozenset[PassSet], other: frozenset[PassSet]) -> bool:
    """Say whether the other passes whenever the one does."""
    return all(any(smaller <= way for smaller in other) for way in one)


def _parts(formula: AllOf | AnyOf) -> tuple[str, tuple[str | AllOf | AnyOf, ...]]:
    return ("all", formula.all) if isinstance(formula, AllOf) else ("any", formula.any)


def can_pass_without(formula: str | AllOf | AnyOf, rules: Iterable[str], proving: Iterable[str]) -> bool:
    """Say whether the formula could pass though no proving rule does: the load-time lock.

    `all` and `any` alone are monotone, so one evaluation answers for every state: proving rules fail, others pass.

    >>> can_pass_without(AnyOf(any=("rank", "pilot")), ["rank", "pilot"], ["pilot"])
    True
    >>> can_pass_without(AllOf(all=("rank", "pilot")), ["rank", "pilot"], ["pilot"])
    False
    """
    failing = set(proving)
    return passes(formula, {rule: rule not in failing for rule in rules})


def in_order(formula: str | AllOf | AnyOf) -> Any:
    """Return the formula as JSON values in an order of its own, the same however its parts were written down."""
    if isinstance(formula, str):
        return formula
    name, parts = _parts(formula)
    return {name: sorted((in_order(part) for part in parts), key=repr)}
