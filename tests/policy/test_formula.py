"""The first lock: no policy loads that could approve without a pilot. Held against brute force over all rule states."""

from __future__ import annotations

import itertools
import json
import random
import time
from functools import cache

import evidence
import hypothesis
import pytest
from hypothesis import strategies as st

from mlflow_rank.evidence.strict_yaml import DocumentError
from mlflow_rank.policy import load_policy
from mlflow_rank.policy.formula import (
    MOST_WAYS,
    AllOf,
    AnyOf,
    TooManyWaysError,
    can_pass_without,
    in_order,
    mentioned,
    needless,
    passes,
    ways_to_pass,
)

LOCK = "could approve without a pilot that passed"
NAMES = ("a", "b", "c", "d", "e", "f")


def combined(leaves):
    def more(parts):
        lists = st.lists(parts, min_size=1, max_size=4)
        return st.one_of(lists.map(lambda each: {"all": each}), lists.map(lambda each: {"any": each}))

    return more(st.recursive(leaves, more, max_leaves=10))


def formula_of(written):
    if isinstance(written, str):
        return written
    [(name, parts)] = written.items()
    made = tuple(formula_of(part) for part in parts)
    return AllOf(all=made) if name == "all" else AnyOf(any=made)


formulas = combined(st.sampled_from(NAMES))


def truth(written, passing) -> bool:
    """What a formula as it is written says, by a reading of its own."""
    if isinstance(written, str):
        return written in passing
    if "all" in written:
        return False not in {truth(part, passing) for part in written["all"]}
    return True in {truth(part, passing) for part in written["any"]}


def names_in(written) -> set[str]:
    if isinstance(written, str):
        return {written}
    return set().union(*(names_in(part) for part in next(iter(written.values()))))


def subsets(names):
    names = sorted(names)
    return (set(each) for size in range(len(names) + 1) for each in itertools.combinations(names, size))


def test_the_lock_agrees_with_brute_force_on_thousands_of_random_formulas():
    generator = random.Random(4)

    def drawn(depth: int):
        if depth == 0 or generator.random() < 0.4:
            return generator.choice(NAMES)
        return {generator.choice(["all", "any"]): [drawn(depth - 1) for _ in range(generator.randint(1, 4))]}

    open_without = 0
    for _ in range(4000):
        written = {generator.choice(["all", "any"]): [drawn(3) for _ in range(generator.randint(1, 4))]}
        names, proving = names_in(written), set(generator.sample(NAMES, generator.randint(0, 3)))
        by_force = any(truth(written, each) for each in subsets(names - proving))
        assert can_pass_without(formula_of(written), names, proving) == by_force, (written, proving)
        open_without += by_force
    assert 1000 < open_without < 3900  # both answers are common, so that neither goes untested


@hypothesis.settings(max_examples=50)
@hypothesis.given(formulas, st.sets(st.sampled_from(NAMES)))
def test_the_lock_and_the_ways_to_pass_agree_with_brute_force_over_all_states_of_the_rules(written, proving):
    names, formula = names_in(written), formula_of(written)
    passing = [each for each in subsets(names) if truth(written, each)]

    assert can_pass_without(formula, names, proving) == any(not each & proving for each in passing)
    smallest = {frozenset(each) for each in passing if not any(other < each for other in passing)}
    assert ways_to_pass(formula) == smallest


@hypothesis.given(formulas, st.sets(st.sampled_from(NAMES)))
def test_a_formula_passes_as_it_reads(written, passing):
    assert passes(formula_of(written), {name: name in passing for name in NAMES}) == truth(written, passing)


@hypothesis.given(formulas, st.sets(st.sampled_from(NAMES)), st.sampled_from(NAMES))
def test_one_more_rule_that_passes_never_makes_a_formula_fail(written, passing, more):
    formula = formula_of(written)
    before = passes(formula, {name: name in passing for name in NAMES})
    after = passes(formula, {name: name in passing | {more} for name in NAMES})

    assert after >= before


# at load

SOME = {
    "a": evidence.rule("rank_at_least", "a"),
    "b": evidence.rule("no_open_alarm", "b"),
    "c": evidence.rule("rank_within_envelope", "c", no_champion="pass"),
    "d": evidence.rule("pilot_at_least", "d"),
    "e": evidence.rule("pilot_not_worse", "e", no_champion="pass"),
    "f": evidence.rule("worst_group_at_least", "f"),
    "domain-drop": evidence.rule("domain_drop_at_most", "domain-drop"),
    "size": evidence.rule("pilot_size_at_least", "size"),
    "not-worse": evidence.rule("pilot_not_worse", "not-worse", no_champion="fail"),
}
PROVE = {"d", "f", "not-worse"}  # and nothing else: what is measured of a pilot, first promotions aside


