"""A policy as a value: who it is for, what it asks, and how the answers combine. What makes no sense has no value.

`PromotionPolicy` may approve a promotion, and cannot exist in a form that could do so without a pilot. `WatchPolicy` is
of ranks and alarms only: it warns, and has no way to approve.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from mlflow_rank.evidence.canonical import digest_of
from mlflow_rank.policy.closed import Closed, Misfit, refuse
from mlflow_rank.policy.formula import (
    MOST_MENTIONS,
    AllOf,
    Formula,
    TooManyWaysError,
    can_pass_without,
    in_order,
    mentioned,
    needless,
    ways_to_pass,
)
from mlflow_rank.policy.matching import Match, PromotionMatch
from mlflow_rank.policy.rank_rules import RankAtLeast, RankAtMost
from mlflow_rank.policy.rules import Rule, WatchRule
from mlflow_rank.policy.terms import NOT_BY, Approvals, BreakGlass, EvidenceTerms, Metadata, Rollback, Waivers
from mlflow_rank.policy.vocabulary import Mode, Target

API_VERSION = "mlflow-rank/v1"
Place = tuple[str | int, ...]


class _Policy(Closed):
    apiVersion: Literal["mlflow-rank/v1"]  # noqa: N815 -- the field's name in every such document
    metadata: Metadata
    match: Match
    evidence: EvidenceTerms

    @cached_property
    def digest(self) -> str:
        """`sha256:…` of what the policy asks: the order of rules, lists and keys makes no difference."""
        return digest_of(self.document())

    def document(self) -> dict[str, Any]:
        """Return the policy as JSON values, in an order of its own."""
        document = self.model_dump(mode="json")
        document["rules"] = sorted((_sorted_lists(rule) for rule in document["rules"]), key=lambda rule: rule["id"])
        for part in ("match", "evidence", "approvals", "waivers", "break_glass", "rollback"):
            if document.get(part) is not None:
                document[part] = _sorted_lists(document[part])
        return document | {"metadata": self.metadata.document()}

    def matches(self, model: str, target: str) -> bool:
        """Say whether the policy is asked about this model and this target."""
        return self.match.names(model) and self.match.includes(target)


class PromotionPolicy(_Policy):
    """A policy that may approve: only where pilots passed, whatever else it asks."""

    kind: Literal["PromotionPolicy"]
    match: PromotionMatch
    mode: Mode
    """audit: decisions are recorded only. warn: also shown. enforce: what is denied does not happen."""
    promote: Literal["manual", "automatic"] = "manual"
    """automatic: the last missing piece of evidence or approval moves the alias by itself. Needs mode enforce."""
    rules: Annotated[tuple[Rule, ...], Field(min_length=1, max_length=500)]
    decide: Formula | None = None
    """How blocking rules combine; left out: all of them."""
    approvals: Approvals = Approvals(count=0)
    waivers: Waivers | None = None
    break_glass: BreakGlass | None = None
    """What an emergency allows; left out: nothing."""
    rollback: Rollback = Rollback()
    on_contrary_evidence: Literal["flag", "demote"] = "flag"
    """What happens when later evidence or a rejection speaks against the version at the target. flag: that is shown
    until somebody acts. demote: the target also goes back to the approved version before it."""

    @property
    def formula(self) -> Any:
        """How blocking rules combine."""
        if self.decide is not None:
            return self.decide
        return AllOf(all=tuple(sorted(rule.id for rule in self.rules if rule.severity == "block")))

    def document(self) -> dict[str, Any]:
        """Return the policy as JSON values, in an order of its own."""
        document = super().document() | {"decide": in_order(self.formula)}
        for part, name, said in (  # what is not written changes no digest; nor does what would be meant without it
            (document["match"], "ungated_aliases", bool(self.match.ungated_aliases)),
            (document["approvals"], "not_by", set(self.approvals.not_by) != set(NOT_BY)),
            (document["approvals"], "witnessed", self.approvals.witnessed),
            (document, "break_glass", self.break_glass is not None),
            (document, "rollback", set(self.rollback.signed_by) != set(Rollback().signed_by)),
            (document, "on_contrary_evidence", self.on_contrary_evidence != "flag"),
        ):
            if not said:
                del part[name]
        return document

    @property
    def proving(self) -> tuple[str, ...]:
        """Ids of the rules that show, whenever they pass, that the encoder is good for a task."""
        return tuple(
            rule.id for rule in self.rules if rule.proves and rule.severity == "block" and not rule.passes_unmeasured()
        )

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        refuse(
            [
                *_common_misfits(self),
                *self._decide_misfits(),
                *self._waiver_misfits(),
                *self.approvals.misfits(self.metadata.author),
                *(self.break_glass.misfits() if self.break_glass else ()),
                *self._promote_misfits(),
            ]
        )
        return self

    def _promote_misfits(self) -> Iterator[Misfit]:
        if self.promote == "automatic" and self.mode != "enforce":
            yield ("promote",), f"automatic needs mode: enforce; in mode {self.mode} a denial would stop nothing"

    def _decide_misfits(self) -> Iterator[Misfit]:
        blocking = {rule.id for rule in self.rules if rule.severity == "block"}
        if not blocking:
            yield ("rules",), "none of them blocks, so that anything would pass; give one severity: block"
            return
        listed = [] if self.decide is None else list(mentioned(self.decide))
        known = {rule.id for rule in self.rules}
        for rule, path in listed:
            if rule not in known:
                yield ("decide", *path), f"there is no rule {rule!r}; there are {', '.join(sorted(known))}"
            elif rule not in blocking:
                yield ("decide", *path), f"{rule!r} has severity: warn, which decides nothing; take it out of decide"
        if self.decide is not None:
            unused = blocking - {rule for rule, _ in listed}
            for position, each in enumerate(self.rules):
                if each.id in unused:
                    yield ("rules", position, "id"), f"{each.id!r} is never used in decide; add it, or make it warn"
        if any(rule not in blocking for rule, _ in listed):
            return
        try:
            yield from self._formula_misfits(blocking, listed)
        except TooManyWaysError:
            yield ("decide",), "has too many ways to pass for anybody to review; combine fewer alternatives"

    def _formula_misfits(self, blocking: set[str], listed: Sequence[tuple[str, Place]]) -> Iterator[Misfit]:
        if len(listed) > MOST_MENTIONS:
            raise TooManyWaysError
        ways = ways_to_pass(self.formula)
        at: Place = ("rules",) if self.decide is None else ("decide",)
        matter = {rule for way in ways for rule in way}
        idle = [] if self.decide is None else list(needless(self.decide))
        for path in idle:
            yield ("decide", *path), "can never make a difference: another part beside it settles it"
        for rule, path in listed:
            if not idle and rule not in matter:
                yield ("decide", *path), f"{rule!r} can never make a difference here"
        clashes = list(_clashes(self.rules))
        for way in ways:
            for first, second in clashes:
                if {first, second} <= way:
                    yield at, f"can never pass: {first!r} and {second!r} exclude each other"
        if can_pass_without(self.formula, blocking, self.proving):
            yield (
                at,
                (
                    "could approve without a pilot that passed; every way to pass needs a blocking rule such as "
                    "pilot_at_least, pilot_above_control or worst_group_at_least (not one with no_champion: pass)"
                ),
            )

    def _waiver_misfits(self) -> Iterator[Misfit]:
        by_id = {rule.id: rule for rule in self.rules}
        for position, name in enumerate(self.waivers.rules if self.waivers else ()):
            rule, at = by_id.get(name), ("waivers", "rules", position)
            if rule is None:
                yield at, f"there is no rule {name!r}; there are {', '.join(sorted(by_id))}"
            elif rule.kind.startswith(("pilot_", "worst_group", "domain_drop")) or getattr(rule, "of", "") == "pilot":
                yield at, f"{name!r} is a pilot rule, which nobody may waive"
            elif rule.severity == "warn":
                yield at, f"{name!r} has severity: warn, so there is nothing to waive"


class WatchPolicy(_Policy):
    """A policy for pipelines and monitors: ranks and alarms, `clear` or `warn`. It has no way to approve."""

    kind: Literal["WatchPolicy"]
    rules: Annotated[tuple[WatchRule, ...], Field(min_length=1, max_length=500)]

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        misfits = list(_common_misfits(self))
        misfits += [
            (("rules", position, field), "a WatchPolicy reads no pilots")
            for position, rule in enumerate(self.rules)
            for field in ("layers", "of")
            if str(getattr(rule, field, "")).startswith("pilot")
        ]
        misfits += [
            (("rules", position, "severity"), "has no meaning in a WatchPolicy, which only warns; leave it out")
            for position, rule in enumerate(self.rules)
            if rule.severity == "warn"
        ]
        refuse(misfits)
        return self


def _common_misfits(policy: PromotionPolicy | WatchPolicy) -> Iterator[Misfit]:
    seen: set[str] = set()
    for position, rule in enumerate(policy.rules):
        if rule.id in seen:
            yield ("rules", position, "id"), f"{rule.id!r} is taken by a rule above"
        seen.add(rule.id)
        layers = getattr(rule, "layers", ())
        if isinstance(layers, tuple) and len(set(layers)) < len(layers):
            yield ("rules", position, "layers"), "names a layer twice"
    yield from policy.match.misfits()
    yield from policy.metadata.misfits()


def _clashes(rules: Sequence[Any]) -> Iterator[tuple[str, str]]:
    """Yield pairs of a floor above a ceiling of one and the same number."""
    same = ("metric", "level", "centred", "unit", "task")
    for floor in rules:
        for ceiling in rules:
            if (
                isinstance(floor, RankAtLeast)
                and isinstance(ceiling, RankAtMost)
                and all(getattr(floor, name) == getattr(ceiling, name) for name in same)
                and floor.value > ceiling.value
                and (floor.bound == "point") == (ceiling.bound == "point")  # else they may be two numbers
                and _overlap(floor.layers, ceiling.layers)
            ):
                yield floor.id, ceiling.id


def _overlap(one: Any, other: Any) -> bool:
    if "all" in (one, other) or one == other:
        return True
    return isinstance(one, tuple) and isinstance(other, tuple) and not set(one).isdisjoint(other)


def _sorted_lists(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return a part with its lists sorted: all of them are sets of names or numbers."""
    return {key: sorted(value) if isinstance(value, list) else value for key, value in part.items()}


__all__ = [
    "API_VERSION",
    "Approvals",
    "BreakGlass",
    "EvidenceTerms",
    "Match",
    "Metadata",
    "PromotionMatch",
    "PromotionPolicy",
    "Rollback",
    "Target",
    "Waivers",
    "WatchPolicy",
]