@hypothesis.settings(max_examples=50, suppress_health_check=[hypothesis.HealthCheck.too_slow])
@hypothesis.given(combined(st.sampled_from(sorted(SOME))))
def test_loading_refuses_exactly_the_policies_that_could_approve_without_a_pilot(written):
    names = names_in(written)
    document = evidence.policy_document(*(SOME[name] for name in sorted(names)), decide=written)
    by_force = any(truth(written, passing) for passing in subsets(names - PROVE))

    assert (LOCK in refused(document)) == by_force


@hypothesis.given(st.sets(st.sampled_from(sorted(SOME)), min_size=1))
def test_without_decide_all_blocking_rules_are_asked(names):
    document = evidence.policy_document(*(SOME[name] for name in sorted(names)))

    assert (LOCK in refused(document)) == (not names & PROVE)


def test_a_pilot_that_only_warns_proves_nothing():
    rules = (SOME["a"], SOME["d"] | {"severity": "warn"})

    assert LOCK in refused(evidence.policy_document(*rules))


def refused(document) -> str:
    try:
        load_policy(json.dumps(document), named="p")
    except DocumentError as error:
        return str(error)
    return ""


# what makes no difference


@hypothesis.settings(max_examples=50)
@hypothesis.given(formulas)
def test_a_part_is_needless_exactly_where_those_beside_it_settle_it(written):
    [(name, parts)] = written.items()
    states = list(subsets(names_in(written)))

    def whenever(one, others):
        return all(any(truth(part, state) for part in others) for state in states if truth(one, state))

    left, expected = dict(enumerate(parts)), set()
    for position, part in reversed(list(enumerate(parts))):
        others = [each for at, each in left.items() if at != position]
        if whenever(part, others) if name == "any" else any(whenever(each, [part]) for each in others):
            expected.add((name, position))
            del left[position]

    assert {path for path in needless(formula_of(written)) if len(path) == 2} == expected
    assert all(truth(written, state) == truth({name: list(left.values())}, state) for state in states)


def test_what_is_needless_is_found_however_deep():
    deep = formula_of({"all": ["a", {"any": ["b", {"all": ["c", {"any": ["d", {"all": ["d", "a"]}]}]}]}]})

    assert list(needless(deep)) == [("all", 1, "any", 1, "all", 1, "any", 1)]


# order, and sizes that are an attack


@hypothesis.settings(max_examples=30)
@hypothesis.given(formulas, st.randoms(use_true_random=False))
def test_the_order_of_parts_makes_no_difference(written, generator):
    def shuffled(part):
        if isinstance(part, str):
            return part
        [(name, parts)] = part.items()
        return {name: generator.sample([shuffled(each) for each in parts], len(parts))}

    one, other = formula_of(written), formula_of(shuffled(written))

    assert in_order(one) == in_order(other)
    assert ways_to_pass(one) == ways_to_pass(other)


def test_each_mention_has_its_path():
    written = {"any": ["a", {"all": ["b", "a"]}]}

    assert list(mentioned(formula_of(written))) == [
        ("a", ("any", 0)),
        ("b", ("any", 1, "all", 0)),
        ("a", ("any", 1, "all", 1)),
    ]


def test_as_many_ways_as_can_be_reviewed_pass_and_no_more():
    assert len(ways_to_pass(AnyOf(any=tuple(f"r{n}" for n in range(MOST_WAYS))))) == MOST_WAYS
    with pytest.raises(TooManyWaysError):
        ways_to_pass(AnyOf(any=tuple(f"r{n}" for n in range(MOST_WAYS + 1))))


@cache
def alternatives(count: int, letter: str = "r") -> AnyOf:
    return AnyOf(any=tuple(f"{letter}{number}" for number in range(count)))


@pytest.mark.parametrize(
    "formula",
    [
        AllOf(all=tuple(alternatives(3, f"x{n}") for n in range(40))),  # 3⁴⁰ ways
        AllOf(all=(alternatives(400), alternatives(400, "s"))),
        AllOf(all=(alternatives(300),) * 300),  # few ways, reached through many
    ],
    ids=["many factors", "two wide ones", "the same again and again"],
)
def test_a_formula_that_nobody_could_review_is_refused_at_once(formula):
    start = time.perf_counter()

    with pytest.raises(TooManyWaysError):
        ways_to_pass(formula)

    assert time.perf_counter() - start < 2


def test_a_policy_whose_formula_is_an_attack_is_refused_with_its_place():
    rules = [SOME["d"] | {"id": f"p{number}"} for number in range(60)]
    three = [{"any": [f"p{3 * n}", f"p{3 * n + 1}", f"p{3 * n + 2}"]} for n in range(20)]
    start = time.perf_counter()

    with pytest.raises(DocumentError, match=r"p:\d+:1: decide: has too many ways to pass for anybody to review"):
        load_policy(evidence.policy_text(*rules, decide={"all": three}), named="p")

    many = {"any": [{"all": [f"p{a}", f"p{b}"]} for a in range(60) for b in range(60)]}
    with pytest.raises(DocumentError, match="too many ways"):
        load_policy(evidence.policy_text(*rules, decide=many), named="p")
    assert time.perf_counter() - start < 10
